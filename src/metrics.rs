//! What is counted: the metrics of the operations listener, in Prometheus' terms.
//!
//! Each label has few values, all of them words of this program: nothing that a client sends is one.

use std::fmt;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

/// What a view tells of an answer beside the answer: an extension of the response.
#[derive(Debug, Clone, Copy)]
pub struct Outcome {
    /// The view's name.
    pub view: &'static str,
    /// Why the answer is no yes, in DRF's codes; empty for a yes.
    pub reason: &'static str,
}

/// Labels of a request.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    view: &'static str,
    status: u16,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct View {
    view: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Login {
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Connections {
    state: &'static str,
}

type Float = Gauge<f64, std::sync::atomic::AtomicU64>;

/// What is read at the moment of asking.
#[derive(Debug, Clone, Copy, Default)]
pub struct Levels {
    /// Passwords that wait for a hashing thread.
    pub hashing_queue: usize,
    /// Seconds that one more would wait, by the work before it.
    pub hashing_wait: f64,
    /// Passwords that the threads can hash at the same time.
    pub hashing_lanes: usize,
    /// How many they hash.
    pub hashing_lanes_used: usize,
    /// Connections in the pool.
    pub connections: usize,
    /// Those that nobody uses.
    pub connections_idle: usize,
}

/// All metrics of a process.
pub struct Metrics {
    registry: Registry,
    requests: Family<Request, Counter>,
    durations: Family<View, Histogram>,
    logins: Family<Login, Counter>,
    /// Tokens that log-ins have made.
    pub tokens: Counter,
    /// The keys of each look-up.
    pub lookups: Histogram,
    /// The look-ups that the replica settled, so that the primary was not asked.
    pub replica_lookups: Counter,
    hashing_queue: Gauge,
    hashing_wait: Float,
    hashing_lanes: Gauge,
    hashing_lanes_used: Gauge,
    connections: Family<Connections, Gauge>,
}

impl Default for Metrics {
    fn default() -> Self {
        // 0.25 ms to 8 s.
        let durations = || Histogram::new(exponential_buckets(0.000_25, 2.0, 16));
        let mut metrics = Self {
            registry: Registry::with_prefix("drf_authtoken"),
            requests: Family::default(),
            durations: Family::new_with_constructor(durations),
            logins: Family::default(),
            tokens: Counter::default(),
            lookups: Histogram::new(exponential_buckets(1.0, 2.0, 9)),
            replica_lookups: Counter::default(),
            hashing_queue: Gauge::default(),
            hashing_wait: Float::default(),
            hashing_lanes: Gauge::default(),
            hashing_lanes_used: Gauge::default(),
            connections: Family::default(),
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    fn register(&mut self) {
        let registry = &mut self.registry;
        let version = vec![("version", env!("CARGO_PKG_VERSION"))];
        registry.register("build", "This program", Info::new(version));
        registry.register("requests", "Answered requests", self.requests.clone());
        registry.register_with_unit(
            "request_duration",
            "From the head of a request to its answer",
            Unit::Seconds,
            self.durations.clone(),
        );
        registry.register("logins", "Passwords that were checked", self.logins.clone());
        registry.register("tokens_made", "Tokens made by log-ins", self.tokens.clone());
        registry.register("lookup_keys", "Tokens in one look-up", self.lookups.clone());
        registry.register(
            "replica_lookups",
            "Look-ups that the replica settled",
            self.replica_lookups.clone(),
        );
        registry.register(
            "hashing_queue",
            "Passwords that wait to be hashed",
            self.hashing_queue.clone(),
        );
        registry.register_with_unit(
            "hashing_wait",
            "What one more password would wait",
            Unit::Seconds,
            self.hashing_wait.clone(),
        );
        registry.register(
            "hashing_lanes",
            "Passwords that can be hashed at the same time",
            self.hashing_lanes.clone(),
        );
        registry.register(
            "hashing_lanes_used",
            "Passwords that are being hashed",
            self.hashing_lanes_used.clone(),
        );
        registry.register(
            "database_connections",
            "Connections of the pool",
            self.connections.clone(),
        );
    }

    /// A request was answered.
    pub fn request(&self, outcome: Outcome, status: u16, seconds: f64) {
        let Outcome { view, reason } = outcome;
        self.requests.get_or_create(&Request { view, status, reason }).inc();
        self.durations.get_or_create(&View { view }).observe(seconds);
    }

    /// A login was judged.
    pub fn login(&self, result: &'static str) {
        self.logins.get_or_create(&Login { result }).inc();
    }

    /// All of it as `OpenMetrics` text.
    pub fn text(&self, levels: Levels) -> Result<String, fmt::Error> {
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.hashing_queue.set(number(levels.hashing_queue));
        self.hashing_wait.set(levels.hashing_wait);
        self.hashing_lanes.set(number(levels.hashing_lanes));
        self.hashing_lanes_used.set(number(levels.hashing_lanes_used));
        let used = levels.connections.saturating_sub(levels.connections_idle);
        for (state, count) in [("used", used), ("idle", levels.connections_idle)] {
            self.connections.get_or_create(&Connections { state }).set(number(count));
        }
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}
