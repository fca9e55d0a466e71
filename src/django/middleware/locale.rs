//! `django.middleware.locale`.

use std::sync::Arc;

use poem::http::{HeaderValue, header};
use poem::{Endpoint, Request, Response, Result};

use super::{patch_vary_headers, set_default};
use crate::django::http::cookie;
use crate::django::http::request::header_text;
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
        let cookie = cookie::of_request(request.headers(), &self.cookie);
        let accept = header_text(request.headers(), &header::ACCEPT_LANGUAGE).unwrap_or_default();
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
