//! Raw sockets against the loop. Limits are an hour but for the one that a test is about.

use std::net::SocketAddr;
use std::sync::Arc;

use poem::endpoint::make;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::*;
use crate::memory::{has_grown, resident_bytes};
use crate::settings::Bind;

const HOUR: Duration = Duration::from_hours(1);
const SHORT: Duration = Duration::from_millis(200);
const LIMITS: Limits = Limits {
    threads: 2,
    header_timeout: HOUR,
    idle_timeout: HOUR,
    write_timeout: HOUR,
    max_connections: 100,
    max_header_bytes: 8192,
    idle_grace: SHORT,
    shutdown_grace: HOUR,
};
const OK: &str = "HTTP/1.1 200 OK\r\n";
const BAD: &str = "HTTP/1.1 400 Bad Request\r\n";

/// A running server. Its `/wait` tells `events` when it is entered and when it is left, and ends on `release`.
struct Site {
    address: SocketAddr,
    events: mpsc::UnboundedReceiver<&'static str>,
    release: Arc<Semaphore>,
    stop: oneshot::Sender<Option<Duration>>,
    ended: JoinHandle<io::Result<Drained>>,
}

struct Leaving(mpsc::UnboundedSender<&'static str>);

impl Drop for Leaving {
    fn drop(&mut self) {
        let _ = self.0.send("left");
    }
}

async fn respond(
    request: Request,
    events: mpsc::UnboundedSender<&'static str>,
    release: Arc<Semaphore>,
) -> Response {
    match request.uri().path() {
        // A panic without its message, of which some tests would print thousands.
        "/panic" => std::panic::resume_unwind(Box::new("wanted by the test")),
        "/big" => Response::builder().body(vec![b'x'; 50_000_000]),
        "/echo" => Response::builder().body(request.into_body()),
        "/wait" => {
            let _leaving = Leaving(events.clone());
            let _ = events.send("entered");
            let _ = release.acquire().await.unwrap();
            Response::builder().body("waited")
        }
        _ => Response::builder().body("ok"),
    }
}

fn server_error() -> Response {
    Response::builder().status(StatusCode::INTERNAL_SERVER_ERROR).body("sorry")
}

async fn site(limits: Limits) -> Site {
    let listener = Listener::bind(&Bind::Tcp("127.0.0.1:0".parse().unwrap())).await.unwrap();
    let address = *listener.local_addr().unwrap().as_socket_addr().unwrap();
    let (tell, events) = mpsc::unbounded_channel();
    let release = Arc::new(Semaphore::new(0));
    let gate = Arc::clone(&release);
    let application = move || {
        let (tell, gate) = (tell.clone(), Arc::clone(&gate));
        let endpoint = make(move |request| {
            let (tell, gate) = (tell.clone(), Arc::clone(&gate));
            async move { respond(request, tell, gate).await }
        });
        Ok(endpoint.map_to_response())
    };
    let (stop, stopped) = oneshot::channel();
    let shutdown = async { stopped.await.unwrap_or_default() };
    let ended = tokio::spawn(serve(listener, application, limits, server_error, shutdown));
    Site { address, events, release, stop, ended }
}

impl Site {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn send(&self, bytes: &str) -> TcpStream {
        let mut client = self.connect().await;
        client.write_all(bytes.as_bytes()).await.unwrap();
        client
    }

    async fn event(&mut self) -> Option<&'static str> {
        soon(self.events.recv()).await
    }

    /// All that comes until the server closes.
    async fn exchange(&self, bytes: &str) -> String {
        rest(self.send(bytes).await).await
    }
}

/// A wait that a broken promise would make endless.
async fn soon<F: Future>(wait: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(20), wait).await.expect("it came to nothing")
}

async fn rest(mut client: TcpStream) -> String {
    let mut text = String::new();
    soon(client.read_to_string(&mut text)).await.unwrap();
    text
}

/// One response, whose body is the word `ok`.
async fn get(client: &mut TcpStream, request: &str) -> String {
    client.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    while !text.ends_with("\r\n\r\nok") {
        text.push(char::from(soon(client.read_u8()).await.unwrap()));
    }
    text
}

#[tokio::test]
async fn a_connection_serves_many_requests() {
    let site = site(LIMITS).await;
    let mut client = site.connect().await;
    for _ in 0..3 {
        assert!(get(&mut client, "GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.starts_with(OK));
    }
    let last = get(&mut client, "GET / HTTP/1.1\r\nConnection: close\r\n\r\n").await;
    assert!(last.contains("\r\nconnection: close\r\n"));
    assert_eq!(rest(client).await, "");
}

#[tokio::test]
async fn pipelined_requests_with_bodies_are_told_apart() {
    let site = site(LIMITS).await;
    let post = "POST /echo HTTP/1.1\r\nContent-Length: 8\r\n\r\nget \n\n\r\n";
    let last = "GET / HTTP/1.1\r\nConnection: close\r\n\r\n";
    let text = site.exchange(&format!("{post}{post}{last}")).await;
    assert_eq!(text.matches(OK).count(), 3, "{text}");
    assert_eq!(text.matches("get \n\n\r\n").count(), 2);
}

#[tokio::test]
async fn silent_connections_and_half_heads_are_closed() {
    let site = site(Limits { header_timeout: SHORT, ..LIMITS }).await;
    assert_eq!(site.exchange("").await, "");
    assert_eq!(site.exchange("GET / HTTP/1.1\r\nHost: a\r\nX").await, "");
    let mut client = site.connect().await;
    get(&mut client, "GET / HTTP/1.1\r\n\r\n").await;
    client.write_all(b"GET /").await.unwrap();
    assert_eq!(rest(client).await, "");
}

#[tokio::test]
async fn a_dripping_head_is_closed_all_the_same() {
    let site = site(Limits { header_timeout: SHORT, ..LIMITS }).await;
    let mut client = site.send("GET / HTTP/1.1\r\nX: ").await;
    let mut nothing = [0; 1];
    let closed = loop {
        tokio::select! {
            read = client.read(&mut nothing) => break read,
            () = tokio::time::sleep(SHORT / 10) => {}
        }
        if let Err(error) = client.write_all(b"x").await {
            break Err(error);
        }
    };
    assert!(matches!(closed, Ok(0) | Err(_)));
}

#[tokio::test]
async fn a_connection_kept_alive_is_closed_when_idle() {
    let site = site(Limits { idle_timeout: SHORT, ..LIMITS }).await;
    let mut client = site.connect().await;
    get(&mut client, "GET / HTTP/1.1\r\n\r\n").await;
    assert_eq!(rest(client).await, "");
}

#[tokio::test]
async fn a_client_that_does_not_read_its_response_loses_its_place() {
    let site = site(Limits { write_timeout: SHORT, max_connections: 1, ..LIMITS }).await;
    let _greedy = site.send("GET /big HTTP/1.1\r\n\r\n").await;
    let mut next = site.connect().await;
    assert!(get(&mut next, "GET / HTTP/1.1\r\n\r\n").await.starts_with(OK));
}

#[tokio::test]
async fn clients_over_the_bound_wait_until_one_leaves() {
    let site = site(Limits { max_connections: 1, ..LIMITS }).await;
    let mut first = site.connect().await;
    get(&mut first, "GET / HTTP/1.1\r\n\r\n").await;
    let mut second = site.connect().await;
    let mut answer = Box::pin(get(&mut second, "GET / HTTP/1.1\r\n\r\n"));
    assert!(tokio::time::timeout(SHORT, &mut answer).await.is_err());
    drop(first);
    assert!(answer.await.starts_with(OK));
}

#[tokio::test]
async fn a_panic_is_a_server_error_and_the_connection_goes_on() {
    let site = site(LIMITS).await;
    let last = "GET / HTTP/1.1\r\nConnection: close\r\n\r\n";
    let text = site.exchange(&format!("GET /panic HTTP/1.1\r\n\r\n{last}")).await;
    assert!(text.starts_with("HTTP/1.1 500 Internal Server Error\r\n"), "{text}");
    assert!(text.contains("\r\n\r\nsorryHTTP/1.1 200 OK\r\n"), "{text}");
}

/// There is one place only: one that is not given back would stop the test, and anything kept of a request shows in the
/// memory of the process.
#[tokio::test]
async fn ten_thousand_panics_leak_nothing() {
    let site = site(Limits { max_connections: 1, threads: 1, ..LIMITS }).await;
    let (panics, last) = ("GET /panic HTTP/1.1\r\n\r\n".repeat(99), "GET / HTTP/1.1\r\n");
    let text = format!("{panics}GET /panic HTTP/1.1\r\nConnection: close\r\n\r\n");
    let mut before = 0;
    for round in 0..100 {
        assert_eq!(site.exchange(&text).await.matches("HTTP/1.1 500").count(), 100);
        if round == 0 {
            before = resident_bytes();
        }
    }
    assert!(!has_grown(before));
    assert!(site.exchange(&format!("{last}Connection: close\r\n\r\n")).await.starts_with(OK));
}

#[tokio::test]
async fn a_client_that_left_cancels_its_handler() {
    let mut site = site(LIMITS).await;
    let client = site.send("GET /wait HTTP/1.1\r\n\r\n").await;
    assert_eq!(site.event().await, Some("entered"));
    drop(client);
    assert_eq!(site.event().await, Some("left"));
}

#[tokio::test]
async fn what_cannot_be_framed_is_a_bad_request_and_the_end_of_the_connection() {
    let site = site(LIMITS).await;
    let fields = "Content-Length: 5\r\nTransfer-Encoding: chunked";
    let text = site.exchange(&format!("POST / HTTP/1.1\r\n{fields}\r\n\r\n0\r\n\r\n")).await;
    assert!(text.starts_with(BAD), "{text}");
    assert!(text.contains("\r\ncontent-type: application/json\r\nconnection: close\r\n"), "{text}");
    assert!(text.ends_with("\r\n\r\n{\"detail\":\"Bad request.\"}"), "{text}");
    assert!(site.exchange("get / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n").await.starts_with(BAD));
    assert!(site.exchange("rubbish\r\n\r\n").await.starts_with(BAD));
}

#[tokio::test]
async fn a_head_too_long_is_431() {
    let site = site(LIMITS).await;
    let long = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(9000));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "X: x\r\n".repeat(101));
    for head in [long, many] {
        assert!(site.exchange(&head).await.starts_with("HTTP/1.1 431 "));
    }
}

#[tokio::test]
async fn a_chunked_request_is_the_last_of_its_connection() {
    let site = site(LIMITS).await;
    let head = "POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    let text = site.exchange(&format!("{head}3\r\nabc\r\n0\r\n\r\n")).await;
    assert!(text.starts_with(OK) && text.contains("\r\nconnection: close\r\n"), "{text}");
    assert!(text.contains("abc"), "{text}");
}

#[tokio::test]
async fn a_client_may_send_on_when_it_has_its_answer() {
    let site = site(LIMITS).await;
    let mut client = site.connect().await;
    let half = "x".repeat(500_000);
    let head = "POST / HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n";
    assert!(get(&mut client, &format!("{head}{half}")).await.starts_with(OK));
    client.write_all(half.as_bytes()).await.unwrap();
    client.shutdown().await.unwrap();
    assert_eq!(rest(client).await, "");
}

#[tokio::test]
async fn shutdown_answers_what_is_in_flight_and_closes_the_rest() {
    let mut site = site(LIMITS).await;
    let mut idle = site.connect().await;
    get(&mut idle, "GET / HTTP/1.1\r\n\r\n").await;
    let half = site.send("GET / HTTP/1.1\r\nHo").await;
    let silent = site.connect().await;
    let busy = site.send("GET /wait HTTP/1.1\r\n\r\n").await;
    assert_eq!(site.event().await, Some("entered"));
    site.stop.send(None).unwrap();
    for client in [idle, half, silent] {
        assert_eq!(rest(client).await, "");
    }
    assert!(TcpStream::connect(site.address).await.is_err());
    site.release.add_permits(1);
    let text = rest(busy).await;
    assert!(text.contains("\r\nconnection: close\r\n") && text.ends_with("waited"), "{text}");
    assert_eq!(soon(site.ended).await.unwrap().unwrap(), Drained { cut_off: 0 });
}

#[tokio::test]
async fn a_request_on_an_idle_connection_is_answered_while_the_server_ends() {
    let site = site(Limits { idle_grace: HOUR, ..LIMITS }).await;
    let mut idle = site.connect().await;
    get(&mut idle, "GET / HTTP/1.1\r\n\r\n").await;
    let Site { address, stop, ended, .. } = site;
    stop.send(None).unwrap();
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    idle.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let text = rest(idle).await;
    assert!(text.starts_with(OK) && text.contains("\r\nconnection: close\r\n"), "{text}");
    assert_eq!(soon(ended).await.unwrap().unwrap(), Drained { cut_off: 0 });
}

#[tokio::test]
async fn with_a_delay_new_connections_are_served_and_closed_with_their_answer() {
    let Site { address, stop, ended, .. } = site(LIMITS).await;
    stop.send(Some(HOUR)).unwrap();
    let text = loop {
        let mut client = TcpStream::connect(address).await.unwrap();
        let text = get(&mut client, "GET / HTTP/1.1\r\n\r\n").await;
        if text.contains("\r\nconnection: close\r\n") {
            break text;
        }
    };
    assert!(text.starts_with(OK), "{text}");
    assert!(!ended.is_finished());
}

#[tokio::test]
async fn who_has_connected_before_the_shutdown_is_answered() {
    let Site { address, stop, ended, .. } = site(LIMITS).await;
    // Nothing is awaited, so that nobody is accepted before the server sees its end.
    let connect = |_| {
        let mut client = std::net::TcpStream::connect(address).unwrap();
        io::Write::write_all(&mut client, b"GET / HTTP/1.1\r\n\r\n").unwrap();
        client.set_nonblocking(true).unwrap();
        TcpStream::from_std(client).unwrap()
    };
    let clients: Vec<_> = (0..50).map(connect).collect();
    stop.send(None).unwrap();
    for client in clients {
        let text = rest(client).await;
        assert!(text.starts_with(OK), "{text}");
    }
    assert_eq!(soon(ended).await.unwrap().unwrap(), Drained { cut_off: 0 });
}

#[tokio::test]
async fn the_delay_ends() {
    let site = site(LIMITS).await;
    site.stop.send(Some(SHORT)).unwrap();
    assert_eq!(soon(site.ended).await.unwrap().unwrap(), Drained { cut_off: 0 });
    assert!(TcpStream::connect(site.address).await.is_err());
}

#[tokio::test]
async fn shutdown_ends_with_the_grace() {
    let mut site = site(Limits { shutdown_grace: SHORT, ..LIMITS }).await;
    let _busy = site.send("GET /wait HTTP/1.1\r\n\r\n").await;
    assert_eq!(site.event().await, Some("entered"));
    site.stop.send(None).unwrap();
    assert_eq!(soon(site.ended).await.unwrap().unwrap(), Drained { cut_off: 1 });
    assert_eq!(soon(site.events.recv()).await, Some("left"));
}

#[test]
fn accept_rests_after_an_error_unless_it_was_the_client_s() {
    let mut backoff = Backoff::default();
    let exhausted = io::Error::other("too many open files");
    assert_eq!(backoff.pause(&exhausted), Some(ACCEPT_PAUSE));
    assert!(backoff.told);
    assert_eq!(backoff.pause(&ErrorKind::ConnectionAborted.into()), None);
}
