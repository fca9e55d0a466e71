//! Forward auth: a proxy asks whether a request that goes elsewhere may pass.
//!
//! It is a view as DRF's are: authentication and permissions decide, a refusal is DRF's. But a
//! proxy asks with the method, the headers and often the path and the query of the request that
//! it is about, so none of these is looked at: no negotiation, no method lookup, no body.
//!
//! Why percent-encoding? A name may hold what a header cannot. RFC 3986 leaves all names alone
//! that Django's validator allows in ASCII, so that a reader who does not decode, as
//! `RemoteUserMiddleware`, is right for them; base64 would be right for nobody who does not
//! decode, and RFC 8187 is for parameters only.

use std::io;
use std::sync::Arc;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use poem::http::{HeaderName, HeaderValue, StatusCode, header};
use poem::{Request, Response};

use crate::django::auth::models::{Profile, User};
use crate::metrics::Outcome;
use crate::rest_framework::authentication;
use crate::rest_framework::exceptions::APIException;
use crate::rest_framework::permissions::{self, Permission};
use crate::rest_framework::renderers::{Renderer, render_json};
use crate::rest_framework::view::View;
use crate::rest_framework::views;
use crate::settings::Settings;
use crate::state::State;

/// The view's attributes.
pub const VIEW: View = View {
    name: "Forward Auth",
    description: "",
    renderers: &[Renderer::Json],
    parsers: &[],
    permissions: &[Permission::IsAuthenticated],
    serializer: None,
    head: false,
};

/// RFC 3986 without its unreserved characters, and without `@` and `+`, which stand in names.
const ENCODED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'@').remove(b'+');

/// In nginx's mode: the status that nginx would not have understood.
const X_AUTH_ERROR: HeaderName = HeaderName::from_static("x-auth-error");

/// What an identity header says.
#[derive(Debug, Clone, Copy)]
enum Field {
    User,
    UserId,
    Email,
    Staff,
    Groups,
}

impl Field {
    /// Its value; `None` where that is not known.
    fn of(self, user: &User) -> Option<String> {
        let profile = user.profile.as_deref();
        match self {
            Self::User => Some(encode(&user.username)),
            Self::UserId => Some(encode(&user.pk)),
            Self::Email => profile.map(|profile| encode(&profile.email)),
            Self::Staff => profile.map(|profile| profile.is_staff.to_string()),
            Self::Groups => profile.map(groups),
        }
    }
}

fn groups(profile: &Profile) -> String {
    profile.groups.iter().map(|name| encode(name)).collect::<Vec<_>>().join(",")
}

fn encode(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

/// The view, with the headers that the settings name.
pub struct ForwardAuth {
    state: Arc<State>,
    /// The path without its last slash.
    prefix: String,
    identity: Vec<(HeaderName, Field)>,
}

impl ForwardAuth {
    /// The settings have checked the names of the headers.
    #[must_use]
    pub fn new(state: Arc<State>) -> Self {
        let settings = &state.settings;
        let prefix = settings.forward_auth_path.trim_end_matches('/').to_owned();
        Self { identity: identity(settings), prefix, state }
    }

    /// Whether this path is the view's or below it.
    #[must_use]
    pub fn is_asked(&self, path: &str) -> bool {
        let below = path.strip_prefix(&self.prefix);
        below.is_some_and(|below| below.is_empty() || below.starts_with('/'))
    }

    /// 200 without a body, or DRF's refusal. Every identity header is there in each answer, empty
    /// where nobody is let in: the proxy copies it over one that the client has sent.
    pub async fn dispatch(&self, request: &Request) -> Response {
        let outcome = self.user(request).await;
        let mut response = match &outcome {
            Ok(_) => Response::default(),
            Err(exception) => refusal(exception, &self.state),
        };
        if self.state.settings.forward_auth_nginx {
            map_for_nginx(&mut response);
        }
        let reason = outcome.as_ref().err().map_or("", APIException::code);
        response.extensions_mut().insert(Outcome { view: VIEW.name, reason });
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        for (name, field) in &self.identity {
            let value = outcome.as_ref().ok().and_then(|user| field.of(user)).unwrap_or_default();
            // What is encoded can stand in a header.
            let value = HeaderValue::try_from(value).unwrap_or(HeaderValue::from_static(""));
            headers.insert(name.clone(), value);
        }
        response
    }

    async fn user(&self, request: &Request) -> Result<User, APIException> {
        let permissions = required(request.uri().query())?;
        let user = authentication::authenticate_by_header(request, &self.state).await?;
        permissions::check_permissions(permissions, user.as_ref())?;
        let user = user.ok_or(APIException::NotAuthenticated)?;
        if is_asked_for_a_refusal(request.uri().query()) {
            let changed =
                io::Error::other("a proxy asked for a refusal that there is none of any more");
            return Err(APIException::unavailable(changed));
        }
        Ok(user)
    }
}

fn identity(settings: &Settings) -> Vec<(HeaderName, Field)> {
    let named = [
        (&settings.forward_auth_user_header, Field::User),
        (&settings.forward_auth_user_id_header, Field::UserId),
        (&settings.forward_auth_email_header, Field::Email),
        (&settings.forward_auth_staff_header, Field::Staff),
        (&settings.forward_auth_groups_header, Field::Groups),
    ];
    named
        .into_iter()
        .filter_map(|(name, field)| Some((name.as_ref()?.parse().ok()?, field)))
        .collect()
}

/// `?require=staff` is `IsAdminUser`. A word that is not known lets nobody in: it may be `staff`,
/// mistyped. A client whose query the proxy adds can only ask for more.
pub fn required(query: Option<&str>) -> Result<&'static [Permission], APIException> {
    let mut permissions = VIEW.permissions;
    for (name, value) in url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        match (name.as_ref(), value.as_ref()) {
            ("require", "staff") => permissions = &[Permission::IsAdminUser],
            ("require", _) => {
                return Err(APIException::ParseError("require can be staff only.".to_owned()));
            }
            _ => {}
        }
    }
    Ok(permissions)
}

/// `?refusal`: nginx loses the body of a refusal and asks for it again. What was refused a moment ago,
/// say as the database was away, must not be told to the client as done.
fn is_asked_for_a_refusal(query: Option<&str>) -> bool {
    let mut fields = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    fields.any(|(name, _)| name == "refusal")
}

/// `exception_handler`. There is no `Allow` and no `Vary`: those of the request's own view are
/// not known here.
fn refusal(exception: &APIException, state: &State) -> Response {
    views::report(exception);
    let Some(detail) = exception.detail(state.languages.fallback()) else {
        return views::server_error();
    };
    let mut response = Response::builder()
        .status(views::status(exception, &state.settings))
        .content_type(Renderer::Json.content_type())
        .body(render_json(&detail, 0));
    if let Some((name, value)) = views::extra_header(exception, &state.settings) {
        response.headers_mut().insert(name, value);
    }
    response
}

/// nginx passes 2xx, 401 and 403, and makes a 500 of all else.
fn map_for_nginx(response: &mut Response) {
    let status = response.status();
    if !status.is_success() && ![StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(&status)
    {
        response.headers_mut().insert(X_AUTH_ERROR, HeaderValue::from(status.as_u16()));
        response.set_status(StatusCode::FORBIDDEN);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_djangos_validator_allows_in_ascii_stays_as_it_is() {
        assert_eq!(encode("Alice.B-c_d+e@example.com~1"), "Alice.B-c_d+e@example.com~1");
    }

    #[test]
    fn all_else_is_percent_encoded_so_that_decoding_gives_the_name() {
        for name in ["é", "a b", "100%", "%41", "a,b", "a\r\nSet-Cookie: x", "\0", "名", "\u{7f}"]
        {
            let encoded = encode(name);
            assert!(
                encoded.bytes().all(|byte| byte.is_ascii_graphic() && byte != b','),
                "{encoded}"
            );
            let decoded = percent_encoding::percent_decode_str(&encoded).decode_utf8().unwrap();
            assert_eq!(decoded, name);
        }
    }

    #[test]
    fn staff_is_required_when_the_query_says_so_anywhere() {
        let staff = |query| required(Some(query)).map(|found| found == [Permission::IsAdminUser]);
        for (query, is_required) in [
            ("", false),
            ("a=b", false),
            ("Require=staff", false),
            ("require=staff", true),
            ("require=staff&a=b", true),
            ("a=b&require=staff", true),
            ("re%71uire=st%61ff", true),
        ] {
            assert_eq!(staff(query).unwrap(), is_required, "{query}");
        }
    }

    #[test]
    fn a_word_that_is_not_known_is_refused_even_beside_a_known_one() {
        for query in
            ["require", "require=", "require=Staff", "require=staff&require=x", "require=staff,"]
        {
            assert!(required(Some(query)).is_err(), "{query}");
        }
    }
}
