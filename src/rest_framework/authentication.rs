//! `rest_framework.authentication`: who sends the request.

mod session;

use std::borrow::Cow;

use poem::Request;
use poem::http::{HeaderMap, HeaderValue, header};
use zeroize::Zeroizing;

use super::exceptions::APIException;
use super::messages::{
    BASIC_NO_BASE64, BASIC_NO_CREDENTIALS, BASIC_SPACES, INACTIVE, INVALID_CHARACTERS, Message,
    NO_CREDENTIALS, NO_SUCH_LOGIN, NO_SUCH_TOKEN, SPACES,
};
use super::request::RequestClient;
use super::view::View;
use crate::django::auth::backends::{self, Refused};
use crate::django::auth::models::User;
use crate::django::http::multipartparser::base64::b64decode_lenient;
use crate::django::middleware::Accessed;
use crate::django::utils::text::is_bytes_space;
use crate::memory::TypedText;
use crate::settings::Settings;
use crate::state::State;

pub use crate::settings::Authentication;

impl Authentication {
    /// `authenticate` by the `Authorization` header: `Ok(None)` where it does not try to authenticate this way.
    async fn authenticate(
        self,
        request: &Request,
        state: &State,
    ) -> Result<Option<User>, APIException> {
        let header = get_authorization_header(request.headers());
        match self {
            Self::Token => match token_of(&header, &state.settings.token_keywords)? {
                Some(key) => authenticate_credentials(state, key).await.map(Some),
                None => Ok(None),
            },
            Self::Basic => match credentials_of(&header)? {
                // Boxed: it is large, and sites with tokens alone never have it.
                Some(credentials) => {
                    Box::pin(authenticate_password(request, state, credentials)).await.map(Some)
                }
                None => Ok(None),
            },
            Self::Session => Ok(None),
        }
    }

    /// `authenticate_header`, the value of `WWW-Authenticate` on a 401; `None` where that is a 403.
    #[must_use]
    pub fn authenticate_header(self, settings: &Settings) -> Option<&str> {
        match self {
            Self::Token => Some(settings.token_keywords.first().map_or("Token", String::as_str)),
            Self::Basic => Some("Basic realm=\"api\""),
            Self::Session => None,
        }
    }

    /// How it refuses: a name, when, and the text that is answered.
    #[must_use]
    pub fn refusals(self) -> &'static [(&'static str, &'static str, Message)] {
        match self {
            Self::Token => &[
                ("token_unknown", "The token is nobody's.", NO_SUCH_TOKEN),
                ("token_inactive", "The token's user is not active.", INACTIVE),
                ("token_empty", "`Token` and no token.", NO_CREDENTIALS),
                ("token_spaces", "A token with spaces in it.", SPACES),
                ("token_characters", "A token that is not UTF-8.", INVALID_CHARACTERS),
            ],
            Self::Basic => &[
                ("basic_refused", "No such active user, or a wrong password.", NO_SUCH_LOGIN),
                ("basic_empty", "`Basic` and nothing more.", BASIC_NO_CREDENTIALS),
                ("basic_spaces", "Credentials with spaces in them.", BASIC_SPACES),
                ("basic_base64", "No base64, or no colon in it.", BASIC_NO_BASE64),
            ],
            Self::Session => &[],
        }
    }
}

/// `Request._authenticate`: the first class of the site that knows the client decides. What is found of the session
/// is told to `accessed`, if one is looked at.
pub async fn authenticate(
    request: &mut Request,
    view: &View,
    state: &State,
    accessed: &mut Option<Accessed>,
) -> Result<Option<User>, APIException> {
    for class in &state.settings.default_authentication_classes {
        let found = match class {
            // Boxed: it is large, and a token needs none of it.
            Authentication::Session => {
                Box::pin(session::authenticate(request, view, state, accessed)).await?
            }
            other => other.authenticate(request, state).await?,
        };
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// The same without the cookies, for a question about a request that goes elsewhere: its method and its body, which
/// the rules against CSRF look at, are not known here.
pub async fn authenticate_by_header(
    request: &Request,
    state: &State,
) -> Result<Option<User>, APIException> {
    for class in &state.settings.default_authentication_classes {
        if let Some(user) = class.authenticate(request, state).await? {
            return Ok(Some(user));
        }
    }
    Ok(None)
}

/// `APIView.get_authenticate_header`: the challenge of the site's first class.
#[must_use]
pub fn get_authenticate_header(settings: &Settings) -> Option<&str> {
    settings.default_authentication_classes.first()?.authenticate_header(settings)
}

/// The status of an answer to `exception`: `APIView.handle_exception` makes a 403 of a 401 where the
/// site's first class has no challenge.
#[must_use]
pub fn status_code(exception: &APIException, settings: &Settings) -> u16 {
    match exception.status_code() {
        401 if get_authenticate_header(settings).is_none() => 403,
        status => status,
    }
}

/// `get_authorization_header`. WSGI joins repeated headers with a comma.
#[must_use]
pub fn get_authorization_header(headers: &HeaderMap) -> Cow<'_, [u8]> {
    let mut lines = headers.get_all(header::AUTHORIZATION).iter().map(HeaderValue::as_bytes);
    let first = Cow::Borrowed(lines.next().unwrap_or_default());
    lines.fold(first, |joined, line| Cow::Owned([&joined, line].join(&b',')))
}

/// `TokenAuthentication.authenticate`: the key of a `Token …` header, `None` for other schemes. Each
/// of `keywords` is one class of DRF's in a row.
pub fn token_of<'a>(
    header: &'a [u8],
    keywords: &[String],
) -> Result<Option<&'a str>, APIException> {
    let fail = |text| Err(APIException::AuthenticationFailed(text));
    let mut parts = words(header);
    match parts.next() {
        Some(scheme) if keywords.iter().any(|one| scheme.eq_ignore_ascii_case(one.as_bytes())) => {}
        _ => return Ok(None),
    }
    match (parts.next(), parts.next()) {
        (None, _) => fail(NO_CREDENTIALS),
        (Some(_), Some(_)) => fail(SPACES),
        (Some(key), None) => str::from_utf8(key).map(Some).or_else(|_| fail(INVALID_CHARACTERS)),
    }
}

/// `bytes.split()`
fn words(header: &[u8]) -> impl Iterator<Item = &[u8]> {
    header.split(|byte| is_bytes_space(*byte)).filter(|word| !word.is_empty())
}

/// `BasicAuthentication.authenticate`: the name and the password of a `Basic …` header, `None` for
/// other schemes.
fn credentials_of(header: &[u8]) -> Result<Option<(TypedText, TypedText)>, APIException> {
    let fail = |text| Err(APIException::AuthenticationFailed(text));
    let mut parts = words(header);
    if !parts.next().is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"basic")) {
        return Ok(None);
    }
    let encoded = match (parts.next(), parts.next()) {
        (None, _) => return fail(BASIC_NO_CREDENTIALS),
        (Some(_), Some(_)) => return fail(BASIC_SPACES),
        (Some(encoded), None) => encoded,
    };
    let Some(decoded) = b64decode_lenient(encoded) else { return fail(BASIC_NO_BASE64) };
    // With room for all of it, so that it does not move and leave a copy.
    let mut text = Zeroizing::new(String::with_capacity(2 * decoded.len()));
    match str::from_utf8(&decoded) {
        Ok(utf_8) => text.push_str(utf_8),
        Err(_) => text.extend(decoded.iter().copied().map(char::from)),
    }
    match text.split_once(':') {
        Some((name, password)) => Ok(Some((name.into(), password.into()))),
        None => fail(BASIC_NO_BASE64),
    }
}

/// `BasicAuthentication.authenticate_credentials`. `ModelBackend` lets no inactive user in, so that
/// "User inactive or deleted." is never said here.
async fn authenticate_password(
    request: &Request,
    state: &State,
    (username, password): (TypedText, TypedText),
) -> Result<User, APIException> {
    let State { database, users, hashing_pool, .. } = state;
    let client = RequestClient::new(request, &state.settings);
    let password = password.into();
    let verified =
        backends::authenticate(database, users, hashing_pool, &username, &password).await;
    match verified.map_err(APIException::unavailable)? {
        Ok(credentials) => {
            client.audit(state, Some(&credentials.user.pk), "succeeded");
            Ok(credentials.user)
        }
        Err(Refused { user, reason }) => {
            client.audit(state, user.as_deref(), reason);
            Err(APIException::AuthenticationFailed(NO_SUCH_LOGIN))
        }
    }
}

/// `TokenAuthentication.authenticate_credentials`.
async fn authenticate_credentials(state: &State, key: &str) -> Result<User, APIException> {
    let found = state.lookups.for_key(key).await;
    match found.map_err(APIException::unavailable)? {
        None => Err(APIException::AuthenticationFailed(NO_SUCH_TOKEN)),
        Some(user) if !user.is_active => Err(APIException::AuthenticationFailed(INACTIVE)),
        Some(user) => Ok(user),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(header: &[u8]) -> Result<Option<&str>, APIException> {
        token_of(header, &["Token".to_owned()])
    }

    #[test]
    fn each_keyword_is_a_scheme_and_no_other() {
        let keywords = ["Bearer".to_owned(), "JWT".to_owned()];
        for (header, key) in [("bearer k", Some("k")), ("jwt k", Some("k")), ("Token k", None)] {
            assert_eq!(token_of(header.as_bytes(), &keywords).unwrap(), key, "{header}");
        }
    }

    fn detail(header: &[u8]) -> Message {
        match token(header) {
            Err(APIException::AuthenticationFailed(text)) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn another_scheme_or_no_scheme_is_anonymous() {
        for header in ["", "  ", "Bearer x", "Tokenx y", "9944b09199c62bcf", "Token\u{a0}x"] {
            assert_eq!(token(header.as_bytes()).unwrap(), None, "{header:?}");
        }
    }

    #[test]
    fn the_scheme_is_matched_without_case_and_blanks_do_not_count() {
        for header in ["Token k", "tOKEN \t k  ", "  TOKEN k"] {
            assert_eq!(token(header.as_bytes()).unwrap(), Some("k"), "{header:?}");
        }
        assert_eq!(token("Token schlüssel".as_bytes()).unwrap(), Some("schlüssel"));
    }

    #[test]
    fn a_malformed_token_header_is_401_with_its_reason() {
        assert_eq!(detail(b"Token"), NO_CREDENTIALS);
        assert_eq!(detail(b"Token a b"), SPACES);
        for key in [&b"\xe9"[..], b"\xff", b"\xed\xa0\x80", b"\xc0\xaf"] {
            assert_eq!(detail(&[b"Token ", key].concat()), INVALID_CHARACTERS);
        }
    }

    #[test]
    fn basic_credentials_are_utf_8_or_latin_1_up_to_the_first_colon() {
        for (encoded, name, password) in [
            ("YTpiOmM=", "a", "b:c"),
            ("Og==", "", ""),
            ("w7w6w7w=", "ü", "ü"),
            ("/Dr8", "ü", "ü"),
            ("Y-T!pi", "a", "b"),
        ] {
            let header = format!(" bASIC\t{encoded} ");
            let (found, typed) = credentials_of(header.as_bytes()).unwrap().unwrap();
            assert_eq!((&*found, &*typed), (name, password), "{encoded}");
        }
        for header in ["", "Basics YTpi", "Token x"] {
            assert!(credentials_of(header.as_bytes()).unwrap().is_none(), "{header}");
        }
    }

    #[test]
    fn malformed_basic_credentials_are_401_with_their_reason() {
        for (header, text) in [
            ("Basic", BASIC_NO_CREDENTIALS),
            ("basic a b", BASIC_SPACES),
            ("Basic YTp", BASIC_NO_BASE64),
            ("Basic YWI=", BASIC_NO_BASE64),
        ] {
            let found = credentials_of(header.as_bytes());
            assert!(
                matches!(found, Err(APIException::AuthenticationFailed(told)) if told == text),
                "{header}"
            );
        }
    }

    #[test]
    fn repeated_headers_are_joined_with_a_comma() {
        let mut headers = HeaderMap::new();
        headers.append(header::AUTHORIZATION, "Token A".parse().unwrap());
        headers.append(header::AUTHORIZATION, "Token B".parse().unwrap());
        assert_eq!(get_authorization_header(&headers).as_ref(), b"Token A,Token B");
    }
}
