//! The OpenAPI documents: made from the handlers' own `#[OpenApi]` declarations and the
//! attributes of their views, so that they cannot differ from what is served.

use poem_openapi::OpenApiService;
use serde_json::{Map, Value, json};

mod forward_auth;
mod names;
mod responses;
mod schema;
mod spectacular;

pub use schema::Schema;

use crate::rest_framework::authentication::Authentication;
use crate::rest_framework::authtoken::views::ObtainAuthToken;
use crate::rest_framework::exceptions::APIException;
use crate::rest_framework::messages::REFUSED;
use crate::rest_framework::renderers::Renderer;
use crate::rest_framework::view::{APIView, View};
use crate::secret::Secret;
use crate::settings::Settings;
use names::Names;
use responses::{Failure, error_responses, error_schemas, negotiable};

/// What the document says beyond its operations.
const DESCRIPTION: &str = "\
The token-auth endpoints of a Django REST framework site, served from the same database.

**How to log in.** Send a username and a password to the login; it answers a token. Send that with \
every further request, as `Authorization: Token …`, with the word `Token` and one space before it.

**Errors.** An error is JSON: `{\"detail\": \"…\"}` about the whole request, or a list of texts for each \
field that is not valid. Its texts may be in another language than here. Nothing is limited by rate, so \
there is no 429.

**What is no operation.** OPTIONS answers metadata of a view. A path that lacks only its last slash is \
redirected (301) to itself with one. A browser that asks a view for HTML may get the same status \
with a page about it. A request that is no HTTP, or whose head is too large, is refused by the server (400, \
414 or 431) with an empty body, or with one that says so; one whose head is too slow is cut off.
";

/// Which document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Dialect {
    /// The true one.
    DrfAuthtoken,
    /// The one that drf-spectacular makes of the same site.
    DrfSpectacular,
}

impl Dialect {
    const NAMES: [&str; 2] = ["drf-authtoken", "drf-spectacular"];

    /// `?dialect=`; without it, the true one.
    fn from_query(name: Option<&str>) -> Result<Self, APIException> {
        match name {
            None | Some("" | "drf-authtoken") => Ok(Self::DrfAuthtoken),
            Some("drf-spectacular") => Ok(Self::DrfSpectacular),
            Some(_) => {
                let text = format!("Unknown dialect; there is {}.", Self::NAMES.join(" and "));
                Err(APIException::ParseError(text))
            }
        }
    }
}

type Views = (ObtainAuthToken, Secret, Schema);

/// All handlers, with their routes as declared; `urls` puts the views before them.
#[must_use]
pub fn service(schema: Schema) -> OpenApiService<Views, ()> {
    let views = (ObtainAuthToken, Secret, schema);
    OpenApiService::new(views, env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
}

/// A handler's declaration, and where and as what it is served.
struct Route<'a> {
    /// The path in its `#[OpenApi]`.
    declared: &'static str,
    path: &'a str,
    view: View,
    /// What stands before a token.
    keyword: &'a str,
    /// What its tag says.
    tag: &'static str,
    /// What its handler refuses by itself.
    failures: fn() -> Vec<Failure>,
    /// Whether drf-spectacular describes it too.
    in_spectacular: bool,
}

fn routes(settings: &Settings) -> Vec<Route<'_>> {
    let mut routes = Vec::new();
    let keyword = keyword(settings);
    // Further paths of the login are for clients that know them.
    routes.extend(settings.login_path.first().map(|path| Route {
        declared: "/api-token-auth",
        path,
        view: ObtainAuthToken::VIEW,
        keyword,
        tag: "Logging in: a token for a username and a password.",
        failures: || {
            let refused = APIException::non_field_error(REFUSED);
            let text = "No such user, a wrong password, or a user who may not log in.";
            vec![Failure::new("credentials", text, refused)]
        },
        in_spectacular: true,
    }));
    routes.extend(settings.secret_path.as_deref().map(|path| Route {
        declared: "/secret",
        path,
        view: Secret::VIEW,
        keyword,
        tag: "What only a user with a token may read.",
        failures: Vec::new,
        in_spectacular: true,
    }));
    routes.extend(settings.schema_path.as_deref().map(|path| Route {
        declared: "/api/schema",
        path,
        view: Schema::VIEW,
        keyword,
        tag: "The description of the service.",
        failures: || {
            let unknown = Dialect::from_query(Some("unknown")).err();
            let failure = |error| Failure::new("dialect", "No such dialect.", error);
            unknown.map(failure).into_iter().collect()
        },
        in_spectacular: false,
    }));
    routes
}

/// The documents of a site with these settings, as the view answers them.
pub fn schema(settings: &Settings) -> Result<Schema, serde_json::Error> {
    let declared: Value = serde_json::from_str(&service(Schema::default()).spec())?;
    let routes = routes(settings);
    let own = own(settings, &routes, &declared);
    let spectacular = spectacular::get_schema(&routes, &security(settings), &own);
    Ok(Schema { own, spectacular })
}

/// The true document.
fn own(settings: &Settings, routes: &[Route<'_>], declared: &Value) -> Value {
    let views = settings.login_path.first().into_iter().chain(&settings.secret_path);
    let views: Vec<&str> = views.map(String::as_str).collect();
    let names = Names::new(settings.schema_path_prefix.as_deref(), &views);
    let mut paths = Map::new();
    let mut tags = Vec::new();
    let schemas = members(declared.pointer("/components/schemas"));
    let mut schemas: Map<String, Value> =
        schemas.map(|(name, schema)| (name.clone(), schema.clone())).collect();
    for route in routes {
        let operations = declared.get("paths").and_then(|paths| paths.get(route.declared));
        let operations = members(operations).map(|(method, operation)| {
            let operation = self::operation(route, settings, method, operation, &names, &schemas);
            (method.clone(), operation)
        });
        paths.insert(route.path.to_owned(), Value::Object(operations.collect()));
        for tag in names.tags(route.path) {
            tags.push(json!({ "name": tag, "description": route.tag }));
        }
        schemas.extend(error_schemas(&route.view));
    }
    if settings.default_authentication_classes.contains(&Authentication::Token) {
        link_login_to_secret(routes, &names, &mut paths);
    }
    if settings.forward_auth {
        let path = &settings.forward_auth_path;
        paths.insert(path.clone(), forward_auth::path_item(settings, &names));
        for tag in names.tags(path) {
            tags.push(json!({ "name": tag, "description": "Questions of a proxy in front." }));
        }
    }
    let keyword = keyword(settings);
    let secured = security_schemes(settings, declared, keyword);
    json!({
        "openapi": "3.0.3",
        "info": {
            "title": env!("CARGO_PKG_NAME"),
            "version": env!("CARGO_PKG_VERSION"),
            "description": DESCRIPTION.replace("Token …", &format!("{keyword} …")).replace("`Token`", &format!("`{keyword}`")),
            "license": { "name": env!("CARGO_PKG_LICENSE") },
        },
        "servers": [{ "url": "/" }],
        "tags": tags,
        "paths": paths,
        "components": { "schemas": schemas, "securitySchemes": secured },
    })
}

/// What stands before a token.
fn keyword(settings: &Settings) -> &str {
    settings.token_keywords.first().map_or("Token", String::as_str)
}

/// What drf-spectacular calls the scheme of a class.
fn scheme_name(class: Authentication) -> &'static str {
    match class {
        Authentication::Token => "tokenAuth",
        Authentication::Basic => "basicAuth",
        Authentication::Session => "cookieAuth",
    }
}

/// `security` of an operation: each class of the site is a way of its own.
fn security(settings: &Settings) -> Value {
    let classes = settings.default_authentication_classes.iter();
    classes.map(|class| json!({ scheme_name(*class): [] })).collect()
}

/// How drf-spectacular describes the schemes of the site, in the order of their names.
fn security_schemes(settings: &Settings, declared: &Value, keyword: &str) -> Map<String, Value> {
    let token = declared.pointer("/components/securitySchemes/tokenAuth");
    let scheme = |class: &Authentication| {
        let scheme = match class {
            Authentication::Basic => json!({ "type": "http", "scheme": "basic" }),
            Authentication::Session => {
                json!({ "type": "apiKey", "in": "cookie", "name": settings.session_cookie_name })
            }
            Authentication::Token if keyword == "Bearer" => {
                json!({ "type": "http", "scheme": "bearer" })
            }
            Authentication::Token => {
                let mut scheme = token.cloned().unwrap_or_default();
                if let Some(Value::String(text)) = scheme.get_mut("description") {
                    *text = text.replace("\"Token\"", &format!("\"{keyword}\""));
                }
                scheme
            }
        };
        (scheme_name(*class).to_owned(), scheme)
    };
    let mut schemes: Map<String, Value> =
        settings.default_authentication_classes.iter().map(scheme).collect();
    schemes.sort_keys();
    schemes
}

/// A declared operation with what its view and its path say.
fn operation(
    route: &Route<'_>,
    settings: &Settings,
    method: &str,
    declared: &Value,
    names: &Names<'_>,
    schemas: &Map<String, Value>,
) -> Value {
    let mut operation = Map::new();
    let mut put = |key: &str, value: Value| drop(operation.insert(key.to_owned(), value));
    put("operationId", json!(names.operation_id(route.path, method)));
    put("tags", json!(names.tags(route.path)));
    for key in ["summary", "description"] {
        put(key, declared.get(key).cloned().unwrap_or_default());
    }
    put("parameters", Value::Array(parameters(route)));
    if let Some(body) = declared.get("requestBody") {
        put("requestBody", request_body(body, schemas));
    }
    let wants_user = !route.view.permissions.is_empty();
    put("security", if wants_user { security(settings) } else { json!([]) });
    let mut responses = Map::from_iter([("200".to_owned(), success(route, declared, schemas))]);
    responses.extend(error_responses(&route.view, settings, method, (route.failures)()));
    put("responses", Value::Object(responses));
    Value::Object(operation)
}

/// Beside JSON the schema stands written out: where one name is used in several types, there are
/// generators of clients that send the body in all of them at once.
fn request_body(declared: &Value, schemas: &Map<String, Value>) -> Value {
    let mut body = declared.clone();
    let content = body.get_mut("content").and_then(Value::as_object_mut);
    for (media_type, content) in content.into_iter().flatten() {
        let schema = content.get_mut("schema").filter(|_| media_type != "application/json");
        let Some(schema) = schema else { continue };
        let name = schema.get("$ref").and_then(|name| name.as_str()?.rsplit('/').next());
        if let Some(written_out) = name.and_then(|name| schemas.get(name)) {
            *schema = written_out.clone();
            schema.as_object_mut().map(|schema| schema.remove("title"));
        }
    }
    body
}

/// `?format=` of the view's renderers, and `?dialect=` of the document itself.
fn parameters(route: &Route<'_>) -> Vec<Value> {
    let parameter = |name: &str, description: &str, values: &[&str]| {
        let schema = json!({ "type": "string", "enum": values });
        json!({
            "name": name,
            "in": "query",
            "description": description,
            // What is empty is not looked at.
            "allowEmptyValue": true,
            "schema": schema,
        })
    };
    let mut formats: Vec<&str> = negotiable(&route.view).map(Renderer::format).collect();
    formats.dedup();
    let text = "Asks for a format whatever `Accept` prefers; it must accept it all the same.";
    let mut parameters = vec![parameter("format", text, &formats)];
    if !route.in_spectacular {
        let text = "Which document: this one, or the one that drf-spectacular makes of the site.";
        parameters.push(parameter("dialect", text, &Dialect::NAMES));
    }
    parameters
}

/// The answer of the handler, in each type in which it can be had.
fn success(route: &Route<'_>, declared: &Value, schemas: &Map<String, Value>) -> Value {
    let schema = declared.pointer("/responses/200/content/application~1json/schema");
    let name = schema.and_then(|schema| schema.get("$ref")?.as_str()?.rsplit('/').next());
    let description = name.and_then(|name| schemas.get(name)?.get("description"));
    let schema = schema.filter(|_| name.is_some()).cloned();
    let schema = schema.unwrap_or_else(|| json!({ "type": "object" }));
    let content: Map<String, Value> = negotiable(&route.view)
        .map(|renderer| (renderer.media_type().to_owned(), json!({ "schema": schema })))
        .collect();
    let description = description.cloned().unwrap_or_else(|| json!("The document."));
    json!({ "description": description, "content": content })
}

/// The token of a login is what the secret view wants.
fn link_login_to_secret(routes: &[Route<'_>], names: &Names<'_>, paths: &mut Map<String, Value>) {
    let of = |declared| routes.iter().find(|route| route.declared == declared);
    let (Some(login), Some(secret)) = (of("/api-token-auth"), of("/secret")) else { return };
    let operation = names.operation_id(secret.path, "get");
    let authorization = format!("{} {{$response.body#/token}}", login.keyword);
    let login = paths.get_mut(login.path).and_then(|path| path.pointer_mut("/post/responses/200"));
    if let Some(response) = login.and_then(Value::as_object_mut) {
        let link = json!({
            "operationId": operation,
            "parameters": { "header.Authorization": authorization },
            "description": "The token opens this view.",
        });
        response.insert("links".to_owned(), json!({ "secret": link }));
    }
}

/// The members of what is known to be an object.
fn members(value: Option<&Value>) -> impl Iterator<Item = (&String, &Value)> {
    value.and_then(Value::as_object).into_iter().flatten()
}

#[cfg(test)]
mod tests;
