//! `django.middleware`: what stands around every view, as poem middleware.
//!
//! `urls` lists them in the order of Django's MIDDLEWARE; the header order of an answer
//! follows from it.

use std::sync::Arc;

use poem::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use poem::{Body, Endpoint, Request, Response, Result};

use super::defaults;
use super::http::request;
use super::utils::http::text_of_header;
use super::utils::text::strip;
use crate::settings::Settings;

/// `SecurityMiddleware`: headers on every answer.
pub struct SecurityMiddleware<E> {
    inner: E,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// `Strict-Transport-Security`, and the header and value that mean https.
    hsts: Option<(HeaderValue, HeaderName, String)>,
}

impl<E> SecurityMiddleware<E> {
    /// Around `inner`. A value that cannot stand in a header was refused by the settings.
    pub fn new(inner: E, settings: &Settings) -> Self {
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
            None => self.inner.call(request).await,
        }
    }
}

/// `XFrameOptionsMiddleware`, and `Content-Length` as the answer leaves the views.
///
/// Django sets the length in `CommonMiddleware`, outside; it is set here because only answers
/// that come this way have it, and it stands after `X-Frame-Options`.
pub struct XFrameOptionsMiddleware<E> {
    inner: E,
    value: Option<HeaderValue>,
}

impl<E> XFrameOptionsMiddleware<E> {
    /// Around `inner`.
    pub fn new(inner: E, settings: &Settings) -> Self {
        let value = HeaderValue::from_str(&settings.x_frame_options.to_uppercase()).ok();
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
        conditional_content_length(response).await
    }
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
