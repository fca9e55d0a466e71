//! The answers of a view that are errors: each is one that the code itself makes, so that
//! status, text and shape in the document are those on the wire.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::django::defaults;
use crate::django::utils::translation::Translation;
use crate::rest_framework::authentication::{Authentication, get_authenticate_header, status_code};
use crate::rest_framework::exceptions::APIException;
use crate::rest_framework::parsers::Data;
use crate::rest_framework::renderers::Renderer;
use crate::rest_framework::view::View;
use crate::settings::Settings;

/// An error that a view can answer, as an example.
pub(super) struct Failure {
    /// Its key among the examples of its status.
    pub name: &'static str,
    /// When it happens.
    pub summary: &'static str,
    /// What is answered.
    pub exception: APIException,
}

impl Failure {
    pub(super) fn new(name: &'static str, summary: &'static str, exception: APIException) -> Self {
        Self { name, summary, exception }
    }
}

/// The responses of an operation that are errors, by status. `own` are those of its handler.
pub(super) fn error_responses(
    view: &View,
    settings: &Settings,
    method: &str,
    own: Vec<Failure>,
) -> Map<String, Value> {
    let failures = failures(view, settings, method).into_iter().chain(own);
    by_status(view, settings, failures, |status| status)
}

/// Failures by the status with which each is answered: its own, as `told` changes it.
pub(super) fn by_status(
    view: &View,
    settings: &Settings,
    failures: impl Iterator<Item = Failure>,
    told: impl Fn(u16) -> u16,
) -> Map<String, Value> {
    let mut by_status: BTreeMap<u16, Vec<Failure>> = BTreeMap::new();
    for failure in failures {
        let status = status_code(&failure.exception, settings);
        by_status.entry(told(status)).or_default().push(failure);
    }
    let scheme = get_authenticate_header(settings).unwrap_or_default();
    let response = |(status, failures): (u16, Vec<Failure>)| {
        (status.to_string(), response(view, scheme, status, &failures))
    };
    by_status.into_iter().map(response).collect()
}

/// What authentication and permissions refuse.
pub(super) fn before_permissions(
    view: &View,
    settings: &Settings,
) -> impl Iterator<Item = Failure> {
    let anonymous = (!view.permissions.is_empty())
        .then(|| Failure::new("anonymous", "No token was sent.", APIException::NotAuthenticated));
    let classes = settings.default_authentication_classes.iter();
    classes.flat_map(|class| refusals(*class)).chain(anonymous)
}

/// What the database or the hashing queue refuses.
pub(super) fn unavailable() -> Failure {
    let text = "The database or the hashing queue cannot take the request now.";
    let busy = std::io::Error::other("only an example");
    Failure::new("unavailable", text, APIException::unavailable(busy))
}

/// What can go wrong before a handler and in its parsers, in the order of `dispatch`.
fn failures(view: &View, settings: &Settings, method: &str) -> Vec<Failure> {
    let mut found = vec![
        Failure::new(
            "suspicious",
            "A host that is not served, too many fields, or a JSON or form body that is too large.",
            APIException::SuspiciousOperation("DisallowedHost"),
        ),
        Failure::new("format", "`?format=` names no renderer.", APIException::NotFound),
        Failure::new(
            "accept",
            "`Accept` without a type that is answered.",
            APIException::NotAcceptable,
        ),
    ];
    found.extend(before_permissions(view, settings));
    if settings.has_sessions() && method != "get" {
        let failed = APIException::CsrfFailed("CSRF token missing.".to_owned());
        found.push(Failure::new(
            "csrf",
            "A session, and nothing that shows its owner's will.",
            failed,
        ));
    }
    let other = if method == "get" { "PUT" } else { "GET" };
    found.push(Failure::new(
        "method",
        "Another method was sent to this path.",
        APIException::MethodNotAllowed(other.to_owned()),
    ));
    if let Some(serializer) = view.serializer {
        let parse = "JSON parse error - Expecting value: line 1 column 1 (char 0)";
        let text = "text/plain";
        found.extend([
            Failure::new(
                "parse",
                "The body is no JSON.",
                APIException::ParseError(parse.to_owned()),
            ),
            Failure::new("slow", "The body did not arrive in time.", APIException::RequestTimeout),
            Failure::new("large", "A body over MAX_BODY_SIZE.", APIException::ContentTooLarge),
            Failure::new(
                "media_type",
                "The body has another type.",
                APIException::UnsupportedMediaType(text.to_owned()),
            ),
        ]);
        let empty = serializer.run_validation(Data::empty()).err();
        found.extend(empty.map(|error| Failure::new("required", "Fields are missing.", error)));
    }
    found.push(unavailable());
    found
}

fn refusals(class: Authentication) -> impl Iterator<Item = Failure> {
    let refusals = class.refusals().iter();
    refusals.map(|(name, summary, text)| {
        Failure::new(name, summary, APIException::AuthenticationFailed(*text))
    })
}

fn response(view: &View, scheme: &str, status: u16, failures: &[Failure]) -> Value {
    let mut content = Map::new();
    let english = Translation::english();
    let details: Vec<(&Failure, Value)> =
        failures.iter().filter_map(|one| Some((one, one.exception.detail(&english)?))).collect();
    if !details.is_empty() {
        let examples: Map<String, Value> = details
            .iter()
            .map(|(one, body)| {
                (one.name.to_owned(), json!({ "summary": one.summary, "value": body }))
            })
            .collect();
        // What refuses the negotiation itself is answered by the first renderer.
        let first = if [404, 406].contains(&status) { 1 } else { usize::MAX };
        for renderer in negotiable(view).take(first) {
            let body = json!({ "schema": schema(view, failures) });
            content.insert(renderer.media_type().to_owned(), body);
        }
        // The same values under each type would say nothing more.
        if let Some(body) = content.values_mut().next().and_then(Value::as_object_mut) {
            body.insert("examples".to_owned(), Value::Object(examples));
        }
    }
    if details.len() < failures.len() {
        let page =
            json!({ "schema": { "type": "string" }, "example": defaults::bad_request_page() });
        content.insert("text/html".to_owned(), page);
    }
    let mut response =
        Map::from_iter([("description".to_owned(), json!(description(view, status)))]);
    if let Some(headers) = headers(scheme, status) {
        response.insert("headers".to_owned(), headers);
    }
    response.insert("content".to_owned(), Value::Object(content));
    Value::Object(response)
}

/// The renderers of a view whose answers are the API's: the browsable page is for people.
pub(super) fn negotiable(view: &View) -> impl Iterator<Item = Renderer> {
    let renderers = view.renderers.iter().copied();
    renderers.filter(|renderer| *renderer != Renderer::BrowsableApi)
}

fn schema(view: &View, failures: &[Failure]) -> Value {
    let of_fields = |one: &&Failure| matches!(one.exception, APIException::ValidationError(_));
    let detail = json!({ "$ref": "#/components/schemas/Detail" });
    match view.serializer.filter(|_| failures.iter().any(|one| of_fields(&one))) {
        None => detail,
        Some(serializer) => {
            let reference = format!("#/components/schemas/{}", errors_name(serializer.name));
            json!({ "oneOf": [detail, { "$ref": reference }] })
        }
    }
}

fn description(view: &View, status: u16) -> &'static str {
    match status {
        400 if view.serializer.is_some() => {
            "The body cannot be read, a field is missing or not valid, or the credentials are wrong. \
             What Django refuses before its views or while it reads a body is answered by its HTML page."
        }
        400 => {
            "The request is not one that is served, such as one for another host; where Django itself \
             refuses it, by its HTML page."
        }
        401 if view.permissions.is_empty() => {
            "An Authorization header with a token was sent, and it is malformed or opens nothing."
        }
        401 => "No token was sent, or it is malformed or opens nothing.",
        403 => "The token's user may not.",
        404 => "`?format=` names no renderer of this view.",
        405 => "What any other method than those of this path is answered.",
        406 => "No renderer of this view satisfies the Accept header.",
        408 => "The body did not arrive in time.",
        413 => "The body is larger than any that is read.",
        415 => "No parser of this view takes the media type of the body.",
        _ => "The database or the hashing queue cannot take the request now.",
    }
}

fn headers(scheme: &str, status: u16) -> Option<Value> {
    match status {
        401 => Some(json!({ "WWW-Authenticate": {
            "description": "The scheme that the token is sent with.",
            "required": true,
            "schema": { "type": "string", "enum": [scheme] },
        } })),
        405 => Some(json!({ "Allow": {
            "description": "The methods of this path.",
            "required": true,
            "schema": { "type": "string" },
        } })),
        503 => Some(json!({ "Retry-After": {
            "description": "Seconds to wait before the next try.",
            "required": true,
            "schema": { "type": "integer", "minimum": 1 },
        } })),
        _ => None,
    }
}

fn errors_name(serializer: &str) -> String {
    format!("{serializer}Errors")
}

/// The schemas of the bodies of errors: `Detail`, and one for the fields of the view.
pub(super) fn error_schemas(view: &View) -> Map<String, Value> {
    let detail = json!({
        "type": "object",
        "description": "One text about the whole request.",
        "required": ["detail"],
        "properties": { "detail": { "type": "string" } },
        "additionalProperties": false,
    });
    let mut schemas = Map::from_iter([("Detail".to_owned(), detail)]);
    if let Some(serializer) = view.serializer {
        let written = serializer.fields.iter().filter(|field| !field.read_only);
        let names = written.map(|field| field.name).chain(["non_field_errors"]);
        let list = json!({ "type": "array", "items": { "type": "string" }, "minItems": 1 });
        let properties: Map<String, Value> =
            names.map(|name| (name.to_owned(), list.clone())).collect();
        let errors = json!({
            "type": "object",
            "description": "Texts by field; those of no single field are under non_field_errors.",
            "properties": properties,
            "minProperties": 1,
            "additionalProperties": false,
        });
        schemas.insert(errors_name(serializer.name), errors);
    }
    schemas
}
