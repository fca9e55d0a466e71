//! `rest_framework.serializers.Serializer`: a body's data against the fields of a view.

use serde_json::{Value, json};

use super::exceptions::APIException;
use super::fields::CharField;
use super::messages::{self, Message, Text};
use super::parsers::Data;
use crate::django::utils::translation::Translation;
use crate::memory::TypedText;

/// One field: what it accepts, and how metadata and documents name it.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// Its key in the body.
    pub name: &'static str,
    /// `label`.
    pub label: Message,
    /// `read_only`: it is answered, never accepted.
    pub read_only: bool,
    /// What it accepts.
    pub kind: CharField,
}

/// The fields in their order.
#[derive(Debug, Clone, Copy)]
pub struct Serializer {
    /// The name of the class, which names the schema in the document.
    pub name: &'static str,
    /// The fields.
    pub fields: &'static [Field],
}

impl Serializer {
    /// `is_valid(raise_exception=True)`: the values of the writable fields in their order, or
    /// the errors of all of them together.
    pub fn run_validation(&self, mut data: Data) -> Result<Vec<TypedText>, APIException> {
        if data.is_none() {
            return Err(APIException::non_field_error("No data provided"));
        }
        if !data.is_mapping() {
            let got = data.python_type_name().to_owned();
            let text = Text::Formatted(messages::NO_MAPPING, got);
            return Err(APIException::non_field_error(text));
        }
        let mut errors = Vec::new();
        let mut values = Vec::new();
        for field in self.fields.iter().filter(|field| !field.read_only) {
            match field.kind.run_validation(data.take(field.name)) {
                Ok(value) => values.push(value),
                Err(texts) => errors.push((field.name, texts)),
            }
        }
        if errors.is_empty() { Ok(values) } else { Err(APIException::ValidationError(errors)) }
    }

    /// `SimpleMetadata.get_serializer_info`.
    #[must_use]
    pub fn info(&self, translation: &Translation) -> Value {
        let info = |field: &Field| {
            let info = json!({
                "type": "string",
                "required": !field.read_only,
                "read_only": field.read_only,
                "label": Text::from(field.label).translated(translation),
            });
            (field.name.to_owned(), info)
        };
        Value::Object(self.fields.iter().map(info).collect())
    }
}
