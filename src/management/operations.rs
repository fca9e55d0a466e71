//! The operations listener: is the process alive, is it ready, what has it done.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use poem::http::{HeaderValue, StatusCode, header};
use poem::{Endpoint, Request, Response, Result};

use crate::metrics::Levels;
use crate::state::State;

/// Who asks whether we are ready wants to know within a second.
const PATIENCE: Duration = Duration::from_millis(800);
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// `/livez`, `/readyz` and `/metrics`.
pub(super) struct Operations {
    state: Arc<State>,
}

impl Operations {
    /// Of the service with this state.
    #[must_use]
    pub(super) fn new(state: Arc<State>) -> Self {
        Self { state }
    }

    async fn readyz(&self) -> Response {
        if self.state.draining.load(Ordering::Relaxed) {
            return text(StatusCode::SERVICE_UNAVAILABLE, "draining\n");
        }
        match tokio::time::timeout(PATIENCE, self.asks_the_database()).await {
            Ok(Ok(())) => text(StatusCode::OK, "ready\n"),
            // The reason is for the log of those who look into it: it may name the database.
            Ok(Err(error)) => {
                tracing::debug!(%error, "not ready");
                text(StatusCode::SERVICE_UNAVAILABLE, "the database cannot be used\n")
            }
            Err(_) => text(StatusCode::SERVICE_UNAVAILABLE, "the database does not answer\n"),
        }
    }

    /// The two statements that requests begin with: they name every column that is read.
    async fn asks_the_database(&self) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let State { database, users, lookups, .. } = self.state.as_ref();
        let token = async { lookups.for_key("").await.map_err(Box::from) };
        let user = async { users.get_by_natural_key(database, "").await.map_err(Box::from) };
        tokio::try_join!(token, user).map(drop)
    }

    fn metrics(&self) -> Response {
        let State { metrics, hashing_pool, database, .. } = self.state.as_ref();
        let hashing = hashing_pool.load();
        let (connections, connections_idle) = database.pool();
        let levels = Levels {
            hashing_queue: hashing.waiting,
            hashing_wait: hashing.wait.as_secs_f64(),
            hashing_lanes: hashing.lanes,
            hashing_lanes_used: hashing.lanes_used,
            connections,
            connections_idle,
        };
        match metrics.text(levels) {
            Ok(metrics) => {
                let mut response = text(StatusCode::OK, metrics);
                let kind = HeaderValue::from_static(OPENMETRICS);
                response.headers_mut().insert(header::CONTENT_TYPE, kind);
                response
            }
            Err(error) => {
                tracing::error!(%error, "the metrics cannot be written");
                text(StatusCode::INTERNAL_SERVER_ERROR, "")
            }
        }
    }
}

impl Endpoint for Operations {
    type Output = Response;

    async fn call(&self, request: Request) -> Result<Response> {
        Ok(match request.uri().path() {
            "/livez" => text(StatusCode::OK, "alive\n"),
            "/readyz" => self.readyz().await,
            "/metrics" => self.metrics(),
            _ => text(StatusCode::NOT_FOUND, "/livez /readyz /metrics\n"),
        })
    }
}

fn text(status: StatusCode, body: impl Into<poem::Body>) -> Response {
    Response::builder()
        .status(status)
        .content_type("text/plain; charset=utf-8")
        .header(header::CACHE_CONTROL, "no-store")
        .body(body)
}
