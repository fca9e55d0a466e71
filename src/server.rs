//! The accept loop that can be exposed: hyper's HTTP/1 under poem's endpoints, with every wait bounded.
//!
//! Why not `poem::Server`? It has no deadline for a head or a body, spins when `accept` fails, waits for ever for a
//! client that has sent half a head, and lets a handler run on whose client has left.
//!
//! Why HTTP/1 only? gunicorn speaks nothing else, proxies use it towards their backends, and a silent connection
//! whose version is still open to guess is covered by no timer of hyper's.

mod framing;
mod leftovers;
mod listener;
mod progress;
#[cfg(test)]
mod tests;
mod threads;
mod watched;

use std::borrow::Cow;
use std::convert::Infallible;
use std::io::{self, ErrorKind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
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
use poem::{Addr, Endpoint, EndpointExt, Request, Response};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;

pub use listener::Listener;

use leftovers::Leftovers;
use progress::{Answer, Progress};
use threads::{Place, Threads};
use watched::Watched;

/// How long the loop rests when `accept` fails, which is mostly for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// hyper takes no smaller buffer.
const MIN_BUFFER: usize = 8192;

/// Whoever connects to a Unix socket has no address.
pub const UNIX_CLIENT: Addr = Addr::Custom("unix", Cow::Borrowed(""));

/// What one client may take, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Threads that answer requests.
    pub threads: usize,
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
    /// How long a connection that is idle when the listener closes may still bring a request, which is answered and
    /// closes it: a proxy cannot know that the connection which it is about to use is one that ends.
    pub idle_grace: Duration,
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

/// Serves until `shutdown` resolves, then goes on for the delay that it resolves to, closing each connection with its
/// answer, and at last lets the requests in flight finish. Each thread makes an `application` of its own, inside its
/// runtime. `server_error` answers a panic.
///
/// A listener that is inherited is left at once: who connects now waits in its backlog for the next process.
pub async fn serve<E>(
    listener: Listener,
    application: impl Fn() -> io::Result<E> + Send + Sync + 'static,
    limits: Limits,
    server_error: fn() -> Response,
    shutdown: impl Future<Output = Option<Duration>>,
) -> io::Result<Drained>
where
    E: Endpoint<Output = Response> + 'static,
{
    let address = listener.local_addr()?;
    let leaving = Arc::new(AtomicBool::new(false));
    let is_leaving = Arc::clone(&leaving);
    let server = move || {
        let endpoint = application()?.with(CatchPanic::new().with_handler(move |_| server_error()));
        let (address, is_leaving) = (address.clone(), Arc::clone(&is_leaving));
        Ok(Server { http: http(limits), endpoint, limits, address, is_leaving })
    };
    let threads = Threads::start(limits.threads, server).await?;
    let permits = Arc::new(Semaphore::new(limits.max_connections.min(Semaphore::MAX_PERMITS)));
    let mut backoff = Backoff::default();
    let (mut shutdown, mut delay) = (pin!(shutdown), pin!(tokio::time::sleep(Duration::MAX)));
    loop {
        let is_leaving = leaving.load(Ordering::Relaxed);
        tokio::select! {
            wanted = &mut shutdown, if !is_leaving => {
                leaving.store(true, Ordering::Relaxed);
                match wanted.filter(|_| !listener.is_inherited) {
                    Some(wanted) => delay.as_mut().reset(Instant::now() + wanted),
                    None => break,
                }
            },
            () = &mut delay, if is_leaving => break,
            (permit, accepted) = accept(&listener, &permits) => match accepted {
                Ok(client) => {
                    backoff = Backoff::default();
                    threads.give(client, permit);
                }
                Err(error) => backoff.rest(&error).await,
            },
        }
    }
    // Who has connected by now is served, if there is room; from then on nobody can connect.
    for client in listener.close() {
        let Ok(permit) = Arc::clone(&permits).try_acquire_owned() else { break };
        threads.give(client, Some(permit));
    }
    Ok(threads.drain().await)
}

fn http(limits: Limits) -> http1::Builder {
    let mut http = http1::Builder::new();
    // A client that has closed its side has left: its handler is dropped.
    http.half_close(false).header_read_timeout(None).max_header_size(limits.max_header_bytes);
    // A body is read in pieces of this size: what a client sent stays in hyper's buffer until it is read over.
    http.max_buf_size(limits.max_header_bytes + MIN_BUFFER);
    // Answers are short: to copy head and body together costs less than to hand the kernel two pieces.
    http.writev(false);
    http
}

/// The next client, when there is room for it.
async fn accept(
    listener: &Listener,
    permits: &Arc<Semaphore>,
) -> (Option<OwnedSemaphorePermit>, io::Result<listener::Client>) {
    // The semaphore is never closed, so there always is a permit.
    let permit = Arc::clone(permits).acquire_owned().await.ok();
    (permit, listener.accept().await)
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
    address: Addr,
    /// Whether each answer is the last of its connection.
    is_leaving: Arc<AtomicBool>,
}

impl<E: Endpoint<Output = Response> + 'static> Server<E> {
    /// A connection's life.
    async fn connection(
        self: Arc<Self>,
        socket: impl AsyncRead + AsyncWrite + Unpin,
        client: Addr,
        mut stopped: watch::Receiver<()>,
        _place: Place,
    ) {
        let progress = Arc::new(Progress::default());
        let io = TokioIo::new(Watched::new(socket, Arc::clone(&progress), self.limits));
        let service = service_fn(|request| self.answer(request, client.clone(), &progress));
        let mut connection = pin!(self.http.serve_connection(io, service));
        tokio::select! {
            // First, so that a request which has arrived counts as one in flight.
            biased;
            ended = &mut connection => return trace(ended),
            _ = stopped.changed() => {}
        }
        // A request that is on its way is answered, and is the last.
        tokio::select! {
            biased;
            ended = &mut connection => return trace(ended),
            () = tokio::time::sleep(self.limits.idle_grace) => {}
        }
        // Who is still idle, or has sent but a part of a head, is left here.
        if progress.is_answering() {
            connection.as_mut().graceful_shutdown();
            trace(connection.await);
        }
    }

    /// One request. The head is looked at before this returns, while its bytes are the next of the connection.
    fn answer(
        &self,
        request: hyper::Request<Incoming>,
        client: Addr,
        progress: &Arc<Progress>,
    ) -> impl Future<
        Output = Result<
            hyper::Response<impl Body<Data = Bytes, Error = io::Error> + use<E>>,
            Infallible,
        >,
    > {
        let length = request.body().size_hint().exact();
        let (answering, acceptable) = progress.begin(length);
        let addresses = (LocalAddr(self.address.clone()), RemoteAddr(client));
        async move {
            let mut response = if acceptable {
                let (local, remote) = addresses;
                let mut request = Request::from((request, local, remote, Scheme::HTTP));
                let _leftovers = (length != Some(0)).then(|| Leftovers::of(&mut request));
                self.endpoint.get_response(request).await
            } else {
                bad_request()
            };
            if length.is_none() || !acceptable || self.is_leaving.load(Ordering::Relaxed) {
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
