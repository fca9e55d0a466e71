//! The accept loop that can be exposed: hyper's HTTP/1 under poem's endpoints, with every wait bounded.
//!
//! Why not `poem::Server`? It has no deadline for a head or a body, spins when `accept` fails, waits for ever for a
//! client that has sent half a head, and lets a handler run on whose client has left.
//!
//! Why HTTP/1 only? gunicorn speaks nothing else, proxies use it towards their backends, and a silent connection
//! whose version is still open to guess is covered by no timer of hyper's.

mod framing;
mod progress;
#[cfg(test)]
mod tests;
mod watched;

use std::convert::Infallible;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::{Body, Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use poem::http::header::CONNECTION;
use poem::http::uri::Scheme;
use poem::http::{HeaderValue, StatusCode};
use poem::middleware::CatchPanic;
use poem::web::{LocalAddr, RemoteAddr};
use poem::{Endpoint, EndpointExt, Request, Response};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

use progress::{Answer, Progress};
use watched::Watched;

/// How long the loop rests when `accept` fails, which is mostly for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What one client may take, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// From the first byte of a request head to its last; from the connection on for the first head.
    pub header_timeout: Duration,
    /// How long a connection is kept for another request. A proxy in front that keeps its connections should give up
    /// first: it cannot repeat a POST that met a closing connection.
    pub idle_timeout: Duration,
    /// From the first moment at which the client does not take a response to its last byte.
    pub write_timeout: Duration,
    /// Connections open at once. Others wait in the kernel's backlog: that costs nothing here, and they are served
    /// when one closes, where a refusal would need a connection to be said.
    pub max_connections: usize,
    /// Bytes of a request head. Its lines are at most 100, which is hyper's bound and gunicorn's.
    pub max_header_bytes: usize,
    /// How long requests in flight may take after the shutdown signal.
    pub shutdown_grace: Duration,
}

/// How the server ended.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Drained {
    /// Requests that were cut off because the grace was over.
    pub cut_off: usize,
}

/// Serves until `shutdown` resolves, then lets the requests in flight finish. `server_error` answers a panic.
pub async fn serve<E>(
    listener: TcpListener,
    endpoint: E,
    limits: Limits,
    server_error: fn() -> Response,
    shutdown: impl Future<Output = ()>,
) -> io::Result<Drained>
where
    E: Endpoint<Output = Response> + 'static,
{
    let endpoint = endpoint.with(CatchPanic::new().with_handler(move |_| server_error()));
    let server =
        Arc::new(Server { http: http(limits), endpoint, limits, address: listener.local_addr()? });
    let permits = Arc::new(Semaphore::new(limits.max_connections.min(Semaphore::MAX_PERMITS)));
    let (stop, stopped) = watch::channel(());
    let (mut connections, mut backoff) = (JoinSet::new(), Backoff::default());
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            Some(ended) = connections.join_next() => report(ended),
            (permit, accepted) = accept(&listener, &permits) => match accepted {
                Ok((socket, client)) => {
                    backoff = Backoff::default();
                    let server = Arc::clone(&server);
                    connections.spawn(server.connection(socket, client, stopped.clone(), permit));
                }
                Err(error) => backoff.rest(&error).await,
            },
        }
    }
    // From here on nobody can connect.
    drop((listener, stop));
    Ok(drain(connections, limits.shutdown_grace).await)
}

fn http(limits: Limits) -> http1::Builder {
    let mut http = http1::Builder::new();
    // A client that has closed its side has left: its handler is dropped.
    http.half_close(false).header_read_timeout(None).max_header_size(limits.max_header_bytes);
    http
}

/// The next client, when there is room for it.
async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> (Option<OwnedSemaphorePermit>, io::Result<(TcpStream, SocketAddr)>) {
    // The semaphore is never closed, so there always is a permit.
    let permit = Arc::clone(permits).acquire_owned().await.ok();
    (permit, listener.accept().await)
}

/// Waits for the connections, which all have been told to end.
async fn drain(mut connections: JoinSet<()>, grace: Duration) -> Drained {
    let all = async { while connections.join_next().await.map(report).is_some() {} };
    let in_time = tokio::time::timeout(grace, all).await.is_ok();
    let cut_off = if in_time { 0 } else { connections.len() };
    connections.shutdown().await;
    Drained { cut_off }
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a connection's task failed");
    }
}

/// A run of failures of `accept`.
#[derive(Default)]
struct Backoff {
    told: bool,
}

impl Backoff {
    async fn rest(&mut self, error: &io::Error) {
        if let Some(pause) = self.pause(error) {
            tokio::time::sleep(pause).await;
        }
    }

    /// A client that left before it was accepted is no reason to rest. The first failure of a run is logged.
    fn pause(&mut self, error: &io::Error) -> Option<Duration> {
        use ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
        if matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) {
            return None;
        }
        if !self.told {
            self.told = true;
            tracing::error!(%error, "cannot accept connections, trying again until it works");
        }
        Some(ACCEPT_PAUSE)
    }
}

/// What all connections share.
struct Server<E> {
    http: http1::Builder,
    endpoint: E,
    limits: Limits,
    address: SocketAddr,
}

impl<E: Endpoint<Output = Response> + 'static> Server<E> {
    /// A connection's life. `_permit` is its place among `max_connections`.
    async fn connection(
        self: Arc<Self>,
        socket: TcpStream,
        client: SocketAddr,
        mut stopped: watch::Receiver<()>,
        _permit: Option<OwnedSemaphorePermit>,
    ) {
        // Fails only for a socket that is closed already, which the next read tells.
        let _ = socket.set_nodelay(true);
        let progress = Arc::new(Progress::default());
        let io = TokioIo::new(Watched::new(socket, Arc::clone(&progress), self.limits));
        let service = service_fn(|request| self.answer(request, client, &progress));
        let mut connection = pin!(self.http.serve_connection(io, service));
        tokio::select! {
            // First, so that a request which has arrived counts as one in flight.
            biased;
            ended = &mut connection => return trace(ended),
            _ = stopped.changed() => {}
        }
        // Who is idle, or has sent but a part of a head, is left here.
        if progress.is_answering() {
            connection.as_mut().graceful_shutdown();
            trace(connection.await);
        }
    }

    /// One request. The head is looked at before this returns, while its bytes are the next of the connection.
    fn answer(
        &self,
        request: hyper::Request<Incoming>,
        client: SocketAddr,
        progress: &Arc<Progress>,
    ) -> impl Future<
        Output = Result<
            hyper::Response<impl Body<Data = Bytes, Error = io::Error> + use<E>>,
            Infallible,
        >,
    > {
        let length = request.body().size_hint().exact();
        let (answering, acceptable) = progress.begin(length);
        let addresses = (LocalAddr(self.address.into()), RemoteAddr(client.into()));
        async move {
            let mut response = if acceptable {
                let (local, remote) = addresses;
                self.endpoint
                    .get_response(Request::from((request, local, remote, Scheme::HTTP)))
                    .await
            } else {
                bad_request()
            };
            if length.is_none() || !acceptable {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            let response = hyper::Response::from(response);
            Ok(response.map(|body| Answer { body, _answering: answering }))
        }
    }
}

fn bad_request() -> Response {
    let response = Response::builder().status(StatusCode::BAD_REQUEST);
    response.content_type("application/json").body(r#"{"detail":"Bad request."}"#)
}

/// Clients come and go in all ways; none of them is an event.
fn trace(ended: hyper::Result<()>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended");
    }
}
