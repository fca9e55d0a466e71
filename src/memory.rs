//! The memory of a request's body, and of the texts that are made of it in the same place: wiped when it is given back.
//!
//! Why in place? A body of one byte a sign is three times as long as UTF-8, and a password may be all of it: with the
//! bytes beside the text, a request would take four times its body, and leave each copy behind.
//!
//! Why not a `Vec`? It moves when it grows. And once an allocator has had large blocks back it keeps them for the next
//! request; a mapping takes what is written to it and not what it could hold, and goes back as a whole.

use std::fmt;
use std::io;
use std::ops::{Deref, Range};
use std::sync::Arc;

use memmap2::MmapMut;
use tokio::sync::OwnedSemaphorePermit;
use zeroize::{Zeroize, Zeroizing};

/// Up to this length a body needs no share of `BODY_MEMORY`, and a text of a body becomes one of its own, so that it does
/// not hold the body.
pub const SMALL: usize = 64 * 1024;

/// A body that may be longer is a mapping, whose pages cost nothing until they are written to.
const UNMAPPED: usize = 8 * 1024;

/// Signs of UTF-8 may take this many times the bytes that they stand for in any other charset.
const GROWTH: usize = 3;

enum Room {
    Small(Vec<u8>),
    Large(MmapMut),
}

/// A body with room before it, in which a text that is made of it grows from the left.
pub struct Memory {
    room: Room,
    body: Range<usize>,
    /// The body, and later the text.
    content: Range<usize>,
    /// What was written to begins here, and has to be wiped.
    used: usize,
    /// Of what all bodies may take together; free again when this is dropped.
    _share: Option<OwnedSemaphorePermit>,
}

impl Memory {
    /// Empty, with room for `most` bytes and any text that they are, unless the system has none.
    pub fn with_room(most: usize, share: Option<OwnedSemaphorePermit>) -> io::Result<Self> {
        let size = most.saturating_mul(GROWTH);
        let room = if most <= UNMAPPED {
            Room::Small(vec![0; size])
        } else {
            Room::Large(MmapMut::map_anon(size)?)
        };
        Ok(Self::in_room(room, size - most, share))
    }

    /// With these bytes, one after the other.
    #[must_use]
    pub fn of(pieces: &[&[u8]]) -> Self {
        let most: usize = pieces.iter().map(|piece| piece.len()).sum();
        let size = most.saturating_mul(GROWTH);
        let mut memory = Self::in_room(Room::Small(vec![0; size]), size - most, None);
        for piece in pieces {
            memory.append(piece);
        }
        memory
    }

    fn in_room(room: Room, start: usize, share: Option<OwnedSemaphorePermit>) -> Self {
        Self { room, body: start..start, content: start..start, used: start, _share: share }
    }

    /// Takes more bytes of the body; false if there is no room for them.
    pub fn append(&mut self, bytes: &[u8]) -> bool {
        let end = self.body.end.saturating_add(bytes.len());
        let place = self.body.end..end;
        let Some(room) = self.room_mut().get_mut(place) else {
            return false;
        };
        room.copy_from_slice(bytes);
        self.body.end = end;
        self.content = self.body.clone();
        true
    }

    /// Where the content stands.
    #[must_use]
    pub fn content(&self) -> Range<usize> {
        self.content.clone()
    }

    /// The content's bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.get(self.content())
    }

    /// The bytes that stand there.
    #[must_use]
    pub fn get(&self, range: Range<usize>) -> &[u8] {
        let room: &[u8] = match &self.room {
            Room::Small(room) => room,
            Room::Large(room) => room,
        };
        room.get(range).unwrap_or_default()
    }

    /// The text that stands there; empty if it is none.
    #[must_use]
    pub fn text(&self, range: Range<usize>) -> &str {
        str::from_utf8(self.get(range)).unwrap_or_default()
    }

    /// Where to begin to write a text, so that it never reaches what is still to be read.
    #[must_use]
    pub fn first(&self) -> usize {
        self.body.end.saturating_sub(self.body.len().saturating_mul(GROWTH))
    }

    /// All of it, to be written to from `from` on.
    pub fn write(&mut self, from: usize) -> &mut [u8] {
        self.used = self.used.min(from);
        self.room_mut()
    }

    /// Copies what stands at `range` to `to`, and returns where the copy ends.
    pub fn copy(&mut self, range: &Range<usize>, to: usize) -> usize {
        let room = self.write(to);
        let end = to + range.len();
        if range.end <= room.len() && end <= room.len() {
            room.copy_within(range.clone(), to);
        }
        end
    }

    /// From now on this is the content.
    pub fn set_content(&mut self, content: Range<usize>) {
        self.content = content;
    }

    /// Moves pieces of the content, in their order, to where the body ended, as if they were the body.
    pub fn gather(&mut self, pieces: &mut [Range<usize>]) {
        let mut end = self.body.end;
        for piece in pieces.iter_mut().rev() {
            let start = end.saturating_sub(piece.len());
            *piece = start..self.copy(piece, start);
            end = start;
        }
    }

    fn room_mut(&mut self) -> &mut [u8] {
        match &mut self.room {
            Room::Small(room) => room,
            Room::Large(room) => room,
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        let used = self.used..self.body.end;
        self.room_mut().get_mut(used).unwrap_or_default().zeroize();
    }
}

/// Prints no content: it holds passwords.
impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Memory({} bytes)", self.content.len())
    }
}

/// A text that a client typed, wiped when nobody holds it any more. A long one stays where its body was.
#[derive(Clone)]
pub enum TypedText {
    /// A text of its own.
    Own(Zeroizing<String>),
    /// A part of a body.
    Part(Arc<Memory>, Range<usize>),
}

impl TypedText {
    /// The text that stands there.
    #[must_use]
    pub fn of(memory: &Arc<Memory>, range: Range<usize>) -> Self {
        if range.len() > SMALL {
            return Self::Part(Arc::clone(memory), range);
        }
        memory.text(range).into()
    }

    /// The bytes that it keeps in memory.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        match self {
            Self::Own(text) => text.capacity(),
            Self::Part(memory, _) => memory.body.end - memory.used,
        }
    }

    /// What `trim` leaves of it.
    #[must_use]
    pub fn trimmed(self, trim: impl Fn(&str) -> &str) -> Self {
        let kept = trim(&self);
        if kept.len() == self.len() {
            return self;
        }
        // Trimming stops at a sign that it does not take, so that nothing before the kept text begins as it does.
        let offset = self.find(kept).unwrap_or_default();
        let length = kept.len();
        match self {
            Self::Own(_) => kept.into(),
            Self::Part(ref memory, ref range) => {
                Self::of(memory, range.start + offset..range.start + offset + length)
            }
        }
    }
}

impl Deref for TypedText {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Own(text) => text,
            Self::Part(memory, range) => memory.text(range.clone()),
        }
    }
}

impl From<String> for TypedText {
    fn from(text: String) -> Self {
        Self::Own(Zeroizing::new(text))
    }
}

impl From<&str> for TypedText {
    fn from(text: &str) -> Self {
        Self::from(text.to_owned())
    }
}

impl Default for TypedText {
    fn default() -> Self {
        Self::from(String::new())
    }
}

impl PartialEq for TypedText {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for TypedText {}

/// Prints no content: it may be a password.
impl fmt::Debug for TypedText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TypedText({} bytes)", self.len())
    }
}

/// What the process has in memory; 0 where there is no `/proc`.
#[cfg(test)]
pub(crate) fn resident_bytes() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    pages.split(' ').nth(1).map_or(0, |pages| pages.parse::<usize>().unwrap() * 4096)
}

/// Whether it has more than `before`, and keeps it: under `cargo test` other tests' hashes fill memory for a while.
#[cfg(test)]
pub(crate) fn has_grown(before: usize) -> bool {
    const ROOM: usize = 16 * 1024 * 1024;
    (0..300).all(|_| {
        let is_more = resident_bytes() > before + ROOM;
        if is_more {
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        is_more
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_takes_what_there_is_room_for() {
        for most in [3, SMALL + 1] {
            let mut memory = Memory::with_room(most, None).unwrap();
            assert!(memory.append(&vec![b'a'; most - 1]) && memory.append(b"b"));
            assert!(!memory.append(b"c"));
            assert!(memory.bytes().ends_with(b"ab") && memory.bytes().len() == most);
        }
    }

    #[test]
    fn pieces_are_gathered_in_their_order_where_the_body_ended() {
        let mut memory = Memory::of(&[b"a-bc", b"-d-"]);
        let start = memory.content().start;
        let mut pieces = [start..start + 1, start + 2..start + 4, start + 5..start + 6];
        memory.gather(&mut pieces);
        assert_eq!(pieces.clone().map(|piece| memory.text(piece).to_owned()), ["a", "bc", "d"]);
        assert_eq!((pieces[0].start, pieces[2].end), (start + 3, start + 7));
    }

    #[test]
    fn a_long_text_is_trimmed_where_it_stands_and_a_short_one_is_its_own() {
        let long = format!(" {} ", "a ".repeat(SMALL));
        let memory = Arc::new(Memory::of(&[long.as_bytes()]));
        let part = TypedText::of(&memory, memory.content());
        assert!(part.held_bytes() == long.len() && *part == *long);
        let trimmed = part.clone().trimmed(str::trim);
        assert!(matches!(trimmed, TypedText::Part(..)) && *trimmed == *long.trim());
        let short = part.trimmed(|text| &text[1..3]);
        assert!(matches!(short, TypedText::Own(_)) && *short == *"a ");
    }
}
