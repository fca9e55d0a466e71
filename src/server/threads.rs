//! The threads that answer requests: each has a runtime and connections of its own, and shares none of its work.
//!
//! Why not one runtime that moves tasks to where there is room? A token check is a few microseconds of work around one
//! wait, and to wake another thread for a part of it costs more than that part: with 64 clients a check took 23 µs of
//! CPU that way, and 16 µs this way. Clients are given to the thread that has the fewest, and stay there.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use poem::{Endpoint, Response};
use tokio::net::{TcpStream, UnixStream};
use tokio::runtime::Builder;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot, watch};
use tokio::task::{JoinError, JoinSet};

use super::listener::Client;
use super::{Drained, Server, UNIX_CLIENT};

/// Large bodies and long sessions that a thread reads at the same time, beside its requests; the names of hosts are
/// looked up there too.
const MAX_LONG_READS: usize = 32;

/// How long the end of a runtime is waited for: SQLite's file may be closed in it.
const ENDING: Duration = Duration::from_millis(100);

/// A connection's place among `max_connections`, and among those of its thread.
pub(super) type Place = (Option<OwnedSemaphorePermit>, Arc<()>);

/// The threads, seen by the accept loop.
pub(super) struct Threads {
    threads: Vec<Thread>,
    /// Their runtimes watch sockets of the database pool, which all of them use until the last one is done.
    done: watch::Sender<()>,
}

struct Thread {
    /// Never more than `max_connections` in all: each client has its permit.
    inbox: mpsc::UnboundedSender<(Client, Place)>,
    /// Held once here, and once by each connection.
    seats: Arc<()>,
    drained: oneshot::Receiver<Drained>,
    /// Whether its runtime has ended, with all that it kept.
    ended: oneshot::Receiver<()>,
}

impl Threads {
    /// Starts them; each makes its own server, inside its runtime.
    pub(super) async fn start<E: Endpoint<Output = Response> + 'static>(
        number: usize,
        server: impl Fn() -> io::Result<Server<E>> + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let (server, (done, all_done)) = (Arc::new(server), watch::channel(()));
        let mut threads = Vec::new();
        for number in 0..number.max(1) {
            let (server, mut all_done) = (Arc::clone(&server), all_done.clone());
            let (inbox, clients) = mpsc::unbounded_channel();
            let (tell, told) = oneshot::channel();
            let (end, drained) = oneshot::channel();
            let (ending, ended) = oneshot::channel();
            let run = async move {
                let server = match server() {
                    Ok(server) => Arc::new(server),
                    Err(error) => return drop(tell.send(Err(error))),
                };
                let _ = tell.send(Ok(()));
                let _ = end.send(work(server, clients).await);
                let _ = all_done.changed().await;
            };
            thread::Builder::new().name(format!("requests-{number}")).spawn(move || {
                let mut runtime = Builder::new_current_thread();
                match runtime.enable_all().max_blocking_threads(MAX_LONG_READS).build() {
                    Ok(runtime) => {
                        runtime.block_on(run);
                        // What is read for requests that were cut off is not waited for.
                        runtime.shutdown_background();
                    }
                    Err(error) => tracing::error!(%error, "a thread for requests has no runtime"),
                }
                drop::<oneshot::Sender<()>>(ending);
            })?;
            told.await.unwrap_or_else(|_| Err(io::Error::other("a thread did not start")))?;
            threads.push(Thread { inbox, seats: Arc::new(()), drained, ended });
        }
        Ok(Self { threads, done })
    }

    /// Gives a client to the thread that has the fewest.
    pub(super) fn give(&self, client: Client, permit: Option<OwnedSemaphorePermit>) {
        let fewest = self.threads.iter().min_by_key(|thread| Arc::strong_count(&thread.seats));
        let Some(Thread { inbox, seats, .. }) = fewest else { return };
        if inbox.send((client, (permit, Arc::clone(seats)))).is_err() {
            tracing::error!("a thread for requests has ended");
        }
    }

    /// Lets the requests in flight finish, and the threads end.
    pub(super) async fn drain(self) -> Drained {
        let Self { threads, done } = self;
        let mut waits = Vec::new();
        for Thread { inbox, drained, ended, .. } in threads {
            // The thread sees that nobody comes any more.
            drop(inbox);
            waits.push((drained, ended));
        }
        let mut cut_off = 0;
        for (drained, _) in &mut waits {
            cut_off += drained.await.map_or(0, |drained| drained.cut_off);
        }
        drop(done);
        let all_ended = async {
            for (_, ended) in waits {
                // Nothing is sent: it closes.
                let _ = ended.await;
            }
        };
        let _ = tokio::time::timeout(ENDING, all_ended).await;
        Drained { cut_off }
    }
}

/// A thread's life: its clients, until no more come.
async fn work<E: Endpoint<Output = Response> + 'static>(
    server: Arc<Server<E>>,
    mut clients: mpsc::UnboundedReceiver<(Client, Place)>,
) -> Drained {
    let (stop, stopped) = watch::channel(());
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Some(ended) = connections.join_next() => report(ended),
            arrived = clients.recv() => {
                let Some((client, place)) = arrived else { break };
                let server = Arc::clone(&server);
                let begun = begin(&mut connections, server, client, stopped.clone(), place);
                if let Err(error) = begun {
                    tracing::error!(%error, "a connection cannot be watched");
                }
            }
        }
    }
    drop(stop);
    drain(connections, server.limits.shutdown_grace).await
}

/// Has the thread's runtime watch the connection.
fn begin<E: Endpoint<Output = Response> + 'static>(
    connections: &mut JoinSet<()>,
    server: Arc<Server<E>>,
    client: Client,
    stopped: watch::Receiver<()>,
    place: Place,
) -> io::Result<()> {
    match client {
        Client::Tcp(socket, address) => {
            let socket = TcpStream::from_std(socket)?;
            connections.spawn(server.connection(socket, address.into(), stopped, place));
        }
        Client::Unix(socket) => {
            let socket = UnixStream::from_std(socket)?;
            connections.spawn(server.connection(socket, UNIX_CLIENT, stopped, place));
        }
    }
    Ok(())
}

/// Waits for the connections, which all have been told to end.
async fn drain(mut connections: JoinSet<()>, grace: Duration) -> Drained {
    let all = async { while connections.join_next().await.map(report).is_some() {} };
    let in_time = tokio::time::timeout(grace, all).await.is_ok();
    let cut_off = if in_time { 0 } else { connections.len() };
    connections.shutdown().await;
    Drained { cut_off }
}

fn report(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a connection's task failed");
    }
}
