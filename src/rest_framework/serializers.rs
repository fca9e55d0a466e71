//! `rest_framework.serializers.Serializer`: a body's data against the fields of a view.

use serde_json::{Map, Value, json};

use super::exceptions::APIException;
use super::fields::CharField;
use super::parsers::Data;

/// One field: what it accepts, and how metadata and documents name it.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// Its key in the body.
    pub name: &'static str,
    /// `label`.
    pub label: &'static str,
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
    pub fn run_validation(&self, data: &Data) -> Result<Vec<String>, APIException> {
        if data.is_none() {
            return Err(APIException::non_field_error("No data provided"));
        }
        if !data.is_mapping() {
            let got = data.python_type_name();
            let text = format!("Invalid data. Expected a dictionary, but got {got}.");
            return Err(APIException::non_field_error(&text));
        }
        let mut errors = Map::new();
        let mut values = Vec::new();
        for field in self.fields.iter().filter(|field| !field.read_only) {
            match field.kind.run_validation(data.get(field.name).as_deref()) {
                Ok(value) => values.push(value),
                Err(messages) => {
                    errors.insert(field.name.to_owned(), json!(messages));
                }
            }
        }
        if errors.is_empty() { Ok(values) } else { Err(APIException::ValidationError(errors)) }
    }

    /// `SimpleMetadata.get_serializer_info`.
    #[must_use]
    pub fn info(&self) -> Value {
        let info = |field: &Field| {
            let info = json!({
                "type": "string",
                "required": !field.read_only,
                "read_only": field.read_only,
                "label": field.label,
            });
            (field.name.to_owned(), info)
        };
        Value::Object(self.fields.iter().map(info).collect())
    }
}
