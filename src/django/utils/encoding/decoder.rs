//! `UnicodeDecodeError` and the error handlers of Python's `codecs`, for every decoder alike: bytes become text in their
//! own memory, see [`Memory`].

use std::ops::Range;

use zeroize::Zeroizing;

use crate::memory::Memory;

/// A `UnicodeDecodeError`; its places count from where the decoder was asked to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    codec: &'static str,
    start: usize,
    end: usize,
    reason: &'static str,
    /// The bytes end within a sequence, which more bytes could make whole.
    is_cut: bool,
}

impl Fault {
    pub(super) fn new(
        codec: &'static str,
        start: usize,
        length: usize,
        reason: &'static str,
    ) -> Self {
        Self { codec, start, end: start + length, reason, is_cut: false }
    }

    /// From `start` to the end of `bytes`.
    pub(super) fn cut(
        codec: &'static str,
        start: usize,
        bytes: &[u8],
        reason: &'static str,
    ) -> Self {
        Self { codec, start, end: bytes.len(), reason, is_cut: true }
    }

    /// `str(error)`; `bytes` stand at `origin` of all that is decoded.
    pub(super) fn text(&self, bytes: &[u8], origin: usize) -> String {
        let Self { codec, start, end, reason, .. } = self;
        let first = origin + start;
        if *end == start + 1 {
            let byte = bytes.get(*start).copied().unwrap_or_default();
            return format!(
                "'{codec}' codec can't decode byte 0x{byte:02x} in position {first}: {reason}"
            );
        }
        let last = (origin + end).saturating_sub(1);
        format!("'{codec}' codec can't decode bytes in position {first}-{last}: {reason}")
    }
}

/// Where a decoder writes: the room before the bytes that it reads, and where that is full, aside until they are read.
#[derive(Default)]
pub(super) struct Sink<'m> {
    room: &'m mut [u8],
    written: Written,
    /// Nothing is kept: it is only asked whether the bytes can be decoded.
    is_void: bool,
}

#[derive(Default)]
struct Written {
    length: usize,
    aside: Zeroizing<Vec<u8>>,
}

impl Sink<'_> {
    pub(super) fn push(&mut self, sign: char) {
        self.push_str(sign.encode_utf8(&mut [0; 4]));
    }

    pub(super) fn push_str(&mut self, text: &str) {
        if self.is_void {
            return;
        }
        for byte in text.bytes() {
            let written = &mut self.written;
            match self.room.get_mut(written.length) {
                Some(place) => {
                    *place = byte;
                    written.length += 1;
                }
                None => written.aside.push(byte),
            }
        }
    }

    pub(super) fn extend(&mut self, signs: impl IntoIterator<Item = char>) {
        for sign in signs {
            self.push(sign);
        }
    }
}

/// Takes bytes to text, a sequence at a time.
pub(super) trait Decoder {
    /// Decodes what stands at `position`, which is before the end, and returns where to go on.
    fn step(&mut self, bytes: &[u8], position: usize, text: &mut Sink<'_>) -> Result<usize, Fault>;
}

/// Bytes on their way to text.
struct Passage<'m> {
    memory: &'m mut [u8],
    unread: Range<usize>,
    written: usize,
}

impl<'m> Passage<'m> {
    /// `bytes` of the memory become the text that begins at `to`.
    fn new(memory: &'m mut Memory, bytes: &Range<usize>, to: usize) -> Self {
        Self { memory: memory.write(to), unread: bytes.clone(), written: to }
    }

    fn is_done(&self) -> bool {
        self.unread.is_empty()
    }

    /// A step, what it wrote, and what was there to be read.
    fn step(&mut self, decoder: &mut dyn Decoder) -> (Written, Result<usize, Fault>, &[u8]) {
        let split = self.memory.split_at_mut_checked(self.unread.start);
        let (before, bytes) = split.unwrap_or_default();
        let bytes = bytes.get(..self.unread.len()).unwrap_or_default();
        let room = before.get_mut(self.written..).unwrap_or_default();
        let mut sink = Sink { room, ..Sink::default() };
        let step = decoder.step(bytes, 0, &mut sink);
        (sink.written, step, bytes)
    }

    /// Goes on behind `read` bytes.
    fn commit(&mut self, written: &Written, read: usize) {
        self.unread.start += read;
        self.written += written.length;
        self.write(&written.aside);
    }

    fn write(&mut self, bytes: &[u8]) {
        let end = self.written + bytes.len();
        if let Some(room) =
            self.memory.get_mut(self.written..end).filter(|_| end <= self.unread.start)
        {
            room.copy_from_slice(bytes);
            self.written = end;
        }
    }
}

/// Whether `bytes.decode(codec)` from `start` on is no error.
pub(super) fn is_decodable(decoder: &mut dyn Decoder, bytes: &[u8], start: usize) -> bool {
    let mut sink = Sink { is_void: true, ..Sink::default() };
    let mut position = start;
    while position < bytes.len() {
        match decoder.step(bytes, position, &mut sink) {
            Ok(next) => position = next,
            Err(_) => return false,
        }
    }
    true
}

/// `bytes.decode(codec)` of `memory`'s content from `start` on; with `waits`, only what a reader that waits for more
/// bytes has decoded. Returns where the text stands, and how many bytes it was.
pub(super) fn strict(
    decoder: &mut dyn Decoder,
    memory: &mut Memory,
    start: usize,
    waits: bool,
) -> Result<(Range<usize>, usize), String> {
    let content = memory.content();
    let to = memory.first();
    let mut passage = Passage::new(memory, &(content.start + start..content.end), to);
    while !passage.is_done() {
        let origin = passage.unread.start - content.start;
        let (written, step, bytes) = passage.step(decoder);
        match step {
            Ok(read) => passage.commit(&written, read),
            Err(fault) if fault.is_cut && waits => break,
            Err(fault) => return Err(fault.text(bytes, origin)),
        }
    }
    Ok((to..passage.written, passage.unread.start - content.start))
}

/// `bytes.decode(codec, "replace")` of these bytes of `memory`, written from `to` on. Returns where the text ends.
pub(super) fn replacing(
    decoder: &mut dyn Decoder,
    memory: &mut Memory,
    bytes: &Range<usize>,
    to: usize,
) -> usize {
    let mut passage = Passage::new(memory, bytes, to);
    while !passage.is_done() {
        let (written, step, _) = passage.step(decoder);
        match step {
            Ok(read) => passage.commit(&written, read),
            Err(fault) => {
                passage.commit(&written, fault.end);
                passage.write("\u{fffd}".as_bytes());
            }
        }
    }
    passage.written
}
