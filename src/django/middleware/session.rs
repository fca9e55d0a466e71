//! `django.contrib.sessions.middleware`: what an answer says of the session that was looked at.

use poem::http::{HeaderValue, header};
use poem::{Endpoint, Request, Response, Result};

use super::patch_vary_headers;
use crate::django::http::cookie;
use crate::django::sessions::SHORTEST_KEY;
use crate::settings::Settings;

/// A view's word that it looked at the session, `SessionBase.accessed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accessed {
    /// `SessionBase.is_empty`: there is no such session, or none any more.
    pub is_empty: bool,
}

/// `response.delete_cookie`, until all other headers are there.
#[derive(Clone)]
struct DeleteCookie;

/// `SessionMiddleware`, where a site has `SessionAuthentication`.
pub struct SessionMiddleware<E> {
    inner: E,
    /// `SESSION_COOKIE_NAME`, or None.
    name: Option<String>,
}

impl<E> SessionMiddleware<E> {
    /// Around `inner`.
    pub fn new(inner: E, settings: &Settings) -> Self {
        let name = settings.has_sessions().then(|| settings.session_cookie_name.clone());
        Self { inner, name }
    }
}

impl<E: Endpoint<Output = Response>> Endpoint for SessionMiddleware<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> Result<Response> {
        let Some(name) = &self.name else { return self.inner.call(request).await };
        let sent = cookie::of_request(request.headers(), name);
        let mut response = self.inner.call(request).await?;
        let accessed = response.extensions().get::<Accessed>().copied();
        // A text too short for a key is an empty session, whether anybody looked at it or not.
        let is_empty = accessed.is_some_and(|accessed| accessed.is_empty);
        let is_deleted = sent.is_some_and(|key| is_empty || key.chars().count() < SHORTEST_KEY);
        if is_deleted {
            response.extensions_mut().insert(DeleteCookie);
        }
        if is_deleted || accessed.is_some() {
            patch_vary_headers(response.headers_mut(), "Cookie");
        }
        Ok(response)
    }
}

/// The cookies of an answer, which WSGI puts behind all other headers.
pub struct Cookies<E> {
    inner: E,
    deleted: Option<HeaderValue>,
}

impl<E> Cookies<E> {
    /// Around `inner`.
    pub fn new(inner: E, settings: &Settings) -> Self {
        let part = |name: &str, value: &Option<String>| {
            value.as_ref().map_or_else(String::new, |value| format!("; {name}={value}"))
        };
        let (name, path) = (&settings.session_cookie_name, &settings.session_cookie_path);
        let domain = part("Domain", &settings.session_cookie_domain);
        let same_site = part("SameSite", &settings.session_cookie_samesite);
        let is_secure = name.starts_with("__Secure-") || name.starts_with("__Host-");
        let secure = if is_secure { "; Secure" } else { "" };
        let value = format!(
            "{name}=\"\"{domain}; expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; Path={path}{same_site}{secure}"
        );
        Self { inner, deleted: HeaderValue::from_str(&value).ok() }
    }
}

impl<E: Endpoint<Output = Response>> Endpoint for Cookies<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> Result<Response> {
        let mut response = self.inner.call(request).await?;
        let told = response.extensions_mut().remove::<DeleteCookie>();
        if let (Some(DeleteCookie), Some(value)) = (told, &self.deleted) {
            response.headers_mut().append(header::SET_COOKIE, value.clone());
        }
        Ok(response)
    }
}
