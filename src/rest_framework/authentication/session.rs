//! `rest_framework.authentication.SessionAuthentication`: who has logged in to the site's pages.

use poem::Request;
use poem::http::{HeaderMap, Method};

use super::APIException;
use crate::django::auth::get_user::{Found, get_user};
use crate::django::auth::models::User;
use crate::django::http::cookie;
use crate::django::http::request::header_text;
use crate::django::middleware::{Accessed, csrf};
use crate::django::utils::http::text_of_header;
use crate::rest_framework::request::load_data_and_files;
use crate::rest_framework::view::View;
use crate::settings::Settings;
use crate::state::State;

/// The field of a form that holds the token.
const FIELD: &str = "csrfmiddlewaretoken";

/// `SessionAuthentication.authenticate`
pub(super) async fn authenticate(
    request: &mut Request,
    view: &View,
    state: &State,
    accessed: &mut Option<Accessed>,
) -> Result<Option<User>, APIException> {
    let State { settings, database, users, .. } = state;
    let key = cookie::of_request(request.headers(), &settings.session_cookie_name);
    let found = get_user(database, settings, users, key.as_deref(), (state.now)()).await;
    let found = found.map_err(APIException::unavailable)?;
    *accessed = Some(Accessed { is_empty: matches!(found, Found::Nothing) });
    let Found::User(user) = found else { return Ok(None) };
    enforce_csrf(request, view, state).await?;
    Ok(Some(user))
}

/// `SessionAuthentication.enforce_csrf`
async fn enforce_csrf(
    request: &mut Request,
    view: &View,
    state: &State,
) -> Result<(), APIException> {
    let settings = &state.settings;
    // Safe by RFC 9110.
    if ["GET", "HEAD", "OPTIONS", "TRACE"].contains(&request.method().as_str()) {
        return Ok(());
    }
    let local = request.local_addr().as_socket_addr().copied();
    csrf::check_source(request.headers(), local, settings).map_err(APIException::CsrfFailed)?;
    let cookie = cookie::of_request(request.headers(), &settings.csrf_cookie_name);
    let secret = csrf::secret(cookie.as_deref()).map_err(APIException::CsrfFailed)?;
    let field = if request.method() == Method::POST {
        let mut data = load_data_and_files(request, view, state, FIELD).await?;
        // Of another type `request.POST` is empty.
        if is_form_media_type(request.headers()) { data.take_text(FIELD) } else { None }
    } else {
        None
    };
    let shown = match &field {
        Some(field) if !field.is_empty() => csrf::check_token(field, "POST", &secret),
        _ => check_header(request.headers(), settings, &secret),
    };
    shown.map_err(APIException::CsrfFailed)
}

fn check_header(
    headers: &HeaderMap,
    settings: &Settings,
    secret: &str,
) -> Result<(), csrf::Reason> {
    let name = settings.csrf_header();
    let token = name.as_ref().and_then(|name| header_text(headers, name));
    let Some((name, token)) = name.zip(token) else { return Err("CSRF token missing.".to_owned()) };
    csrf::check_token(&token, &format!("the '{}' HTTP header", title(name.as_str())), secret)
}

/// `HttpHeaders.parse_header_name`
fn title(name: &str) -> String {
    let capital = |word: &str| {
        let (first, rest) = word.split_at_checked(1).unwrap_or_default();
        first.to_uppercase() + rest
    };
    name.split('-').map(capital).collect::<Vec<_>>().join("-")
}

/// `is_form_media_type`
fn is_form_media_type(headers: &HeaderMap) -> bool {
    let content_type = headers.get("content-type").map(|value| text_of_header(value.as_bytes()));
    let content_type = content_type.unwrap_or_default().to_lowercase();
    let base = content_type.split(';').next().unwrap_or_default().trim();
    ["application/x-www-form-urlencoded", "multipart/form-data"].contains(&base)
}
