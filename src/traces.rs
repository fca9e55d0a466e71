//! Traces by OpenTelemetry: each request is one span of kind server, sent to a collector by OTLP over HTTP.
//!
//! Only with the Cargo feature `opentelemetry` and the setting `OPENTELEMETRY`. Where to, how many and under which
//! name is said by OpenTelemetry's own variables, `OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_TRACES_SAMPLER`,
//! `OTEL_SERVICE_NAME` and the like, which its library reads.
//!
//! Why is there no `url.path`, which the conventions want of a span? For the reason why the log has none: a path is
//! the client's own text.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{Span, SpanBuilder, SpanKind, Status, TracerProvider};
use opentelemetry::{Context, Key, KeyValue};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use poem::Request;

use crate::metrics::Outcome;
use crate::proxies;
use crate::settings::Networks;

const NAME: &str = env!("CARGO_PKG_NAME");
const TRACEPARENT: &str = "traceparent";
/// What the collector gets to take the last spans.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// Where spans go.
#[derive(Debug, Clone)]
pub struct Traces {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

/// What a span needs of a request before it is handed on.
#[derive(Debug)]
pub struct Begun {
    parent: Context,
    at: SystemTime,
}

impl Traces {
    /// A thread of its own sends the spans; where nobody takes them they are dropped, and the log says so.
    pub fn start() -> Result<Self, ExporterBuildError> {
        let exporter = SpanExporter::builder().with_http().build()?;
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource())
            .build();
        Ok(Self { tracer: provider.tracer(NAME), provider })
    }

    /// A request comes in. Of whose trace it is part is believed of a trusted proxy only: else anybody could have
    /// each of his requests recorded.
    #[must_use]
    pub fn begin(&self, request: &Request, trusted: &Networks, at: DateTime<Utc>) -> Begun {
        let parent = if proxies::is_trusted(request.remote_addr(), trusted) {
            // Without `tracestate`, which is free text, and would be sent on with the span.
            let parent = request.header(TRACEPARENT).unwrap_or_default().to_owned();
            TraceContextPropagator::new()
                .extract(&HashMap::from([(TRACEPARENT.to_owned(), parent)]))
        } else {
            Context::new()
        };
        Begun { parent, at: at.into() }
    }

    /// It is answered.
    pub fn end(&self, begun: &Begun, method: &'static str, outcome: Outcome, status: u16) {
        let Outcome { view, reason } = outcome;
        let mut attributes = vec![
            KeyValue::new("http.request.method", if method == "other" { "_OTHER" } else { method }),
            KeyValue::new("http.response.status_code", i64::from(status)),
            KeyValue::new("drf_authtoken.view", view),
        ];
        if !reason.is_empty() {
            attributes.push(KeyValue::new("drf_authtoken.reason", reason));
        }
        if status >= 500 {
            attributes.push(KeyValue::new("error.type", status.to_string()));
        }
        let mut span = SpanBuilder::from_name(format!("{method} {view}"))
            .with_kind(SpanKind::Server)
            .with_start_time(begun.at)
            .with_attributes(attributes)
            .start_with_context(&self.tracer, &begun.parent);
        if status >= 500 {
            span.set_status(Status::error(""));
        }
        span.end();
    }

    /// Sends what is left, within a bound.
    pub fn stop(&self) {
        if let Err(error) = self.provider.shutdown_with_timeout(LAST_WORDS) {
            tracing::warn!(%error, "the last traces may be lost");
        }
    }
}

/// What `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` say of this process; without them, the name of the program.
fn resource() -> Resource {
    let builder = || {
        Resource::builder()
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
    };
    let resource = builder().build();
    let name = resource.get(&Key::new("service.name"));
    if name.is_some_and(|name| !name.as_str().starts_with("unknown_service")) {
        resource
    } else {
        builder().with_service_name(NAME).build()
    }
}
