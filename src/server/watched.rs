//! A client's socket with its deadlines: for a head, for the next request, for taking a response, for the last bytes.
//!
//! Why not hyper's own timer? It has one limit for a head and for the wait before it, and none for writing.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::Limits;
use super::progress::{Phase, Progress};

/// How long a closed connection is still read. Bytes that nobody read would turn the close into a reset, and the
/// client could lose the answer that it got before it had sent everything.
const LINGER: Duration = Duration::from_secs(1);

/// A limit in time that is set again and again, with each request, and hardly ever reached: so the timer behind it
/// rings early, and is then told of the moment that counts.
#[derive(Default)]
struct Deadline {
    sleep: Option<Pin<Box<Sleep>>>,
    at: Option<Instant>,
}

impl Deadline {
    fn start(&mut self, limit: Duration) {
        let at = Instant::now() + limit;
        self.at = Some(at);
        match &mut self.sleep {
            Some(sleep) if at < sleep.deadline() => sleep.as_mut().reset(at),
            Some(_) => {}
            None => self.sleep = Some(Box::pin(sleep_until(at))),
        }
    }

    fn stop(&mut self) {
        self.at = None;
    }

    fn is_running(&self) -> bool {
        self.at.is_some()
    }

    /// Resolves when the time is over; never when none is set.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let (Some(sleep), Some(at)) = (&mut self.sleep, self.at) else { return Poll::Pending };
        loop {
            ready!(sleep.as_mut().poll(cx));
            if sleep.deadline() >= at {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(at);
        }
    }
}

/// The socket of one connection.
pub(super) struct Watched<S> {
    socket: S,
    progress: Arc<Progress>,
    limits: Limits,
    phase: Option<(usize, Phase)>,
    reading: Deadline,
    writing: Deadline,
    closing: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Watched<S> {
    pub(super) fn new(socket: S, progress: Arc<Progress>, limits: Limits) -> Self {
        let (reading, writing) = (Deadline::default(), Deadline::default());
        Self { socket, progress, limits, phase: None, reading, writing, closing: false }
    }

    /// Nothing to read: how long may that last? A new phase has a new deadline, another byte of a head has not.
    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let phase = self.progress.phase();
        if self.phase != Some(phase) {
            self.phase = Some(phase);
            match phase.1 {
                Phase::Head => self.reading.start(self.limits.header_timeout),
                Phase::Idle => self.reading.start(self.limits.idle_timeout),
                Phase::Answering => self.reading.stop(),
            }
        }
        ready!(self.reading.poll(cx));
        Poll::Ready(Err(ErrorKind::TimedOut.into()))
    }

    /// The client takes nothing: the deadline began with the first such moment of this response.
    fn poll_stall(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if !self.writing.is_running() {
            self.writing.start(self.limits.write_timeout);
            self.progress.set_unsent(true);
        }
        ready!(self.writing.poll(cx));
        Poll::Ready(Err(ErrorKind::TimedOut.into()))
    }

    /// Reads and forgets until the client closes too.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut bytes = [0; 4096];
        loop {
            let mut buf = ReadBuf::new(&mut bytes);
            match Pin::new(&mut self.socket).poll_read(cx, &mut buf) {
                Poll::Ready(Ok(())) if !buf.filled().is_empty() => {}
                Poll::Ready(_) => return Poll::Ready(Ok(())),
                Poll::Pending => return self.reading.poll(cx).map(Ok),
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        match Pin::new(&mut self.socket).poll_read(cx, buf) {
            Poll::Ready(read) => {
                self.progress.received(buf.filled().get(before..).unwrap_or_default());
                Poll::Ready(read)
            }
            Poll::Pending => self.poll_silence(cx),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.socket).poll_write(cx, buf) {
            Poll::Pending => self.poll_stall(cx),
            written @ Poll::Ready(_) => written,
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.socket).poll_write_vectored(cx, bufs) {
            Poll::Pending => self.poll_stall(cx),
            written @ Poll::Ready(_) => written,
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    /// hyper flushes when the socket has taken its whole buffer. It does not read again when that ended an answer, so
    /// that the wait for the next request has to begin here.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.writing.is_running() {
            self.writing.stop();
            self.progress.set_unsent(false);
        }
        match self.poll_silence(cx) {
            Poll::Pending => Pin::new(&mut self.socket).poll_flush(cx),
            over @ Poll::Ready(_) => over,
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.closing {
            ready!(Pin::new(&mut self.socket).poll_shutdown(cx))?;
            self.closing = true;
            self.reading.start(LINGER);
        }
        self.poll_linger(cx)
    }
}
