//! The pieces in which hyper hands over a body, wiped: a password is in one of them.
//!
//! A piece is a part of hyper's buffer, which can be written to when nobody else holds it. hyper lets go of it with its
//! next read, because the piece is held here; the head, which shares the first piece's buffer, ends with its request.

use std::sync::{Arc, Mutex, PoisonError};

use futures_util::StreamExt;
use hyper::body::Bytes;
use poem::{Body, Request};
use zeroize::Zeroize;

/// The first piece, which is held until the answer is there, and the last one, until the next is.
#[derive(Default)]
struct Held([Option<Bytes>; 2]);

impl Held {
    fn hold(&mut self, piece: Bytes) {
        let [first, last] = &mut self.0;
        if first.is_none() {
            *first = Some(piece);
        } else if let Some(read) = last.replace(piece) {
            wipe(read);
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.iter_mut().filter_map(Option::take).for_each(wipe);
    }
}

fn wipe(piece: Bytes) {
    // With the whole buffer, for another piece may have been a part of it.
    if let Ok(piece) = piece.try_into_mut() {
        Vec::from(piece).zeroize();
    }
}

/// Wipes what was read of a request's body, when it is dropped behind the request.
#[derive(Default)]
pub(super) struct Leftovers(Arc<Mutex<Held>>);

impl Leftovers {
    /// Of this request.
    pub(super) fn of(request: &mut Request) -> Self {
        let leftovers = Self::default();
        let held = Arc::clone(&leftovers.0);
        let pieces = request.take_body().into_bytes_stream().inspect(move |piece| {
            if let Ok(piece) = piece {
                held.lock().unwrap_or_else(PoisonError::into_inner).hold(piece.clone());
            }
        });
        request.set_body(Body::from_bytes_stream(pieces));
        leftovers
    }
}
