//! The Python values that `request.data` holds after a parser of `rest_framework.parsers` ran.

use std::fmt;

use crate::django::http::multipartparser::UploadedFiles;
use crate::django::http::querydict::Post;
use crate::memory::TypedText;

/// A Python `str`. It may hold what a Rust `String` cannot: surrogates without a partner.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PyStr {
    /// The text; a lone surrogate stands here as U+FFFD.
    pub text: TypedText,
    /// The first lone surrogate, which is the only one DRF ever names.
    pub surrogate: Option<u16>,
}

impl From<&str> for PyStr {
    fn from(text: &str) -> Self {
        Self { text: text.into(), surrogate: None }
    }
}

/// One Python value, as far as a serializer field looks at it.
#[derive(Clone, PartialEq)]
pub enum Value {
    /// `None`
    Null,
    /// `bool`
    Bool(bool),
    /// `int`, as `str()` prints it: exact, at most 4300 digits.
    Int(TypedText),
    /// `float`
    Float(f64),
    /// `str`
    Str(PyStr),
    /// `list`; no field looks inside, so its items are not kept.
    List,
    /// `dict`; only the outermost one keeps its items.
    Object(Object),
    /// An uploaded file. Its name matters in one place: `CharField` strips `str(file)`.
    File(String),
}

impl Value {
    /// `type(value).__name__`
    #[must_use]
    pub fn python_type_name(&self) -> &'static str {
        match self {
            Self::Null => "NoneType",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float",
            Self::Str(_) => "str",
            Self::List => "list",
            Self::Object(_) => "dict",
            Self::File(_) => "InMemoryUploadedFile",
        }
    }
}

/// Prints the type only: request data holds passwords.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.python_type_name())
    }
}

/// What a view reads of a JSON object or a form, by name; a name comes once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Object(Vec<(&'static str, Value)>);

impl Object {
    /// The value of `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    /// Takes the value of `name` out.
    pub fn take(&mut self, name: &str) -> Option<Value> {
        let at = self.0.iter().position(|(key, _)| *key == name)?;
        Some(self.0.swap_remove(at).1)
    }
}

impl FromIterator<(&'static str, Value)> for Object {
    fn from_iter<T: IntoIterator<Item = (&'static str, Value)>>(members: T) -> Self {
        let mut object = Self::default();
        for (name, value) in members {
            object.take(name);
            object.0.push((name, value));
        }
        object
    }
}

/// `request.data`.
#[derive(Clone, PartialEq)]
pub enum Data {
    /// What `JSONParser` returns: any JSON value, not only an object.
    Json(Value),
    /// What `FormParser` and `MultiPartParser` return.
    Form(Object),
}

impl Data {
    /// The data of a request without a body, whatever its Content-Type says.
    #[must_use]
    pub fn empty() -> Self {
        Self::Form(Object::default())
    }

    /// A form's data: of several values the last, and a file before a field, because
    /// `Request._load_data_and_files` appends the files.
    #[must_use]
    pub fn of_form(fields: Post, files: UploadedFiles) -> Self {
        let text = |text| Value::Str(PyStr { text, surrogate: None });
        let fields = fields.into_values().map(|(name, value)| (name, text(value)));
        let files = files.into_names().map(|(name, file)| (name, Value::File(file)));
        Self::Form(fields.chain(files).collect())
    }

    /// Takes out the value that a field named `name` is given.
    pub fn take(&mut self, name: &str) -> Option<Value> {
        match self {
            Self::Json(Value::Object(object)) | Self::Form(object) => object.take(name),
            Self::Json(_) => None,
        }
    }

    /// The same, if it is a text: `request.POST.get(name)`.
    pub fn take_text(&mut self, name: &str) -> Option<TypedText> {
        match self.take(name)? {
            Value::Str(PyStr { text, .. }) => Some(text),
            _ => None,
        }
    }

    /// `type(request.data).__name__`; `dict` and `QueryDict` are the two that a serializer takes.
    #[must_use]
    pub fn python_type_name(&self) -> &'static str {
        match self {
            Self::Json(value) => value.python_type_name(),
            Self::Form(_) => "QueryDict",
        }
    }

    /// Whether the data is `None`, which a serializer answers with "No data provided".
    #[must_use]
    pub fn is_none(&self) -> bool {
        matches!(self, Self::Json(Value::Null))
    }

    /// Whether a serializer takes the data: `isinstance(data, Mapping)`.
    #[must_use]
    pub fn is_mapping(&self) -> bool {
        matches!(self, Self::Form(_) | Self::Json(Value::Object(_)))
    }
}

/// Prints the type only: request data holds passwords.
impl fmt::Debug for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.python_type_name())
    }
}
