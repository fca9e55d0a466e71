//! `django.middleware.clickjacking`.

use poem::http::{HeaderValue, header};
use poem::{Endpoint, Request, Response, Result};

use super::set_default;
use crate::settings::Settings;

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
