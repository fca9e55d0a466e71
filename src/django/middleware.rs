//! `django.middleware`: what stands around every view, as poem middleware.
//!
//! `urls` lists them in the order of Django's MIDDLEWARE; the header order of an answer
//! follows from it.

use std::sync::Arc;

use poem::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use poem::{Body, Endpoint, Request, Response, Result};

use super::defaults;
use super::http::{cookie, request};
use super::utils::http::text_of_header;
use super::utils::text::strip;
use super::utils::translation::Languages;
use crate::settings::Settings;

const SECURITY: &str = "django.middleware.security.SecurityMiddleware";
const LOCALE: &str = "django.middleware.locale.LocaleMiddleware";
const COMMON: &str = "django.middleware.common.CommonMiddleware";
const FRAME_OPTIONS: &str = "django.middleware.clickjacking.XFrameOptionsMiddleware";
/// Those that change nothing of an answer here.
const WITHOUT_EFFECT: [&str; 4] = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
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
        match rest.next() {
            Some(path) if !known.contains(&path) => {
                Err(format!("{path} is not supported; leave it out if no answer needs it"))
            }
            None if common => Ok(Self { security, locale, frame_options }),
            _ => Err(format!(
                "CommonMiddleware is needed, and this order: {}; {LOCALE} stands before or after \
                 CommonMiddleware",
                [SECURITY, COMMON, FRAME_OPTIONS].join(", ")
            )),
        }
    }
}

/// `SecurityMiddleware`: headers on every answer.
pub struct SecurityMiddleware<E> {
    inner: E,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// `Strict-Transport-Security`, and the header and value that mean https.
    hsts: Option<(HeaderValue, HeaderName, String)>,
}

impl<E> SecurityMiddleware<E> {
    /// Around `inner`. A value that cannot stand in a header was refused by the settings.
    pub fn new(inner: E, is_there: bool, settings: &Settings) -> Self {
        if !is_there {
            return Self { inner, headers: Vec::new(), hsts: None };
        }
        let nosniff = settings.secure_content_type_nosniff.then_some("nosniff");
        let headers = [
            (header::X_CONTENT_TYPE_OPTIONS, nosniff),
            (header::REFERRER_POLICY, settings.secure_referrer_policy.as_deref()),
            (
                HeaderName::from_static("cross-origin-opener-policy"),
                settings.secure_cross_origin_opener_policy.as_deref(),
            ),
        ];
        let headers = headers
            .into_iter()
            .filter_map(|(name, value)| Some((name, HeaderValue::from_str(value?).ok()?)))
            .collect();
        Self { inner, headers, hsts: hsts(settings) }
    }

    /// `HttpRequest.is_secure`, then the header. This service itself speaks plain HTTP.
    fn hsts(&self, request: &HeaderMap) -> Option<HeaderValue> {
        let (value, name, secure) = self.hsts.as_ref()?;
        let scheme = text_of_header(request.get(name)?.as_bytes());
        let is_secure = scheme.split(',').next().map(strip) == Some(secure);
        is_secure.then(|| value.clone())
    }
}

fn hsts(settings: &Settings) -> Option<(HeaderValue, HeaderName, String)> {
    let (name, secure) = settings.proxy_ssl_header()?;
    let mut value = format!("max-age={}", settings.secure_hsts_seconds);
    if settings.secure_hsts_include_subdomains {
        value.push_str("; includeSubDomains");
    }
    if settings.secure_hsts_preload {
        value.push_str("; preload");
    }
    let is_sent = settings.secure_hsts_seconds > 0;
    is_sent.then_some((HeaderValue::from_str(&value).ok()?, name, secure.to_owned()))
}

impl<E: Endpoint<Output = Response>> Endpoint for SecurityMiddleware<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> Result<Response> {
        let hsts = self.hsts(request.headers());
        let mut response = self.inner.call(request).await?;
        if let Some(hsts) = hsts {
            set_default(response.headers_mut(), &header::STRICT_TRANSPORT_SECURITY, &hsts);
        }
        for (name, value) in &self.headers {
            set_default(response.headers_mut(), name, value);
        }
        Ok(response)
    }
}

/// `CommonMiddleware`: the host check, the missing slash, `Content-Length`.
pub struct CommonMiddleware<E> {
    inner: E,
    settings: Arc<Settings>,
    /// `is_valid_path`: every path of the URL configuration.
    paths: Vec<String>,
}

impl<E> CommonMiddleware<E> {
    /// Around `inner`, which serves `paths`.
    pub fn new(inner: E, settings: Arc<Settings>, paths: Vec<String>) -> Self {
        Self { inner, settings, paths }
    }

    /// `should_redirect_with_slash`, and where to.
    fn redirect_with_slash(&self, request: &Request) -> Option<Response> {
        let path = request::path_info(request.uri().path());
        let is_valid = |path: &str| self.paths.iter().any(|known| known == path);
        if !self.settings.append_slash || is_valid(&path) || !is_valid(&format!("{path}/")) {
            return None;
        }
        let location = request::full_path_with_slash(&path, request.uri().query());
        // hyper moves the length of a body that it knows to be empty behind all other headers.
        let empty = Body::from_async_read(tokio::io::empty());
        let mut response = Response::builder().status(StatusCode::MOVED_PERMANENTLY).body(empty);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        headers.insert(header::LOCATION, HeaderValue::from_str(&location).ok()?);
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        Some(response)
    }
}

impl<E: Endpoint<Output = Response>> Endpoint for CommonMiddleware<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> Result<Response> {
        let local = request.local_addr().as_socket_addr().copied();
        let host = request::raw_host(request.headers(), local, &self.settings);
        if !request::is_allowed_host(&host, &self.settings.allowed_hosts) {
            return Ok(defaults::bad_request());
        }
        match self.redirect_with_slash(&request) {
            Some(redirect) => Ok(redirect),
            None => conditional_content_length(self.inner.call(request).await?).await,
        }
    }
}

/// `XFrameOptionsMiddleware`.
pub struct XFrameOptionsMiddleware<E> {
    inner: E,
    value: Option<HeaderValue>,
}

impl<E> XFrameOptionsMiddleware<E> {
    /// Around `inner`.
    pub fn new(inner: E, is_there: bool, settings: &Settings) -> Self {
        let value = is_there.then(|| settings.x_frame_options.to_uppercase());
        let value = value.and_then(|value| HeaderValue::from_str(&value).ok());
        Self { inner, value }
    }
}

impl<E: Endpoint<Output = Response>> Endpoint for XFrameOptionsMiddleware<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> Result<Response> {
        let mut response = self.inner.call(request).await?;
        if let Some(value) = &self.value {
            set_default(response.headers_mut(), &header::X_FRAME_OPTIONS, value);
        }
        Ok(response)
    }
}

/// `LocaleMiddleware`: the language of the request, and what the answer says of it.
pub struct LocaleMiddleware<E> {
    inner: E,
    /// None where it does not stand in this place.
    languages: Option<Arc<Languages>>,
    cookie: String,
}

impl<E> LocaleMiddleware<E> {
    /// Around `inner`.
    pub fn new(inner: E, languages: Option<&Arc<Languages>>, settings: &Settings) -> Self {
        Self { inner, languages: languages.cloned(), cookie: settings.language_cookie_name.clone() }
    }
}

impl<E: Endpoint<Output = Response>> Endpoint for LocaleMiddleware<E> {
    type Output = Response;

    async fn call(&self, mut request: Request) -> Result<Response> {
        let Some(languages) = &self.languages else { return self.inner.call(request).await };
        let cookies = joined(request.headers(), &header::COOKIE);
        let cookie = cookie::get(&String::from_utf8_lossy(&cookies), &self.cookie);
        let accept = text_of_header(&joined(request.headers(), &header::ACCEPT_LANGUAGE));
        let translation = languages.from_request(cookie.as_deref(), &accept);
        let language = HeaderValue::from_str(translation.language());
        request.extensions_mut().insert(translation);
        let mut response = self.inner.call(request).await?;
        patch_vary_headers(response.headers_mut(), "Accept-Language");
        if let Ok(language) = language {
            set_default(response.headers_mut(), &header::CONTENT_LANGUAGE, &language);
        }
        Ok(response)
    }
}

/// `request.META[…]`, empty where the header is absent: WSGI joins repeated ones with a comma.
fn joined(headers: &HeaderMap, name: &HeaderName) -> Vec<u8> {
    let lines: Vec<&[u8]> = headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
    lines.join(&b',')
}

/// `django.utils.cache.patch_vary_headers`, with one more.
fn patch_vary_headers(headers: &mut HeaderMap, more: &'static str) {
    let vary = headers.get(header::VARY).and_then(|vary| vary.to_str().ok());
    let vary = match vary {
        None => HeaderValue::from_static(more),
        Some(vary) => match HeaderValue::from_str(&format!("{vary}, {more}")) {
            Ok(vary) => vary,
            Err(_) => return,
        },
    };
    headers.insert(header::VARY, vary);
}

async fn conditional_content_length(mut response: Response) -> Result<Response> {
    let body = response.take_body().into_bytes().await.map_err(poem::Error::from)?;
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    response.set_body(Body::from_bytes(body));
    Ok(response)
}

/// `response.headers.setdefault`.
fn set_default(headers: &mut HeaderMap, name: &HeaderName, value: &HeaderValue) {
    if !headers.contains_key(name) {
        headers.insert(name, value.clone());
    }
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
    fn an_unknown_middleware_and_an_unknown_order_are_refused() {
        let unknown = stack(&[SECURITY, "site.Own", COMMON]).unwrap_err();
        assert!(unknown.starts_with("site.Own is not supported"), "{unknown}");
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
