//! `django.middleware.common`.

use std::sync::Arc;

use poem::http::{HeaderValue, header};
use poem::{Body, Endpoint, Request, Response, Result};

use super::{Refused, redirect};
use crate::django::http::request::{
    full_path_info, get_full_path, get_host, header_text, path_info, scheme,
};
use crate::django::utils::http::escape_leading_slashes;
use crate::settings::Settings;

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
        let patterns = &settings.disallowed_user_agents;
        let agent = || header_text(request.headers(), &header::USER_AGENT);
        let agent = if patterns.is_empty() { None } else { agent() };
        if agent.is_some_and(|agent| patterns.iter().any(|pattern| pattern.is_match(&agent))) {
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

async fn conditional_content_length(mut response: Response) -> Result<Response> {
    let body = response.take_body().into_bytes().await.map_err(poem::Error::from)?;
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    response.set_body(Body::from_bytes(body));
    Ok(response)
}
