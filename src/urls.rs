//! The URL configuration: the contents page of the service.

use std::sync::Arc;

use poem::endpoint::BoxEndpoint;
use poem::middleware::CatchPanic;
use poem::{Endpoint, EndpointExt, IntoEndpoint, Request, Response, Result};

use crate::django::defaults;
use crate::django::http::request::path_info;
use crate::django::middleware::{
    CommonMiddleware, Cookies, LocaleMiddleware, LocalePlace, SecurityMiddleware,
    SessionMiddleware, Stack, XFrameOptionsMiddleware,
};
use crate::docs::{self, StaticFile};
use crate::forward_auth::ForwardAuth;
use crate::openapi::{self, Schema};
use crate::rest_framework::authtoken::views::ObtainAuthToken;
use crate::rest_framework::views::{ViewEndpoint, server_error};
use crate::secret::Secret;
use crate::settings::Settings;
use crate::state::State;

/// What keeps the URL configuration from being made: a fault of this program.
pub type Fault = Box<dyn std::error::Error + Send + Sync>;

/// What does not change while the service runs, for the threads to share.
pub struct Fixed {
    handlers: Arc<BoxEndpoint<'static>>,
    /// Each with its path.
    files: Vec<(String, StaticFile)>,
}

impl Fixed {
    /// The handlers of the views, and the pages about them.
    pub fn new(settings: &Settings) -> Result<Self, Fault> {
        let handlers = openapi::service(openapi::schema(settings)?).into_endpoint();
        Ok(Self { handlers: Arc::new(handlers), files: docs::pages(settings) })
    }
}

/// The site: `MIDDLEWARE` around `urlpatterns`.
pub fn application(
    fixed: &Fixed,
    state: &Arc<State>,
) -> Result<impl Endpoint<Output = Response> + use<>, Fault> {
    let settings = Arc::clone(&state.settings);
    let view = || (Arc::clone(&fixed.handlers), Arc::clone(state));
    let urlpatterns = {
        let mut urlpatterns = Vec::new();
        for path in settings.login_path.clone() {
            let (handlers, state) = view();
            let login = ViewEndpoint::new::<ObtainAuthToken>(handlers, state)?;
            urlpatterns.push((path, login.boxed()));
        }
        if let Some(path) = settings.secret_path.clone() {
            let (handlers, state) = view();
            urlpatterns.push((path, ViewEndpoint::new::<Secret>(handlers, state)?.boxed()));
        }
        if let Some(path) = settings.schema_path.clone() {
            let (handlers, state) = view();
            urlpatterns.push((path, ViewEndpoint::new::<Schema>(handlers, state)?.boxed()));
        }
        let files = fixed.files.iter().cloned();
        urlpatterns.extend(files.map(|(path, file)| (path, file.boxed())));
        urlpatterns
    };
    let paths = urlpatterns.iter().map(|(path, _)| path.clone()).collect();
    let resolver = Resolver { urlpatterns }.with(CatchPanic::new().with_handler(contain));
    let stack = Stack::new(&settings.middleware)?;
    let locale = |place| (stack.locale == Some(place)).then_some(&state.languages);
    let views = XFrameOptionsMiddleware::new(resolver, stack.frame_options, &settings);
    let views = LocaleMiddleware::new(views, locale(LocalePlace::InCommon), &settings);
    let common = CommonMiddleware::new(views, Arc::clone(&settings), paths);
    let common = LocaleMiddleware::new(common, locale(LocalePlace::AroundCommon), &settings);
    let site = SessionMiddleware::new(common, &settings);
    let questions = settings.forward_auth.then(|| ForwardAuth::new(Arc::clone(state)));
    let site = Questions { questions, site };
    let site = SecurityMiddleware::new(site, stack.security, Arc::clone(&settings));
    Ok(Cookies::new(site, &settings))
}

/// Forward auth stands before the rules of Django's paths and hosts: a proxy asks about other
/// sites' hosts, under paths that may end in anything.
struct Questions<E> {
    questions: Option<ForwardAuth>,
    site: E,
}

impl<E: Endpoint<Output = Response>> Endpoint for Questions<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> Result<Response> {
        match &self.questions {
            Some(view) if view.is_asked(request.uri().path()) => Ok(view.dispatch(&request).await),
            _ => self.site.call(request).await,
        }
    }
}

/// A panic is a fault of ours; the panic hook has printed it.
fn contain(_: Box<dyn std::any::Any + Send>) -> Response {
    tracing::error!("a view panicked");
    server_error()
}

/// `django.urls.resolvers.URLResolver` over whole paths.
struct Resolver {
    urlpatterns: Vec<(String, BoxEndpoint<'static, Response>)>,
}

impl Endpoint for Resolver {
    type Output = Response;

    async fn call(&self, request: Request) -> Result<Response> {
        let path = path_info(request.uri().path());
        match self.urlpatterns.iter().find(|(pattern, _)| *pattern == path) {
            Some((_, view)) => view.call(request).await,
            None => Ok(defaults::page_not_found()),
        }
    }
}

#[cfg(test)]
mod tests {
    use poem::endpoint::make_sync;
    use poem::http::StatusCode;

    use super::*;

    #[tokio::test]
    async fn a_panic_in_a_view_is_answered_as_drf_answers_a_server_error() {
        let broken = make_sync(|_| -> Response { std::panic::resume_unwind(Box::new("wanted")) });
        let urlpatterns = vec![("/".to_owned(), broken.map_to_response().boxed())];
        let resolver = Resolver { urlpatterns }.with(CatchPanic::new().with_handler(contain));
        let answer = resolver.call(Request::default()).await.unwrap();
        assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(answer.content_type(), Some("application/json"));
        let body = answer.into_body().into_string().await.unwrap();
        assert_eq!(body, r#"{"error": "Server Error (500)"}"#);
    }
}
