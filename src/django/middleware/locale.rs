//! `django.middleware.locale`.

use std::sync::Arc;

use poem::http::{HeaderMap, HeaderName, HeaderValue, header};
use poem::{Endpoint, Request, Response, Result};

use super::set_default;
use crate::django::http::cookie;
use crate::django::utils::http::text_of_header;
use crate::django::utils::translation::Languages;
use crate::settings::Settings;

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
