//! `django.middleware`: what stands around every view, as poem middleware.
//!
//! `urls` lists them in the order of Django's MIDDLEWARE; the header order of an answer
//! follows from it.

use std::sync::Arc;

use poem::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use poem::{Body, Endpoint, Request, Response, Result};

use super::defaults;
use super::http::cookie;
use super::http::request::{
    full_path_info, get_full_path, get_host, header_text, path_info, scheme,
};
use super::utils::http::{escape_leading_slashes, text_of_header};
use super::utils::translation::Languages;
use crate::settings::Settings;

/// `MAX_URL_REDIRECT_LENGTH`, in characters.
const MAX_URL_REDIRECT_LENGTH: usize = 16_384;

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

/// `SecurityMiddleware`: the redirect to https, and headers on every answer.
pub struct SecurityMiddleware<E> {
    inner: E,
    /// `None`: the site does without this middleware.
    settings: Option<Arc<Settings>>,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// `Strict-Transport-Security`.
    hsts: Option<HeaderValue>,
}

impl<E> SecurityMiddleware<E> {
    /// Around `inner`. A value that cannot stand in a header was refused by the settings.
    pub fn new(inner: E, is_there: bool, settings: Arc<Settings>) -> Self {
        if !is_there {
            return Self { inner, settings: None, headers: Vec::new(), hsts: None };
        }
        let nosniff = settings.secure_content_type_nosniff.then_some("nosniff");
        let policy = settings.secure_referrer_policy.as_ref().map(|values| values.join(","));
        let headers = [
            (header::X_CONTENT_TYPE_OPTIONS, nosniff),
            (header::REFERRER_POLICY, policy.as_deref()),
            (
                HeaderName::from_static("cross-origin-opener-policy"),
                settings.secure_cross_origin_opener_policy.as_deref(),
            ),
        ];
        let headers = headers
            .into_iter()
            .filter_map(|(name, value)| Some((name, HeaderValue::from_str(value?).ok()?)))
            .collect();
        let hsts = hsts(&settings);
        Self { inner, settings: Some(settings), headers, hsts }
    }

    /// `process_request`: where the redirect goes; an error is a host that is not served.
    fn redirect_to_https(&self, request: &Request) -> Option<Result<Response, Refused>> {
        let settings = self.settings.as_ref()?;
        if !settings.secure_ssl_redirect || scheme(request.headers(), settings) == "https" {
            return None;
        }
        // A proxy's question is about another request, and over what it comes is the proxy's business.
        let question = settings.forward_auth_path.trim_end_matches('/');
        let below = request.uri().path().strip_prefix(question).filter(|_| settings.forward_auth);
        if below.is_some_and(|below| below.is_empty() || below.starts_with('/')) {
            return None;
        }
        let path = full_path_info(&path_info(request.uri().path()), settings);
        let exempt = path.trim_start_matches('/');
        if settings.secure_redirect_exempt.iter().any(|pattern| pattern.is_match(exempt)) {
            return None;
        }
        let host = settings.secure_ssl_host.clone().filter(|host| !host.is_empty());
        let Some(host) = host.or_else(|| get_host(request, settings)) else {
            return Some(Err(Refused::BadRequest));
        };
        let path = get_full_path(&path, request.uri().query(), false);
        Some(redirect(&format!("https://{host}{path}")))
    }
}

fn hsts(settings: &Settings) -> Option<HeaderValue> {
    let mut value = format!("max-age={}", settings.secure_hsts_seconds);
    if settings.secure_hsts_include_subdomains {
        value.push_str("; includeSubDomains");
    }
    if settings.secure_hsts_preload {
        value.push_str("; preload");
    }
    if settings.secure_hsts_seconds > 0 { HeaderValue::from_str(&value).ok() } else { None }
}

impl<E: Endpoint<Output = Response>> Endpoint for SecurityMiddleware<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> Result<Response> {
        let is_secure = |settings: &Arc<Settings>| scheme(request.headers(), settings) == "https";
        let is_secure = self.settings.as_ref().is_some_and(is_secure);
        let mut response = match self.redirect_to_https(&request) {
            Some(Ok(redirect)) => redirect,
            // What is refused here goes out as it is: this is the outermost layer.
            Some(Err(refused)) => return Ok(refused.page()),
            None => self.inner.call(request).await?,
        };
        if let Some(hsts) = self.hsts.as_ref().filter(|_| is_secure) {
            set_default(response.headers_mut(), &header::STRICT_TRANSPORT_SECURITY, hsts);
        }
        for (name, value) in &self.headers {
            set_default(response.headers_mut(), name, value);
        }
        Ok(response)
    }
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

/// `CommonMiddleware`: who is served under which host, the missing slash.
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

    /// `should_redirect_with_slash`.
    fn should_redirect_with_slash(&self, path: &str) -> bool {
        let is_valid = |path: &str| self.paths.iter().any(|known| known == path);
        self.settings.append_slash && !is_valid(path) && is_valid(&format!("{path}/"))
    }

    /// Where the request goes, with its slash if it lacks one.
    fn full_path(&self, request: &Request, append_slash: bool) -> String {
        let path = full_path_info(&path_info(request.uri().path()), &self.settings);
        let full = get_full_path(&path, request.uri().query(), append_slash);
        if append_slash { escape_leading_slashes(full) } else { full }
    }

    /// `process_request`, and of `process_response` the redirect: no view that is here answers 404
    /// for a path that only lacks its slash.
    fn process_request(&self, request: &Request) -> Result<Option<Response>, Refused> {
        let settings = &self.settings;
        let agent = header_text(request.headers(), &header::USER_AGENT);
        let is_match = |agent: String| {
            settings.disallowed_user_agents.iter().any(|pattern| pattern.is_match(&agent))
        };
        if agent.is_some_and(is_match) {
            return Err(Refused::Forbidden);
        }
        let host = get_host(request, settings).ok_or(Refused::BadRequest)?;
        let lacks_slash = self.should_redirect_with_slash(&path_info(request.uri().path()));
        let redirected = if settings.prepend_www && !host.starts_with("www.") {
            let scheme = scheme(request.headers(), settings);
            let path = self.full_path(request, lacks_slash);
            redirect(&format!("{scheme}://www.{host}{path}")).map(with_length)
        } else if lacks_slash {
            let has_length = settings.versions().redirects_have_a_length();
            let redirected = redirect(&self.full_path(request, true));
            if has_length { redirected.map(with_length) } else { redirected }
        } else {
            return Ok(None);
        };
        redirected.map(Some)
    }
}

/// A redirect whose length Django tells.
fn with_length(mut redirect: Response) -> Response {
    redirect.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
    redirect
}

impl<E: Endpoint<Output = Response>> Endpoint for CommonMiddleware<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> Result<Response> {
        match self.process_request(&request) {
            Ok(Some(redirect)) => Ok(redirect),
            Ok(None) => conditional_content_length(self.inner.call(request).await?).await,
            Err(refused) => Ok(refused.page()),
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
