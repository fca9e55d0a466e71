//! `drf_spectacular.generators.SchemaGenerator`: the document that drf-spectacular makes of the
//! same views. It knows no errors; clients that were generated from it stay as they are.

use serde_json::{Map, Value, json};

use super::{Route, members};
use crate::rest_framework::serializers::Serializer;

/// The document with spectacular's own settings, made from the routes and from ours.
pub(super) fn get_schema(routes: &[Route<'_>], security: &Value, ours: &Value) -> Value {
    let mut paths = Map::new();
    let mut schemas = Map::new();
    for route in routes.iter().filter(|route| route.in_spectacular) {
        let declared = ours.get("paths").and_then(|paths| paths.get(route.path));
        let operations = members(declared).map(|(method, operation)| {
            let (name, schema) = component(route, operation, ours);
            schemas.insert(name.clone(), schema);
            (method.clone(), self::operation(route, security, operation, &name))
        });
        let operations: Map<String, Value> = operations.collect();
        paths.insert(route.path.to_owned(), Value::Object(operations));
    }
    schemas.sort_keys();
    let secured = members(ours.pointer("/components/securitySchemes"));
    let secured: Map<String, Value> =
        secured.map(|(name, scheme)| (name.clone(), security_scheme(scheme))).collect();
    json!({
        "openapi": "3.0.3",
        "info": { "title": "", "version": "0.0.0" },
        "paths": paths,
        "components": { "schemas": schemas, "securitySchemes": secured },
    })
}

/// `AutoSchema.get_operation`.
fn operation(route: &Route<'_>, security: &Value, ours: &Value, component: &str) -> Value {
    let reference = json!({ "$ref": format!("#/components/schemas/{component}") });
    let mut operation = Map::new();
    for key in ["operationId", "tags"] {
        operation.insert(key.to_owned(), ours.get(key).cloned().unwrap_or_default());
    }
    if route.view.serializer.is_some() {
        let parsers = route.view.parsers.iter();
        let content: Map<String, Value> = parsers
            .map(|parser| (parser.media_type().to_owned(), json!({ "schema": reference })))
            .collect();
        let body = json!({ "content": content, "required": true });
        operation.insert("requestBody".to_owned(), body);
    }
    operation.insert("security".to_owned(), security.clone());
    let content = json!({ "application/json": { "schema": reference } });
    let responses = json!({ "200": { "content": content, "description": "" } });
    operation.insert("responses".to_owned(), responses);
    Value::Object(operation)
}

/// Ours, with its members in spectacular's order.
fn security_scheme(ours: &Value) -> Value {
    let keys = ["type", "scheme", "in", "name", "description"].into_iter();
    let found = keys.filter_map(|key| Some((key.to_owned(), ours.get(key)?.clone())));
    Value::Object(found.collect())
}

/// The one component of an operation: its serializer, or what the handler answers.
fn component(route: &Route<'_>, operation: &Value, ours: &Value) -> (String, Value) {
    if let Some(serializer) = route.view.serializer {
        return (serializer.name.to_owned(), of_serializer(serializer));
    }
    let schema = "/responses/200/content/application~1json/schema/$ref";
    let reference = operation.pointer(schema).and_then(Value::as_str).unwrap_or_default();
    let schema = ours.pointer(reference.trim_start_matches('#')).cloned().unwrap_or_default();
    let name = reference.rsplit('/').next().unwrap_or_default();
    (name.to_owned(), bare(&schema))
}

/// A serializer's one schema for both directions, with `required` in the order of the letters.
fn of_serializer(serializer: &Serializer) -> Value {
    let property = |read_only: bool| {
        let direction = if read_only { "readOnly" } else { "writeOnly" };
        json!({ "type": "string", direction: true })
    };
    let fields = serializer.fields.iter();
    let properties: Map<String, Value> =
        fields.map(|field| (field.name.to_owned(), property(field.read_only))).collect();
    let mut required: Vec<&str> = serializer.fields.iter().map(|field| field.name).collect();
    required.sort_unstable();
    json!({ "type": "object", "properties": properties, "required": required })
}

/// Types and names only: what a serializer without help texts tells.
fn bare(schema: &Value) -> Value {
    let property = |(name, schema): (&String, &Value)| {
        (name.clone(), json!({ "type": schema.get("type").cloned().unwrap_or_default() }))
    };
    let properties: Map<String, Value> = members(schema.get("properties")).map(property).collect();
    let required = schema.get("required").cloned().unwrap_or_default();
    json!({ "type": "object", "properties": properties, "required": required })
}
