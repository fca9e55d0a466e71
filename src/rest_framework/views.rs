//! `rest_framework.views.APIView`: the one order of a request.

use std::sync::Arc;

use bytes::Bytes;
use poem::http::uri::PathAndQuery;
use poem::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use poem::{Endpoint, IntoResponse, Request};
use poem_openapi::ApiResponse;
use poem_openapi::registry::{MetaMediaType, MetaResponse, MetaResponses, Registry};
use poem_openapi::types::{ToJSON, Type};
use serde_json::Value;

use super::authentication::{self, Authentication};
use super::exceptions::APIException;
use super::metadata;
use super::negotiation::{self, Accepted};
use super::permissions;
use super::renderers::{POLICY, Page, Renderer, render_json, render_yaml};
use super::view::{APIView, View};
use crate::django::auth::models::User;
use crate::django::defaults;
use crate::django::http::querydict::QueryDict;
use crate::django::http::request::{header_text, root_uri};
use crate::django::middleware::Accessed;
use crate::django::utils::translation::Translation;
use crate::metrics::Outcome;
use crate::settings::Settings;
use crate::state::State;

/// Header lines of an answer, those of the middleware included.
const HEADERS: usize = 12;
/// Seconds after which a client may ask again when the answer was 503.
const RETRY_AFTER: &str = "1";

/// `Response(data)`: an answer as data, rendered when it leaves `dispatch`.
pub struct Response<T>(pub T);

/// The data on its way from the handler to the renderer.
#[derive(Clone)]
struct ResponseData(Value);

impl<T: ToJSON> Response<T> {
    /// The data as JSON has it.
    #[must_use]
    pub fn data(&self) -> Value {
        self.0.to_json().unwrap_or(Value::Null)
    }
}

impl<T: ToJSON> IntoResponse for Response<T> {
    fn into_response(self) -> poem::Response {
        poem::Response::builder().extension(ResponseData(self.data())).finish()
    }
}

/// What an answer holds.
enum Content<'a> {
    Data(Value),
    Ready(&'a Ready),
}

/// An answer that is always the same, rendered once.
struct Ready {
    data: Value,
    json: Bytes,
}

impl Ready {
    fn new(data: Value) -> Self {
        Self { json: render_json(&data, 0).into(), data }
    }
}

impl Content<'_> {
    fn data(&self) -> &Value {
        match self {
            Self::Data(data) => data,
            Self::Ready(ready) => &ready.data,
        }
    }

    fn json(&self, indent: usize) -> Bytes {
        match self {
            Self::Ready(ready) if indent == 0 => ready.json.clone(),
            _ => render_json(self.data(), indent).into(),
        }
    }
}

impl<T: Type> ApiResponse for Response<T> {
    fn meta() -> MetaResponses {
        let content =
            MetaMediaType { content_type: Renderer::Json.media_type(), schema: T::schema_ref() };
        let response = MetaResponse {
            description: "",
            status: Some(200),
            status_range: None,
            content: vec![content],
            headers: vec![],
        };
        MetaResponses { responses: vec![response] }
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

/// The document's error answers follow from the view's attributes: see `openapi`.
impl ApiResponse for APIException {
    fn meta() -> MetaResponses {
        MetaResponses { responses: vec![] }
    }

    fn register(_: &mut Registry) {}
}

impl poem::error::ResponseError for APIException {
    fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status_code()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

/// The status with which a site answers an exception.
pub(crate) fn status(exception: &APIException, settings: &Settings) -> StatusCode {
    let status = authentication::status_code(exception, settings);
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// `as_view()`: a view bound to its handlers and to the state.
pub struct ViewEndpoint<H> {
    view: View,
    /// `http_method_names` without OPTIONS, which every view answers.
    methods: Vec<Method>,
    allow: HeaderValue,
    /// The path on which the `OpenApi` service knows the handlers.
    route: PathAndQuery,
    handlers: Arc<H>,
    get: Option<Ready>,
    state: Arc<State>,
}

impl<H: Endpoint> ViewEndpoint<H> {
    /// The methods come from the handlers' own declarations, so that `Allow` and the document
    /// cannot differ.
    pub fn new<V: APIView>(handlers: Arc<H>, state: Arc<State>) -> Result<Self, DeclarationError> {
        let declared = V::meta().into_iter().flat_map(|api| api.paths).next();
        let declared = declared.ok_or(DeclarationError)?;
        let head = V::VIEW.head.then_some(Method::HEAD);
        let methods = declared.operations.into_iter().map(|operation| operation.method);
        let methods: Vec<Method> = methods.chain(head).collect();
        let names: Vec<&str> = methods.iter().map(Method::as_str).chain(["OPTIONS"]).collect();
        Ok(Self {
            view: V::VIEW,
            allow: HeaderValue::from_str(&names.join(", ")).map_err(|_| DeclarationError)?,
            methods,
            route: declared.path.parse().map_err(|_| DeclarationError)?,
            handlers,
            get: V::GET.map(|get| Ready::new(get())),
            state,
        })
    }

    /// `APIView.dispatch`: DRF's order. The first step that fails decides the answer.
    async fn dispatch(&self, mut request: Request) -> poem::Response {
        let (mut page, mut accessed) = (None, None);
        let chosen = request.extensions().get::<Translation>().cloned();
        let translation = chosen.unwrap_or_else(|| self.state.languages.fallback().clone());
        let mut accepted = Accepted { renderer: self.default_renderer(), indent: None };
        let outcome = async {
            accepted = self.select_renderer(&request)?;
            if accepted.renderer == Renderer::BrowsableApi {
                page = Some(self.page(&request));
            }
            let user = self.authenticate(&mut request, &mut accessed).await?;
            permissions::check_permissions(self.view.permissions, user.as_ref())?;
            let method = self.method_lookup(&request)?;
            if method == Method::OPTIONS {
                let takes_post = self.methods.contains(&Method::POST);
                let data = metadata::determine_metadata(&self.view, takes_post, &translation);
                return Ok(Content::Data(data));
            }
            if let (Some(ready), &Method::GET) = (&self.get, &method) {
                return Ok(Content::Ready(ready));
            }
            // The server leaves out the body of an answer to HEAD.
            request.set_method(if method == Method::HEAD { Method::GET } else { method });
            // Boxed: it is large, and would be moved with each future around it.
            Box::pin(self.handler(request, user)).await.map(Content::Data)
        };
        let (reason, mut response) = match outcome.await {
            Ok(content) => {
                let status = StatusCode::OK;
                ("", self.finalize_response(status, &content, None, accepted, page.as_ref()))
            }
            Err(exception) => {
                let code = exception.code();
                (code, self.exception_handler(&exception, &translation, accepted, page.as_ref()))
            }
        };
        if let Some(accessed) = accessed {
            response.extensions_mut().insert(accessed);
        }
        response.extensions_mut().insert(Outcome { view: self.view.name, reason });
        response
    }

    /// What the browsable page says beside the answer.
    fn page(&self, request: &Request) -> Page {
        let settings = &self.state.settings;
        let local = request.local_addr().as_socket_addr().copied();
        let docs = [
            ("Swagger UI: try it out in the browser", &settings.swagger_ui_path),
            ("ReDoc: read about it", &settings.redoc_path),
            ("The OpenAPI document", &settings.schema_path),
        ];
        let docs = docs.into_iter().filter(|_| settings.schema_path.is_some());
        Page {
            name: self.view.name,
            method: request.method().clone(),
            uri: request.uri().clone(),
            headers: request.headers().clone(),
            root: root_uri(request.headers(), local, settings),
            keyword: Authentication::Token
                .authenticate_header(settings)
                .unwrap_or_default()
                .to_owned(),
            login: settings.login_path.first().cloned().unwrap_or_default(),
            docs: docs.filter_map(|(name, path)| Some((name, path.clone()?))).collect(),
        }
    }

    fn default_renderer(&self) -> Renderer {
        self.view.renderers.first().copied().unwrap_or(Renderer::Json)
    }

    /// `perform_content_negotiation`.
    fn select_renderer(&self, request: &Request) -> Result<Accepted, APIException> {
        let query = match request.uri().query() {
            None | Some("") => QueryDict::default(),
            Some(query) => self.query_params(request.headers(), query)?,
        };
        let accept = header_text(request.headers(), &header::ACCEPT);
        let parameter = self.state.settings.url_format_override.as_deref();
        negotiation::select_renderer(
            self.view.renderers,
            parameter.and_then(|name| query.get_last(name)),
            accept.as_deref(),
            self.state.settings.versions(),
        )
    }

    /// `request.query_params`.
    fn query_params(&self, headers: &HeaderMap, query: &str) -> Result<QueryDict, APIException> {
        // The charset of the body's type is `HttpRequest.encoding`, which reads the query too.
        let content_type = headers.get(header::CONTENT_TYPE);
        let content_type = content_type.map_or(&b""[..], HeaderValue::as_bytes);
        let settings = &self.state.settings;
        let (limit, versions) = (settings.data_upload_max_number_fields, settings.versions());
        QueryDict::from_query_string(query.as_bytes(), content_type, limit, versions)
            .map_err(|_| APIException::SuspiciousOperation("TooManyFieldsSent"))
    }

    /// `perform_authentication`.
    async fn authenticate(
        &self,
        request: &mut Request,
        accessed: &mut Option<Accessed>,
    ) -> Result<Option<User>, APIException> {
        authentication::authenticate(request, &self.view, &self.state, accessed).await
    }

    /// `getattr(self, request.method.lower(), self.http_method_not_allowed)`.
    fn method_lookup(&self, request: &Request) -> Result<Method, APIException> {
        let known = |name: &str| {
            let mut known = self.methods.iter().chain([&Method::OPTIONS]);
            known.find(|method| method.as_str() == name).cloned()
        };
        let name = request.method().as_str();
        let found = known(name).or_else(|| known(&name.to_uppercase()));
        found.ok_or_else(|| APIException::MethodNotAllowed(name.to_uppercase()))
    }

    /// Calls the `#[OpenApi]` handler by the path under which it was declared.
    async fn handler(
        &self,
        mut request: Request,
        user: Option<User>,
    ) -> Result<Value, APIException> {
        *request.uri_mut() = Uri::from(self.route.clone());
        request.extensions_mut().insert(Arc::clone(&self.state));
        if let Some(user) = user {
            request.extensions_mut().insert(user);
        }
        let mut response = match self.handlers.call(request).await {
            Ok(response) => response.into_response(),
            Err(error) => return Err(exception_of(error)),
        };
        match response.extensions_mut().remove::<ResponseData>() {
            Some(ResponseData(data)) => Ok(data),
            None => Err(APIException::ServerError("a handler answered without data".into())),
        }
    }

    /// `exception_handler`, and Django's pages for what DRF does not handle.
    fn exception_handler(
        &self,
        exception: &APIException,
        translation: &Translation,
        accepted: Accepted,
        page: Option<&Page>,
    ) -> poem::Response {
        report(exception);
        let Some(data) = exception.detail(translation) else {
            return match exception {
                APIException::ServerError(_) => server_error(),
                _ => defaults::bad_request(),
            };
        };
        let status = status(exception, &self.state.settings);
        let extra = extra_header(exception, &self.state.settings);
        self.finalize_response(status, &Content::Data(data), extra, accepted, page)
    }

    /// `finalize_response` and `Response.render`: headers in DRF's order, then the bytes.
    fn finalize_response(
        &self,
        status: StatusCode,
        content: &Content<'_>,
        extra: Option<(header::HeaderName, HeaderValue)>,
        accepted: Accepted,
        page: Option<&Page>,
    ) -> poem::Response {
        let mut response = poem::Response::builder().status(status).finish();
        let headers = response.headers_mut();
        headers.reserve(HEADERS);
        let content_type = HeaderValue::from_static(accepted.renderer.content_type());
        headers.insert(header::CONTENT_TYPE, content_type);
        if let (Some(disposition), StatusCode::OK) = (accepted.renderer.disposition(), status) {
            headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static(disposition));
        }
        if let Some((name, value)) = extra {
            headers.insert(name, value);
        }
        if let Some(vary) = self.vary(accepted.renderer) {
            headers.insert(header::VARY, HeaderValue::from_static(vary));
        }
        headers.insert(header::ALLOW, self.allow.clone());
        let indent = accepted.indent;
        let bytes = match accepted.renderer {
            Renderer::Json => content.json(indent.unwrap_or(0)),
            Renderer::OpenApiJson | Renderer::OpenApiJson2 => {
                content.json(indent.filter(|spaces| *spaces > 0).unwrap_or(4))
            }
            Renderer::OpenApiYaml | Renderer::OpenApiYaml2 => render_yaml(content.data()).into(),
            Renderer::BrowsableApi => {
                let json = content.json(indent.unwrap_or(4));
                match page {
                    Some(page) => page.render(status, response.headers(), &json).into(),
                    None => json,
                }
            }
        };
        if accepted.renderer == Renderer::BrowsableApi {
            let policy = HeaderValue::from_static(POLICY);
            response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
        }
        response.set_body(bytes);
        response
    }

    /// `default_response_headers`: an answer varies where there is a choice of renderers. The
    /// page of the browsable API also varied by its CSRF cookie, and caches were told so.
    fn vary(&self, renderer: Renderer) -> Option<&'static str> {
        match renderer {
            Renderer::BrowsableApi => Some("Accept, Cookie"),
            _ => (self.view.renderers.len() > 1).then_some("Accept"),
        }
    }
}

impl<H: Endpoint> Endpoint for ViewEndpoint<H> {
    type Output = poem::Response;

    async fn call(&self, request: Request) -> poem::Result<poem::Response> {
        Ok(self.dispatch(request).await)
    }
}

/// `rest_framework.exceptions.server_error`: the answer to a fault of this program, whatever the renderer.
#[must_use]
pub fn server_error() -> poem::Response {
    poem::Response::builder()
        .status(StatusCode::INTERNAL_SERVER_ERROR)
        .content_type(Renderer::Json.content_type())
        .body(r#"{"error": "Server Error (500)"}"#)
}

/// The log's part of `exception_handler`.
pub(crate) fn report(exception: &APIException) {
    match exception {
        APIException::ServerError(source) => tracing::error!(%source, "server error"),
        APIException::ServiceUnavailable(source) => tracing::error!(%source, "service unavailable"),
        APIException::SuspiciousOperation(reason) => tracing::warn!(reason, "bad request"),
        _ => {}
    }
}

/// The header that goes with the answer to an exception.
pub(crate) fn extra_header(
    exception: &APIException,
    settings: &Settings,
) -> Option<(header::HeaderName, HeaderValue)> {
    match exception {
        APIException::AuthenticationFailed(_) | APIException::NotAuthenticated => {
            let scheme = authentication::get_authenticate_header(settings)?;
            Some((header::WWW_AUTHENTICATE, HeaderValue::from_str(scheme).ok()?))
        }
        APIException::ServiceUnavailable(_) => {
            Some((header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER)))
        }
        _ => None,
    }
}

/// A type was declared a view but has no path or method of its own.
#[derive(Debug)]
pub struct DeclarationError;

impl std::fmt::Display for DeclarationError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a view declares no path that can be served")
    }
}

impl std::error::Error for DeclarationError {}

fn exception_of(error: poem::Error) -> APIException {
    match error.downcast::<APIException>() {
        Ok(exception) => exception,
        Err(other) => APIException::ServerError(Box::new(std::io::Error::other(other.to_string()))),
    }
}
