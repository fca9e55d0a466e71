//! `serve`, also called `runserver`: the service itself.

use std::io;
use std::path::Path;
use std::slice;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use poem::Addr;
#[cfg(target_os = "linux")]
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

use super::operations::Operations;
use super::{CommandError, check};
use crate::db::Database;
use crate::observe::Observed;
use crate::rest_framework::views::server_error;
use crate::server::{self, Limits, Listener};
use crate::settings::{Bind, SettingValue, Settings};
use crate::state::{self, State};
#[cfg(feature = "opentelemetry")]
use crate::traces::Traces;
use crate::urls;

/// Bytes of a request head: gunicorn allows 8 KiB a line, and nginx sends 32 KiB by default.
const MAX_HEADER_BYTES: usize = 64 * 1024;

/// Connections to the operations listener: a few probes and a scraper.
const MAX_PROBES: usize = 64;
/// Enough for a request that was sent before its proxy saw the listener close.
const IDLE_GRACE: Duration = Duration::from_secs(1);
/// What of `GRACEFUL_TIMEOUT` is left for the end of the process itself.
const ENDING: Duration = Duration::from_millis(300);

/// Checks the tables, listens, and serves until SIGTERM or SIGINT. `ready` runs when
/// connections are accepted, `reload` at each SIGHUP.
pub async fn run(
    settings: Settings,
    database: Database,
    reload: impl FnMut() + Send + 'static,
    ready: impl FnOnce(&Addr),
) -> Result<(), CommandError> {
    let delay = settings.shutdown_delay;
    // Caught from here on: a signal that comes early must not kill the process.
    let (stop, hangup) = (stop_signal(delay)?, signal(SignalKind::hangup())?);
    check::require_tables(&settings, &database).await?;
    raise_descriptor_limit();
    #[cfg(target_os = "linux")]
    refuse_core_dump();
    let state = Arc::new(State::new(settings, database).map_err(CommandError::new)?);
    #[cfg(feature = "opentelemetry")]
    let traces = state.settings.opentelemetry.then(Traces::start).transpose();
    #[cfg(feature = "opentelemetry")]
    let traces = traces.map_err(|error| CommandError::new(format_args!("no traces: {error}.")))?;
    let limits = limits(&state.settings);
    let listener = listen(&state.settings.bind).await?;
    let over = operations(&state, limits).await?;
    tokio::spawn(at_each(hangup, reload));
    ready(&listener.local_addr()?);
    notify(&NotifyState::Ready);
    let fixed = urls::Fixed::new(&state.settings).map_err(CommandError::new)?;
    let shared = Arc::clone(&state);
    #[cfg(feature = "opentelemetry")]
    let of_each_thread = traces.clone();
    let application = move || {
        let state = Arc::new(shared.of_a_thread());
        let application = urls::application(&fixed, &state).map_err(io::Error::other)?;
        let observed = Observed::new(application, &state);
        #[cfg(feature = "opentelemetry")]
        let observed = observed.traced(of_each_thread.clone());
        Ok(observed)
    };
    let stop = async {
        let delay = stop.await;
        state.draining.store(true, Ordering::Relaxed);
        notify(&NotifyState::Stopping);
        delay
    };
    let drained = server::serve(listener, application, limits, server_error, stop).await?;
    drop(over);
    #[cfg(feature = "opentelemetry")]
    traces.iter().for_each(Traces::stop);
    tracing::info!(cut_off = drained.cut_off, "stopped");
    Ok(())
}

/// Starts the operations listener, if there is to be one. It ends when what is returned is dropped.
async fn operations(
    state: &Arc<State>,
    limits: Limits,
) -> Result<Option<oneshot::Sender<()>>, CommandError> {
    let Some(bind) = &state.settings.operations_bind else { return Ok(None) };
    let listener = bound(bind, "OPERATIONS_BIND").await?;
    tracing::info!(address = shown(&listener.local_addr()?), "operations");
    let (over, until) = oneshot::channel();
    let until = async { until.await.ok().and(None) };
    let limits = Limits { threads: 1, max_connections: MAX_PROBES, ..limits };
    let state = Arc::clone(state);
    let operations = move || Ok(Operations::new(Arc::clone(&state)));
    tokio::spawn(server::serve(listener, operations, limits, server_error, until));
    Ok(Some(over))
}

async fn listen(bind: &Bind) -> Result<Listener, CommandError> {
    let inherited = Listener::inherited().map_err(|error| {
        CommandError::new(format_args!("cannot listen on the socket of LISTEN_FDS: {error}."))
    })?;
    if let Some(listener) = inherited {
        return Ok(listener);
    }
    bound(bind, "--bind").await
}

async fn bound(bind: &Bind, setting: &str) -> Result<Listener, CommandError> {
    Listener::bind(bind).await.map_err(|error| {
        let bind = bind.print();
        let text = format!("cannot listen on {bind}: {error}. Choose another {setting}.");
        CommandError::new(text)
    })
}

/// An address as gunicorn prints it.
#[must_use]
pub fn shown(address: &Addr) -> String {
    match address {
        Addr::SocketAddr(address) => format!("http://{address}"),
        Addr::Unix(address) => {
            format!("unix:{}", address.as_pathname().unwrap_or(Path::new("")).display())
        }
        Addr::Custom(..) => address.to_string(),
    }
}

/// Tells systemd, if it asked to be told.
fn notify(state: &NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(slice::from_ref(state)) {
        tracing::warn!(%error, "systemd was not told");
    }
}

async fn at_each(mut signal: Signal, mut reload: impl FnMut()) {
    while signal.recv().await.is_some() {
        reload();
    }
}

/// Each connection is a descriptor, and the usual soft limit of 1024 is meant for `select`.
fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    if let Err(error) = raised {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}

/// The memory holds passwords that are being hashed and tokens that were just read: a crash must not write them into a
/// file, and who runs as the same user must not read them. Root still can.
#[cfg(target_os = "linux")]
fn refuse_core_dump() {
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        tracing::warn!(%error, "a core may be dumped");
    }
}

fn limits(settings: &Settings) -> Limits {
    Limits {
        threads: state::request_threads(settings),
        header_timeout: settings.header_timeout,
        idle_timeout: settings.keep_alive_timeout,
        write_timeout: settings.body_timeout,
        max_connections: settings.max_connections,
        max_header_bytes: MAX_HEADER_BYTES,
        idle_grace: IDLE_GRACE,
        shutdown_grace: settings.graceful_timeout.saturating_sub(ENDING),
    }
}

/// Resolves at the first SIGTERM, to the delay, or SIGINT, to none: somebody waits at the terminal.
fn stop_signal(
    delay: Option<Duration>,
) -> Result<impl Future<Output = Option<Duration>>, CommandError> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => delay,
            _ = interrupt.recv() => None,
        }
    })
}
