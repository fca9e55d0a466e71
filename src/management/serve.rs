//! `serve`, also called `runserver`: the service itself.

use std::net::SocketAddr;
use std::sync::Arc;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::{CommandError, check};
use crate::db::Database;
use crate::django::defaults;
use crate::server::{self, Limits};
use crate::settings::Settings;
use crate::state::State;
use crate::urls;

/// Bytes of a request head: gunicorn allows 8 KiB a line, and nginx sends 32 KiB by default.
const MAX_HEADER_BYTES: usize = 64 * 1024;

/// Checks the tables, listens, and serves until SIGTERM or SIGINT. `ready` runs when
/// connections are accepted.
pub async fn run(
    settings: Settings,
    database: Database,
    ready: impl FnOnce(SocketAddr),
) -> Result<(), CommandError> {
    check::require_tables(&settings, &database).await?;
    raise_descriptor_limit();
    let state = Arc::new(State::new(settings, database).map_err(CommandError::new)?);
    let application = urls::application(&state).map_err(CommandError::new)?;
    let bind = state.settings.bind.0;
    let listener = TcpListener::bind(bind).await.map_err(|error| {
        CommandError::new(format_args!("cannot listen on {bind}: {error}. Choose another --bind."))
    })?;
    let limits = limits(&state.settings);
    let stop = stop_signal()?;
    ready(listener.local_addr()?);
    let drained =
        server::serve(listener, application, limits, defaults::server_error, stop).await?;
    tracing::info!(cut_off = drained.cut_off, "stopped");
    Ok(())
}

/// Each connection is a descriptor, and the usual soft limit of 1024 is meant for `select`.
fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    if let Err(error) = raised {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}

fn limits(settings: &Settings) -> Limits {
    Limits {
        header_timeout: settings.header_timeout,
        idle_timeout: settings.keep_alive_timeout,
        write_timeout: settings.body_timeout,
        max_connections: settings.max_connections,
        max_header_bytes: MAX_HEADER_BYTES,
        shutdown_grace: settings.graceful_timeout,
    }
}

/// Resolves at the first SIGTERM or SIGINT. Both are caught from here on, not from the first
/// poll: a signal between the two must not kill the process.
fn stop_signal() -> Result<impl Future<Output = ()>, CommandError> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
