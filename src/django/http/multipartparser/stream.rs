//! The body of `MultiPartParser` as its parts: `LazyStream`, `ChunkIter` and `BoundaryIter`.

use std::ops::Range;

use super::base64::FileCheck;
use super::error::{MultiPartError, parser_error};
use crate::django::utils::text::is_bytes_space;

/// `FileUploadHandler.chunk_size`
const CHUNK_SIZE: usize = 64 * 1024;

/// A boundary with its dashes, and the table by which Knuth, Morris and Pratt find it in linear
/// time: a body of dashes would be slow otherwise.
#[derive(Clone, Debug)]
pub(super) struct Separator {
    bytes: Vec<u8>,
    fallback: Vec<usize>,
}

impl Separator {
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        let mut separator = Self { bytes, fallback: vec![0] };
        let mut matched = 0;
        for position in 1..separator.bytes.len() {
            let byte = separator.bytes.get(position).copied().unwrap_or_default();
            matched = separator.step(matched, byte);
            separator.fallback.push(matched);
        }
        separator
    }

    /// How much is matched after `byte`, when `matched` bytes were before it.
    pub(super) fn step(&self, mut matched: usize, byte: u8) -> usize {
        while matched > 0 && self.bytes.get(matched) != Some(&byte) {
            matched = self.fallback.get(matched - 1).copied().unwrap_or(0);
        }
        matched + usize::from(self.bytes.get(matched) == Some(&byte))
    }

    pub(super) fn find(&self, data: &[u8]) -> Option<usize> {
        let mut matched = 0;
        for (position, byte) in data.iter().enumerate() {
            matched = self.step(matched, *byte);
            if matched == self.bytes.len() {
                return Some(position + 1 - matched);
            }
        }
        None
    }
}

/// `LazyStream` over `ChunkIter`: of the body, `fetched` bytes were read, `position` were used up.
pub(super) struct Stream<'b> {
    body: &'b [u8],
    position: usize,
    fetched: usize,
}

impl<'b> Stream<'b> {
    pub(super) fn new(body: &'b [u8]) -> Self {
        Self { body, position: 0, fetched: 0 }
    }

    pub(super) fn has_more(&mut self) -> bool {
        if self.position == self.fetched {
            self.fetched = self.body.len().min(self.fetched.saturating_add(CHUNK_SIZE));
        }
        self.position < self.fetched
    }

    /// Uses up what is left of the chunk, or the next chunk.
    pub(super) fn advance(&mut self) -> bool {
        let more = self.has_more();
        self.position = self.fetched;
        more
    }
}

/// One part: `LazyStream` over `BoundaryIter`. `unread` was taken from the stream and not used yet.
pub(super) struct Part<'s, 'b> {
    stream: &'s mut Stream<'b>,
    separator: &'s Separator,
    unread: Range<usize>,
    done: bool,
}

impl<'s, 'b> Part<'s, 'b> {
    pub(super) fn new(stream: &'s mut Stream<'b>, separator: &'s Separator) -> Self {
        let start = stream.position;
        Self { stream, separator, unread: start..start, done: false }
    }

    /// `BoundaryIter.__next__`: takes more of the part; false at its end.
    pub(super) fn fetch(&mut self) -> bool {
        if self.done {
            return false;
        }
        let start = self.stream.position;
        // `CRLF`, the separator, `--CRLF`; the six are Django's.
        let rollback = self.separator.bytes.len() + 6;
        while self.stream.position - start <= rollback {
            if !self.stream.advance() {
                self.done = true;
                break;
            }
        }
        if self.stream.position == start {
            return false;
        }
        self.unread.end = self.take_until_boundary(start, rollback);
        true
    }

    /// Gives back to the stream what may belong to the next part; returns where this one ends.
    pub(super) fn take_until_boundary(&mut self, start: usize, rollback: usize) -> usize {
        let chunk = self.stream.body.get(start..self.stream.position).unwrap_or_default();
        if let Some(index) = self.separator.find(chunk) {
            self.done = true;
            self.stream.position = start + index + self.separator.bytes.len();
            let data = chunk.get(..index).unwrap_or_default();
            let data = data.strip_suffix(b"\n").unwrap_or(data);
            let data = data.strip_suffix(b"\r").unwrap_or(data);
            return start + data.len();
        }
        if chunk.len() <= rollback {
            self.done = true;
        } else {
            self.stream.position -= rollback;
        }
        self.stream.position
    }

    /// The bytes of the body that stand there.
    pub(super) fn bytes(&self, place: Range<usize>) -> &'b [u8] {
        self.stream.body.get(place).unwrap_or_default()
    }

    /// `read(size)`: where it is.
    pub(super) fn read(&mut self, size: usize) -> Range<usize> {
        while self.unread.len() < size && self.fetch() {}
        let end = self.unread.end.min(self.unread.start.saturating_add(size));
        let taken = self.unread.start..end;
        self.unread.start = end;
        taken
    }

    /// `unget`
    pub(super) fn unget(&mut self, bytes: usize) {
        self.unread.start -= bytes;
    }

    /// Reads a file to its end; base64 only to see whether it can be decoded.
    pub(super) fn exhaust_file(&mut self, base64: Option<FileCheck>) -> Result<(), MultiPartError> {
        let mut check = base64;
        while !self.unread.is_empty() || self.fetch() {
            let chunk = self.read(self.unread.len());
            let chunk = self.bytes(chunk);
            if check.as_mut().is_some_and(|check| !check.take(chunk)) {
                return parser_error("Could not decode base64 data.");
            }
        }
        if check.is_none_or(|mut check| check.finish()) {
            Ok(())
        } else {
            parser_error("Could not decode base64 data.")
        }
    }
}

/// `bytes.strip`
pub(super) fn strip_bytes(text: &str) -> &str {
    text.trim_matches(|c| u8::try_from(c).is_ok_and(is_bytes_space))
}
