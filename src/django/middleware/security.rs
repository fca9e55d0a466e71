//! `django.middleware.security`.

use std::sync::Arc;

use poem::http::{HeaderName, HeaderValue, header};
use poem::{Endpoint, Request, Response, Result};

use super::{Refused, redirect, set_default};
use crate::django::http::request::{full_path_info, get_full_path, get_host, path_info, scheme};
use crate::settings::Settings;

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
