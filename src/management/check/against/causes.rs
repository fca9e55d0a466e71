//! What makes two answers differ: the settings, and what to do.

use http::{HeaderName, header};

/// Settings that one cause concerns, and the remedy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cause {
    pub(super) settings: &'static str,
    pub(super) hint: &'static str,
}

macro_rules! causes {
    ($($name:ident = $settings:literal, $hint:literal;)+) => {
        $(pub(super) const $name: Cause = Cause { settings: $settings, hint: $hint };)+
    };
}

causes! {
    LOGIN_PATH = "LOGIN_PATH", "Name the path at which the site's URLs have obtain_auth_token; what stands before it and a proxy takes away belongs into the URL of --against.";
    LOGIN_VIEW = "LOGIN_PATH", "The view at this path is not DRF's obtain_auth_token: name the path of that one, or leave this one with Django.";
    SECRET_PATH = "SECRET_PATH", "Name the path of the site's protected view, or None if there is none.";
    SECRET_VIEW = "SECRET_PATH", "The view at this path is another one than that of the reference site: write None, and leave it with Django.";
    FORMAT = "URL_FORMAT_OVERRIDE", "Set it to the site's REST_FRAMEWORK['URL_FORMAT_OVERRIDE'].";
    TEXTS = "LANGUAGE_CODE", "Set it to the site's, with its texts in MESSAGES (scripts/export_settings.py writes both) and its releases in DJANGO_VERSION and DRF_VERSION. Where the texts are the view's own, leave it with Django.";
    LANGUAGES = "LANGUAGES", "Set MIDDLEWARE (LocaleMiddleware, and its place), LANGUAGES, LANGUAGE_CODE and MESSAGES to the site's: scripts/export_settings.py writes them.";
    DJANGO = "DJANGO_VERSION", "Set it to the site's django.VERSION.";
    DRF = "DRF_VERSION", "Set it to the site's rest_framework.VERSION.";
    PYTHON = "PYTHON_VERSION", "Set it to the version of the site's Python.";
    KEYWORDS = "TOKEN_KEYWORDS", "Name the keywords of the site's TokenAuthentication classes, in their order, and DEFAULT_AUTHENTICATION_CLASSES too.";
    AUTHENTICATION = "DEFAULT_AUTHENTICATION_CLASSES", "Set it to the classes of the site's view, in their order; one that is none of the three leaves the endpoint with Django.";
    HOSTS = "ALLOWED_HOSTS", "Set it to the site's, and USE_X_FORWARDED_HOST too. A proxy in front may have answered for Django: then ask Django's own address.";
    AGENT = "DISALLOWED_USER_AGENTS", "Set it to the site's. A proxy in front may have answered for Django: then ask Django's own address.";
    WWW = "PREPEND_WWW", "Set it to the site's.";
    SLASH = "APPEND_SLASH", "Set it to the site's.";
    PREFIX = "FORCE_SCRIPT_NAME", "Set it to the site's: what stands before its paths, and the proxy takes away.";
    REDIRECT = "SECURE_SSL_REDIRECT", "Set it to the site's, and SECURE_SSL_HOST and SECURE_REDIRECT_EXEMPT. If it is, set SECURE_PROXY_SSL_HEADER to what tells Django of https, or ask by https.";
    SCHEME = "SECURE_PROXY_SSL_HEADER", "Set it to the site's: it says which header means https.";
    HSTS = "SECURE_HSTS_SECONDS", "Set it, SECURE_HSTS_INCLUDE_SUBDOMAINS and SECURE_HSTS_PRELOAD to the site's, and SECURE_PROXY_SSL_HEADER too. A proxy in front may have added it: ask Django's own address to know.";
    FRAME = "X_FRAME_OPTIONS", "Set it to the site's; if one of the two has no such header, set MIDDLEWARE to the site's.";
    SNIFF = "SECURE_CONTENT_TYPE_NOSNIFF", "Set it to the site's; if all headers of SecurityMiddleware differ, set MIDDLEWARE to the site's.";
    REFERRER = "SECURE_REFERRER_POLICY", "Set it to the site's; if all headers of SecurityMiddleware differ, set MIDDLEWARE to the site's.";
    OPENER = "SECURE_CROSS_ORIGIN_OPENER_POLICY", "Set it to the site's; if all headers of SecurityMiddleware differ, set MIDDLEWARE to the site's.";
    FAULT = "--against", "The site is at fault here, or refuses to be asked so often: mend that, then ask again.";
}

/// Headers that Django or DRF gives these answers, and what decides them where it is always the same.
pub(super) const HEADERS: [(HeaderName, Option<Cause>); 11] = [
    (header::WWW_AUTHENTICATE, None),
    (header::CONTENT_TYPE, None),
    (header::ALLOW, None),
    (header::LOCATION, None),
    (header::VARY, None),
    (header::CONTENT_LANGUAGE, Some(LANGUAGES)),
    (header::X_FRAME_OPTIONS, Some(FRAME)),
    (header::X_CONTENT_TYPE_OPTIONS, Some(SNIFF)),
    (header::REFERRER_POLICY, Some(REFERRER)),
    (HeaderName::from_static("cross-origin-opener-policy"), Some(OPENER)),
    (header::STRICT_TRANSPORT_SECURITY, Some(HSTS)),
];

/// A text as it can be shown, in quotes and in one line.
pub(super) fn excerpt(text: &str) -> String {
    let begin: String = text.chars().take(100).collect();
    if begin == text { format!("{begin:?}") } else { format!("{begin:?}…") }
}
