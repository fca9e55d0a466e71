//! Around the whole application: each request is counted, timed, and told to the log in one line,
//! and to the collector of traces if there is one.
//!
//! Why does the line name the view and not the path? A path is the client's own text, and people
//! put keys into it. Method, view, status and reason are words of this program.

use std::sync::Arc;
use std::time::Instant;

use poem::http::{HeaderName, HeaderValue, Method};
use poem::{Endpoint, Request, Response, Result};

use crate::metrics::Outcome;
use crate::proxies::{self, RequestId};
use crate::state::State;
#[cfg(feature = "opentelemetry")]
use crate::traces::Traces;

/// What no view has answered: a path that is none, a host that is not served.
const NO_VIEW: Outcome = Outcome { view: "none", reason: "" };

/// `E`, observed.
pub struct Observed<E> {
    inner: E,
    state: Arc<State>,
    request_id: Option<HeaderName>,
    #[cfg(feature = "opentelemetry")]
    traces: Option<Traces>,
}

impl<E> Observed<E> {
    /// Around `inner`.
    pub fn new(inner: E, state: &Arc<State>) -> Self {
        let name = state.settings.request_id_header.as_ref();
        let request_id = name.and_then(|name| name.parse().ok());
        Self {
            inner,
            state: Arc::clone(state),
            request_id,
            #[cfg(feature = "opentelemetry")]
            traces: None,
        }
    }

    /// Sends spans too.
    #[cfg(feature = "opentelemetry")]
    #[must_use]
    pub fn traced(self, traces: Option<Traces>) -> Self {
        Self { traces, ..self }
    }
}

/// What the line says of a request, taken before it is handed on.
struct Line {
    method: &'static str,
    client: String,
}

impl Line {
    fn of(request: &Request, state: &State) -> Self {
        let trusted = &state.settings.trusted_proxies;
        let client = proxies::client(request.remote_addr(), request.headers(), trusted);
        Self {
            method: method_of(request),
            client: client.map(|client| client.to_string()).unwrap_or_default(),
        }
    }
}

/// One of the methods that are known, or `other`.
fn method_of(request: &Request) -> &'static str {
    let known = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::OPTIONS,
    ];
    let names = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    let method = known.iter().zip(names).find(|(method, _)| *method == request.method());
    method.map_or("other", |(_, name)| name)
}

impl<E: Endpoint<Output = Response>> Endpoint for Observed<E> {
    type Output = Response;

    async fn call(&self, mut request: Request) -> Result<Response> {
        let State { settings, metrics, random, .. } = self.state.as_ref();
        let started = Instant::now();
        let line = settings.log_requests.then(|| Line::of(&request, &self.state));
        #[cfg(feature = "opentelemetry")]
        let span = self.traces.as_ref().map(|traces| {
            (
                traces,
                traces.begin(&request, &settings.trusted_proxies, (self.state.now)()),
                method_of(&request),
            )
        });
        let id = self.request_id.as_ref().map(|name| {
            let (peer, headers) = (request.remote_addr(), request.headers());
            let id = RequestId::of(peer, headers, name, &settings.trusted_proxies, *random);
            request.extensions_mut().insert(id.clone());
            id.0
        });
        let mut response = self.inner.call(request).await?;
        let outcome = response.extensions_mut().remove::<Outcome>().unwrap_or(NO_VIEW);
        let (status, duration) = (response.status().as_u16(), started.elapsed());
        metrics.request(outcome, status, duration.as_secs_f64());
        #[cfg(feature = "opentelemetry")]
        if let Some((traces, begun, method)) = span {
            traces.end(&begun, method, outcome, status);
        }
        if let Some(Line { method, client }) = line {
            let Outcome { view, reason } = outcome;
            let milliseconds = duration.as_secs_f64() * 1000.0;
            let request_id = id.as_deref();
            tracing::info!(
                target: "drf_authtoken::request",
                method, view, status, reason, milliseconds, client, request_id, "answered"
            );
        }
        if let (Some(name), Some(id)) = (&self.request_id, id) {
            // Made of signs that a header can hold.
            if let Ok(value) = HeaderValue::try_from(id) {
                response.headers_mut().insert(name.clone(), value);
            }
        }
        Ok(response)
    }
}
