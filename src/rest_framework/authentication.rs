//! `rest_framework.authentication`: who sends the request.

use std::borrow::Cow;

use poem::http::{HeaderMap, HeaderValue, header};

use super::exceptions::APIException;
use super::messages::{
    INACTIVE, INVALID_CHARACTERS, Message, NO_CREDENTIALS, NO_SUCH_TOKEN, SPACES,
};
use crate::django::auth::models::User;
use crate::settings::Settings;
use crate::state::State;

/// An authentication class of a view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authentication {
    /// `TokenAuthentication`.
    Token,
}

impl Authentication {
    /// `authenticate`: `Ok(None)` where the request does not try to authenticate this way.
    pub async fn authenticate(
        self,
        headers: &HeaderMap,
        state: &State,
    ) -> Result<Option<User>, APIException> {
        match self {
            Self::Token => {
                match token_of(&get_authorization_header(headers), &state.settings.token_keywords)?
                {
                    Some(key) => authenticate_credentials(state, key).await.map(Some),
                    None => Ok(None),
                }
            }
        }
    }

    /// `authenticate_header`, the value of `WWW-Authenticate` on a 401.
    #[must_use]
    pub fn authenticate_header(self, settings: &Settings) -> &str {
        match self {
            Self::Token => settings.token_keywords.first().map_or("Token", String::as_str),
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
        }
    }
}

/// `Request._authenticate`: the first class that knows the client decides.
pub async fn authenticate(
    classes: &[Authentication],
    headers: &HeaderMap,
    state: &State,
) -> Result<Option<User>, APIException> {
    for class in classes {
        if let Some(user) = class.authenticate(headers, state).await? {
            return Ok(Some(user));
        }
    }
    Ok(None)
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
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t'..=b'\r');
    let mut parts = header.split(is_space).filter(|part| !part.is_empty());
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
    fn repeated_headers_are_joined_with_a_comma() {
        let mut headers = HeaderMap::new();
        headers.append(header::AUTHORIZATION, "Token A".parse().unwrap());
        headers.append(header::AUTHORIZATION, "Token B".parse().unwrap());
        assert_eq!(get_authorization_header(&headers).as_ref(), b"Token A,Token B");
    }
}
