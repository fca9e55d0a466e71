//! Forward auth in the document, where it is on. A proxy asks with the method of the request that
//! it is about; GET stands for all of them.

use serde_json::{Map, Value, json};

use super::names::Names;
use super::responses::{self, Failure};
use crate::forward_auth::{VIEW, required};
use crate::rest_framework::authentication::Authentication;
use crate::rest_framework::exceptions::APIException;
use crate::settings::Settings;

/// The statuses that nginx passes on; it makes a 500 of any other.
const NGINX: [u16; 2] = [401, 403];

/// The operations of its path.
pub(super) fn path_item(settings: &Settings, names: &Names<'_>) -> Value {
    let path = &settings.forward_auth_path;
    let granted = json!({
        "description": "The request may pass. There is no body.",
        "headers": identity(settings),
    });
    let mut responses = Map::from_iter([("200".to_owned(), granted)]);
    responses.extend(refusals(settings));
    // Cookies are not looked at.
    let classes = settings.default_authentication_classes.iter();
    let by_header = classes.filter(|class| **class != Authentication::Session);
    let security: Value =
        by_header.map(|class| json!({ super::scheme_name(*class): [] })).collect();
    json!({ "get": {
        "operationId": names.operation_id(path, "get"),
        "tags": names.tags(path),
        "summary": "Forward auth",
        "description": "Whether a request that goes elsewhere may pass: a proxy asks, with any method and \
                        also below this path.",
        "parameters": [{
            "name": "require",
            "in": "query",
            "description": "Lets only such users pass.",
            "schema": { "type": "string", "enum": ["staff"] },
        }],
        "security": security,
        "responses": responses,
    } })
}

fn refusals(settings: &Settings) -> Map<String, Value> {
    let unknown = required(Some("require=unknown")).err();
    let unknown = unknown.map(|error| Failure::new("require", "A word that is not known.", error));
    let denied = APIException::PermissionDenied;
    let failures = responses::before_permissions(&VIEW, settings)
        .chain(unknown)
        .chain([Failure::new("denied", "The user is none of those.", denied)])
        .chain([responses::unavailable()]);
    let nginx = settings.forward_auth_nginx;
    let told = |status| if nginx && !NGINX.contains(&status) { 403 } else { status };
    let mut found = responses::by_status(&VIEW, settings, failures, told);
    for (status, description) in [
        ("400", "A word of `?require=` is not known."),
        ("403", "The token's user may not pass, or the question cannot be answered now."),
    ] {
        if let Some(response) = found.get_mut(status).and_then(Value::as_object_mut) {
            response.insert("description".to_owned(), json!(description));
        }
    }
    for (status, response) in &mut found {
        let Some(response) = response.as_object_mut() else { continue };
        let mut headers = identity(settings);
        if nginx && status == "403" {
            let text = "The status that nginx would not have passed on.";
            let header = json!({ "description": text, "schema": { "type": "integer" } });
            headers.insert("X-Auth-Error".to_owned(), header);
        }
        if let Some(own) = response.get("headers").and_then(Value::as_object) {
            headers.extend(own.clone());
        }
        response.insert("headers".to_owned(), Value::Object(headers));
    }
    found
}

/// The identity headers; each is in every answer, empty where nobody is let in.
fn identity(settings: &Settings) -> Map<String, Value> {
    let names = settings.forward_auth_headers().into_iter().filter_map(|(_, name)| name);
    let header = json!({
        "description": "Of the token's user, percent-encoded; empty where nobody may pass.",
        "required": true,
        "schema": { "type": "string" },
    });
    names.map(|name| (name.clone(), header.clone())).collect()
}
