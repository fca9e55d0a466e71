//! What a connection is doing: the socket, the service and the drain all have to know.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame, SizeHint};

use super::framing::Heads;

/// What the next byte from the client would be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    /// Part of a head; the first one is due from the moment the client connects.
    Head,
    /// The begin of another request, on a connection kept alive.
    Idle,
    /// Of no concern: a request is being answered.
    Answering,
}

#[derive(Default)]
struct State {
    heads: Heads,
    requests: usize,
    answering: usize,
    unsent: bool,
}

/// The state of one connection.
#[derive(Default)]
pub(super) struct Progress(Mutex<State>);

impl Progress {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes came from the socket.
    pub(super) fn received(&self, bytes: &[u8]) {
        self.state().heads.received(bytes);
    }

    /// The socket has taken all bytes of a response, or not.
    pub(super) fn set_unsent(&self, unsent: bool) {
        self.state().unsent = unsent;
    }

    /// The phase, and of which request.
    pub(super) fn phase(&self) -> (usize, Phase) {
        let state = self.state();
        let phase = match state {
            _ if state.answering > 0 => Phase::Answering,
            _ if state.requests == 0 || state.heads.has_begun() => Phase::Head,
            _ => Phase::Idle,
        };
        (state.requests, phase)
    }

    /// Whether a client waits for the rest of an answer.
    pub(super) fn is_answering(&self) -> bool {
        let state = self.state();
        state.answering > 0 || state.unsent
    }

    /// A head is complete, its body is `body` bytes long or chunked. Whether it may be answered by the endpoint comes
    /// with the guard that marks the time until the answer is handed to the socket.
    pub(super) fn begin(self: &Arc<Self>, body: Option<u64>) -> (Answering, bool) {
        let mut state = self.state();
        state.requests += 1;
        state.answering += 1;
        let acceptable = state.heads.take(body);
        drop(state);
        (Answering(Arc::clone(self)), acceptable)
    }
}

/// Lives as long as a request is being answered.
pub(super) struct Answering(Arc<Progress>);

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.state().answering -= 1;
    }
}

/// A response body that ends its request when hyper has taken all of it.
pub(super) struct Answer<B> {
    pub(super) body: B,
    pub(super) _answering: Answering,
}

impl<B: Body<Data = Bytes, Error = io::Error> + Unpin> Body for Answer<B> {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_wait_is_a_phase_of_its_own() {
        let progress = Arc::new(Progress::default());
        assert_eq!(progress.phase(), (0, Phase::Head));
        for request in 1..3 {
            progress.received(b"GET / HTTP/1.1\r\n\r\n");
            let (answering, acceptable) = progress.begin(Some(0));
            assert!(acceptable && progress.is_answering());
            assert_eq!(progress.phase(), (request, Phase::Answering));
            drop(answering);
            assert!(!progress.is_answering());
            assert_eq!(progress.phase(), (request, Phase::Idle));
        }
        progress.received(b"G");
        assert_eq!(progress.phase(), (2, Phase::Head));
    }

    #[test]
    fn bytes_that_the_socket_has_not_taken_belong_to_the_answer() {
        let progress = Progress::default();
        progress.set_unsent(true);
        assert!(progress.is_answering());
    }
}
