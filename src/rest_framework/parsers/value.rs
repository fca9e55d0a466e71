//! The Python values that `request.data` holds after a parser of `rest_framework.parsers` ran.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use crate::django::http::multipartparser::UploadedFiles;
use crate::django::http::querydict::QueryDict;

/// A Python `str`. It may hold what a Rust `String` cannot: surrogates without a partner.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct PyStr {
    /// The text; a lone surrogate stands here as U+FFFD.
    pub text: String,
    /// The first lone surrogate, which is the only one DRF ever names.
    pub surrogate: Option<u16>,
}

impl From<&str> for PyStr {
    fn from(text: &str) -> Self {
        Self { text: text.to_owned(), surrogate: None }
    }
}

/// Prints no content: request data holds passwords.
impl fmt::Debug for PyStr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PyStr({} bytes)", self.text.len())
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
    Int(String),
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

/// A JSON object: of a key that comes twice, the last value. A tree, because it stays small when a
/// client sends a body of nothing but short keys.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Object(BTreeMap<Box<str>, Value>);

impl Object {
    /// The value of `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// Sets `key`. A key with a lone surrogate equals no name a field can have, so it is dropped.
    pub(crate) fn insert(&mut self, key: PyStr, value: Value) {
        if key.surrogate.is_none() {
            self.0.insert(key.text.into_boxed_str(), value);
        }
    }
}

/// `request.data`.
#[derive(Clone, PartialEq)]
pub enum Data {
    /// What `JSONParser` returns: any JSON value, not only an object.
    Json(Value),
    /// What `FormParser` and `MultiPartParser` return.
    Form(QueryDict, UploadedFiles),
}

impl Data {
    /// The data of a request without a body, whatever its Content-Type says.
    #[must_use]
    pub fn empty() -> Self {
        Self::Form(QueryDict::default(), UploadedFiles::default())
    }

    /// The value a field named `name` is given; of several the last, and a file before a field,
    /// because `Request._load_data_and_files` appends the files.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Cow<'_, Value>> {
        match self {
            Self::Json(Value::Object(object)) => object.get(name).map(Cow::Borrowed),
            Self::Json(_) => None,
            Self::Form(fields, files) => {
                let file = files.get_last(name).map(|file| Value::File(file.to_owned()));
                let field = || fields.get_last(name).map(|text| Value::Str(text.into()));
                file.or_else(field).map(Cow::Owned)
            }
        }
    }

    /// `type(request.data).__name__`; `dict` and `QueryDict` are the two that a serializer takes.
    #[must_use]
    pub fn python_type_name(&self) -> &'static str {
        match self {
            Self::Json(value) => value.python_type_name(),
            Self::Form(..) => "QueryDict",
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
        matches!(self, Self::Form(..) | Self::Json(Value::Object(_)))
    }
}

/// Prints the type only: request data holds passwords.
impl fmt::Debug for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.python_type_name())
    }
}
