//! `django.middleware`: what stands around every view, as poem middleware.
//!
//! `urls` lists them in the order of Django's MIDDLEWARE; the header order of an answer
//! follows from it.

mod clickjacking;
mod common;
pub mod csrf;
mod locale;
mod security;
mod session;

use poem::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use poem::{Body, Response};

pub use self::clickjacking::XFrameOptionsMiddleware;
pub use self::common::CommonMiddleware;
pub use self::locale::LocaleMiddleware;
pub use self::security::SecurityMiddleware;
pub use self::session::{Accessed, Cookies, SessionMiddleware};
use super::defaults;

/// `MAX_URL_REDIRECT_LENGTH`, in characters.
const MAX_URL_REDIRECT_LENGTH: usize = 16_384;

const SECURITY: &str = "django.middleware.security.SecurityMiddleware";
const LOCALE: &str = "django.middleware.locale.LocaleMiddleware";
const COMMON: &str = "django.middleware.common.CommonMiddleware";
const FRAME_OPTIONS: &str = "django.middleware.clickjacking.XFrameOptionsMiddleware";
const SESSION: &str = "django.contrib.sessions.middleware.SessionMiddleware";
const AUTHENTICATION: &str = "django.contrib.auth.middleware.AuthenticationMiddleware";
/// Those that change nothing of an answer here, but where a site has `SessionAuthentication`.
const WITHOUT_EFFECT: [&str; 4] = [
    SESSION,
    "django.middleware.csrf.CsrfViewMiddleware",
    AUTHENTICATION,
    "django.contrib.messages.middleware.MessageMiddleware",
];

/// Where `LocaleMiddleware` stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LocalePlace {
    /// Around `CommonMiddleware`, where Django's documentation wants it.
    AroundCommon,
    /// Behind it: what `CommonMiddleware` answers has no language then.
    InCommon,
}

/// `MIDDLEWARE`, as far as it decides answers: each in its place, outside first, may be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stack {
    /// `SecurityMiddleware`
    pub security: bool,
    /// `LocaleMiddleware`
    pub locale: Option<LocalePlace>,
    /// `XFrameOptionsMiddleware`
    pub frame_options: bool,
}

impl Stack {
    /// Of the class paths of `MIDDLEWARE`; the error is the remedy.
    pub fn new(middleware: &[String]) -> Result<Self, String> {
        let mut rest = middleware
            .iter()
            .map(String::as_str)
            .filter(|path| !WITHOUT_EFFECT.contains(path))
            .peekable();
        let mut take = |path: &str| rest.next_if(|next| *next == path).is_some();
        let security = take(SECURITY);
        let around_common = take(LOCALE).then_some(LocalePlace::AroundCommon);
        let common = take(COMMON);
        let locale = around_common.or_else(|| take(LOCALE).then_some(LocalePlace::InCommon));
        let frame_options = take(FRAME_OPTIONS);
        let known = [SECURITY, LOCALE, COMMON, FRAME_OPTIONS];
        let is_in_order = rest.peek().is_none() && common;
        let unknown: Vec<&str> = rest.filter(|path| !known.contains(path)).collect();
        if !unknown.is_empty() {
            let unknown = unknown.join(", ");
            return Err(format!("not supported: {unknown}; leave out what no answer needs"));
        }
        if !is_in_order {
            return Err(format!(
                "CommonMiddleware is needed, and this order: {}; {LOCALE} stands before or after \
                 CommonMiddleware",
                [SECURITY, COMMON, FRAME_OPTIONS].join(", ")
            ));
        }
        Ok(Self { security, locale, frame_options })
    }
}

/// Whether `SessionMiddleware` stands where a new project has it, and `AuthenticationMiddleware` behind it.
#[must_use]
pub fn has_sessions(middleware: &[String]) -> bool {
    let place = |path: &str| middleware.iter().position(|one| one == path);
    place(SESSION).is_some_and(|session| {
        place(SECURITY).is_none_or(|outside| outside < session)
            && [LOCALE, COMMON].iter().all(|path| place(path).is_none_or(|inside| session < inside))
            && place(AUTHENTICATION).is_some_and(|inside| session < inside)
    })
}

/// Why a request does not come to its view.
enum Refused {
    /// `DisallowedHost` or `DisallowedRedirect`.
    BadRequest,
    /// `PermissionDenied`.
    Forbidden,
}

impl Refused {
    /// Django's page, of which it leaves the length to the server.
    fn page(self) -> Response {
        let mut page = match self {
            Self::BadRequest => defaults::bad_request(),
            Self::Forbidden => defaults::permission_denied(),
        };
        let body = page.take_body();
        page.set_body(Body::from_async_read(body.into_async_read()));
        page
    }
}

/// `HttpResponsePermanentRedirect`.
fn redirect(location: &str) -> Result<Response, Refused> {
    if location.chars().count() > MAX_URL_REDIRECT_LENGTH {
        return Err(Refused::BadRequest);
    }
    let location = HeaderValue::from_str(location).map_err(|_| Refused::BadRequest)?;
    let mut response = Response::builder().status(StatusCode::MOVED_PERMANENTLY).finish();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::LOCATION, location);
    // hyper moves the length of a body that it knows to be empty behind all other headers.
    response.set_body(Body::from_async_read(tokio::io::empty()));
    Ok(response)
}

/// `django.utils.cache.patch_vary_headers`, with one more, if it is not there.
fn patch_vary_headers(headers: &mut HeaderMap, more: &'static str) {
    let vary = headers.get(header::VARY).and_then(|vary| vary.to_str().ok());
    let vary = match vary {
        None => HeaderValue::from_static(more),
        Some(vary) if vary.split(',').any(|one| one.trim().eq_ignore_ascii_case(more)) => return,
        Some(vary) => match HeaderValue::from_str(&format!("{vary}, {more}")) {
            Ok(vary) => vary,
            Err(_) => return,
        },
    };
    headers.insert(header::VARY, vary);
}

/// `response.headers.setdefault`.
fn set_default(headers: &mut HeaderMap, name: &HeaderName, value: &HeaderValue) {
    headers.entry(name).or_insert_with(|| value.clone());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stack(middleware: &[&str]) -> Result<Stack, String> {
        Stack::new(&middleware.iter().map(|&path| path.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn the_language_is_chosen_before_or_after_common_middleware() {
        let place = |middleware: &[&str]| stack(middleware).unwrap().locale;
        assert_eq!(place(&[SECURITY, COMMON, FRAME_OPTIONS]), None);
        let around = place(&[SECURITY, WITHOUT_EFFECT[0], LOCALE, COMMON]);
        assert_eq!(around, Some(LocalePlace::AroundCommon));
        let behind = place(&[COMMON, LOCALE, WITHOUT_EFFECT[1], FRAME_OPTIONS]);
        assert_eq!(behind, Some(LocalePlace::InCommon));
    }

    #[test]
    fn what_varies_is_told_once() {
        let mut headers = HeaderMap::new();
        for (more, told) in [
            ("Accept", "Accept"),
            ("Cookie", "Accept, Cookie"),
            ("cookie", "Accept, Cookie"),
            ("Accept-Language", "Accept, Cookie, Accept-Language"),
        ] {
            patch_vary_headers(&mut headers, more);
            assert_eq!(headers[header::VARY], told);
        }
    }

    #[test]
    fn an_unknown_middleware_and_an_unknown_order_are_refused() {
        let unknown = stack(&[SECURITY, "site.Own", COMMON, "site.Other"]).unwrap_err();
        assert!(unknown.starts_with("not supported: site.Own, site.Other;"), "{unknown}");
        let others: [&[&str]; 5] = [
            &[COMMON, SECURITY],
            &[FRAME_OPTIONS, COMMON],
            &[LOCALE, SECURITY, COMMON],
            &[COMMON, FRAME_OPTIONS, LOCALE],
            &[SECURITY],
        ];
        for middleware in others {
            assert!(stack(middleware).unwrap_err().starts_with("CommonMiddleware is needed"));
        }
    }
}
