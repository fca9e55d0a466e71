//! The OpenAPI document: made from the handlers' own `#[OpenApi]` declarations and the
//! attributes of their views, so that it cannot differ from what is served.

use poem_openapi::types::Any;
use poem_openapi::{OpenApi, OpenApiService};
use serde_json::{Map, Value, json};

use crate::rest_framework::authtoken::views::ObtainAuthToken;
use crate::rest_framework::exceptions::APIException;
use crate::rest_framework::renderers::Renderer;
use crate::rest_framework::view::{APIView, View};
use crate::rest_framework::views::Response;
use crate::secret::Secret;
use crate::settings::Settings;

/// The view of the document itself.
pub struct Schema {
    document: Value,
}

impl APIView for Schema {
    const VIEW: View = View {
        name: "Schema",
        description: "",
        renderers: &[Renderer::Json],
        parsers: &[],
        authentication: &[],
        permissions: &[],
        serializer: None,
    };
}

#[OpenApi]
impl Schema {
    /// Schema
    ///
    /// Answers this document.
    #[oai(path = "/api/schema", method = "get", operation_id = "api_schema_retrieve")]
    async fn get(&self) -> Result<Response<Any<Value>>, APIException> {
        Ok(Response(Any(self.document.clone())))
    }
}

type Views = (ObtainAuthToken, Secret, Schema);

/// All handlers, with their routes as declared; `urls` puts the views before them.
#[must_use]
pub fn service(document: Value) -> OpenApiService<Views, ()> {
    let views = (ObtainAuthToken, Secret, Schema { document });
    OpenApiService::new(views, env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
        .description(env!("CARGO_PKG_DESCRIPTION"))
}

/// The document of a site with these settings.
pub fn document(settings: &Settings) -> Result<Value, serde_json::Error> {
    let mut document: Value = serde_json::from_str(&service(Value::Null).spec())?;
    let declared = document.get_mut("paths").and_then(Value::as_object_mut).map(std::mem::take);
    let paths: Map<String, Value> = declared
        .into_iter()
        .flatten()
        .filter_map(|(path, operations)| public(&path, operations, settings))
        .collect();
    if let Some(document) = document.as_object_mut() {
        document.insert("paths".to_owned(), Value::Object(paths));
        let components = document.entry("components").or_insert_with(|| json!({}));
        add_error_schemas(components);
    }
    Ok(document)
}

/// A declared path under the path of the settings, with the error answers of its view.
fn public(declared: &str, mut operations: Value, settings: &Settings) -> Option<(String, Value)> {
    let (path, view) = match declared {
        "/api-token-auth" => (&settings.login_path, ObtainAuthToken::VIEW),
        "/secret" => (&settings.secret_path, Secret::VIEW),
        "/api/schema" => (&settings.schema_path, Schema::VIEW),
        _ => return None,
    };
    for operation in operations.as_object_mut()?.values_mut() {
        let responses = operation.get_mut("responses").and_then(Value::as_object_mut)?;
        responses.extend(error_responses(&view));
    }
    Some((path.clone(), operations))
}

/// What can go wrong in a view, read from its attributes in the order of `dispatch`.
fn error_responses(view: &View) -> Map<String, Value> {
    let mut responses = Map::new();
    let mut add = |status: u16, description: &str, schema: Value, headers: Value| {
        let content = json!({ Renderer::Json.media_type(): { "schema": schema } });
        let mut response = json!({ "description": description, "content": content });
        if let (false, Some(response)) = (headers.is_null(), response.as_object_mut()) {
            response.insert("headers".to_owned(), headers);
        }
        responses.insert(status.to_string(), response);
    };
    let detail = json!({ "$ref": "#/components/schemas/Detail" });
    if view.serializer.is_some() {
        let errors = json!({ "$ref": "#/components/schemas/Errors" });
        let schema = json!({ "oneOf": [errors, detail] });
        let text = "The body cannot be parsed, a field is not valid, or the credentials are wrong.";
        add(400, text, schema, Value::Null);
    }
    if let Some(class) = view.authentication.first() {
        let scheme = class.authenticate_header();
        let header = json!({ "schema": { "type": "string", "enum": [scheme] } });
        let text = "The Authorization header is missing where it is needed, malformed, or names \
                    a token that opens nothing.";
        add(401, text, detail.clone(), json!({ "WWW-Authenticate": header }));
    }
    let text = "No renderer of the view satisfies the Accept header.";
    add(406, text, detail.clone(), Value::Null);
    if view.serializer.is_some() {
        let text = "No parser of the view takes this media type.";
        add(415, text, detail.clone(), Value::Null);
    }
    if !view.authentication.is_empty() {
        let header = json!({
            "description": "Seconds to wait before the next try.",
            "schema": { "type": "integer" },
        });
        let text = "The database or the hashing queue cannot take the request now.";
        add(503, text, detail, json!({ "Retry-After": header }));
    }
    responses
}

fn add_error_schemas(components: &mut Value) {
    let Some(components) = components.as_object_mut() else { return };
    let schemas = components.entry("schemas").or_insert_with(|| json!({}));
    if let Some(schemas) = schemas.as_object_mut() {
        let detail = json!({
            "type": "object",
            "required": ["detail"],
            "properties": { "detail": { "type": "string" } },
        });
        let errors = json!({
            "type": "object",
            "description": "Messages by field; those of no single field under non_field_errors.",
            "additionalProperties": { "type": "array", "items": { "type": "string" } },
        });
        schemas.insert("Detail".to_owned(), detail);
        schemas.insert("Errors".to_owned(), errors);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_document_is_the_generated_one() {
        let document = document(&Settings::defaults().unwrap()).unwrap();
        let text = serde_json::to_string_pretty(&document).unwrap() + "\n";
        let committed = include_str!("../openapi/openapi.json");
        assert!(text == committed, "run: drf-authtoken openapi > openapi/openapi.json");
    }

    #[test]
    fn the_schema_of_the_login_has_the_fields_of_its_serializer() {
        let document = document(&Settings::defaults().unwrap()).unwrap();
        let properties = &document["components"]["schemas"]["AuthToken"]["properties"];
        let serializer = ObtainAuthToken::VIEW.serializer.unwrap();
        let names: Vec<&str> = serializer.fields.iter().map(|field| field.name).collect();
        assert!(properties.as_object().unwrap().keys().eq(&names));
        for field in serializer.fields {
            let schema = &properties[field.name];
            assert_eq!(schema.get("readOnly").is_some(), field.read_only, "{}", field.name);
            assert_eq!(schema.get("writeOnly").is_some(), !field.read_only, "{}", field.name);
        }
    }

    #[test]
    fn paths_follow_the_settings() {
        let mut settings = Settings::defaults().unwrap();
        settings.secret_path = "/intern/".to_owned();
        let document = document(&settings).unwrap();
        let paths: Vec<&String> = document["paths"].as_object().unwrap().keys().collect();
        assert_eq!(paths, ["/api-token-auth/", "/intern/", "/api/schema/"]);
    }
}
