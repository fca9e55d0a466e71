//! Python's `base64.b64decode`, as it is called of parts with `Content-Transfer-Encoding: base64`.

use std::ops::Range;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

use crate::django::utils::text::is_bytes_space;
use crate::memory::Memory;
use crate::versions::Versions;

/// What a release makes of a field's value, which stands at `data` with room before it from `room` on: where the
/// decoded bytes stand, or the value itself if it is no base64 to the release.
pub(super) fn b64decode(
    memory: &mut Memory,
    data: &Range<usize>,
    room: usize,
    versions: Versions,
) -> Range<usize> {
    let length = if versions.base64_is_validated() {
        decode_validated(memory, data, room)
    } else {
        decode_lenient(memory, data)
    };
    length.map_or(data.clone(), |length| data.start..data.start + length)
}

fn decode_validated(memory: &mut Memory, data: &Range<usize>, room: usize) -> Option<usize> {
    let (before, bytes) = memory.write(room).split_at_mut_checked(data.start)?;
    let digits = digits(bytes.get(..data.len())?)?;
    let length = ENGINE.decode_slice(digits, before.get_mut(room..)?).ok()?;
    memory.copy(&(room..room + length), data.start);
    Some(length)
}

/// Looks before it writes: what is no base64 stays as it is.
fn decode_lenient(memory: &mut Memory, data: &Range<usize>) -> Option<usize> {
    let mut lenient = Lenient::default();
    for byte in memory.get(data.clone()) {
        lenient.feed(*byte);
    }
    if !lenient.is_whole() {
        return None;
    }
    let (mut lenient, mut written) = (Lenient::default(), 0);
    let bytes = memory.write(data.start).get_mut(data.clone())?;
    for read in 0..bytes.len() {
        let decoded = bytes.get(read).and_then(|byte| lenient.feed(*byte));
        if let (Some(decoded), Some(place)) = (decoded, bytes.get_mut(written)) {
            *place = decoded;
            written += 1;
        }
    }
    Some(written)
}

const ENGINE: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone),
);

/// The digits of `b64decode(data, validate=True)`. Python wants exact padding only where some is needed: after a
/// whole quad any number of `=` is fine.
fn digits(data: &[u8]) -> Option<&[u8]> {
    let digits = data.iter().rposition(|byte| *byte != b'=').map_or(0, |last| last + 1);
    let (digits, padding) = data.split_at_checked(digits)?;
    let padded = match digits.len() % 4 {
        0 => padding.is_empty() || !digits.is_empty(),
        2 => padding.len() == 2,
        3 => padding.len() == 1,
        _ => false,
    };
    padded.then_some(digits)
}

/// `b64decode(data, validate=True)`
fn validated(data: &[u8]) -> Option<Vec<u8>> {
    ENGINE.decode(digits(data)?).ok()
}

/// `binascii.a2b_base64` without its strict mode: what is no digit is read over, and padding where it
/// belongs is the end.
#[derive(Default)]
struct Lenient {
    /// Digits of the quad so far.
    digits: u8,
    pads: u8,
    /// The bits that no byte has taken yet.
    left: u8,
    ended: bool,
}

impl Lenient {
    fn feed(&mut self, byte: u8) -> Option<u8> {
        if self.ended {
            return None;
        }
        if byte == b'=' {
            if self.digits >= 2 {
                self.pads += 1;
                self.ended = self.digits + self.pads >= 4;
            }
            return None;
        }
        let digit = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        self.pads = 0;
        let (decoded, left) = match self.digits {
            0 => (None, digit),
            1 => (Some(self.left << 2 | digit >> 4), digit & 0xf),
            2 => (Some(self.left << 4 | digit >> 2), digit & 0x3),
            _ => (Some(self.left << 6 | digit), 0),
        };
        self.digits = (self.digits + 1) % 4;
        self.left = left;
        decoded
    }

    fn is_whole(&self) -> bool {
        self.ended || self.digits == 0
    }
}

/// `b64decode(data)`; what it was is wiped.
pub(crate) fn b64decode_lenient(data: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut lenient = Lenient::default();
    let mut decoded = Zeroizing::new(Vec::with_capacity(data.len()));
    decoded.extend(data.iter().filter_map(|byte| lenient.feed(*byte)));
    lenient.is_whole().then_some(decoded)
}

/// Whether the chunks of a file can be decoded, as Django does it: each chunk for itself, without its
/// blanks, in whole quads. Nothing of the file is kept.
pub(super) struct FileCheck {
    versions: Versions,
    /// What of the last chunk did not fill a quad.
    rest: Vec<u8>,
    lenient: Lenient,
    /// Signs since the decoder began.
    signs: usize,
}

impl FileCheck {
    pub(super) fn new(versions: Versions) -> Self {
        Self { versions, rest: Vec::new(), lenient: Lenient::default(), signs: 0 }
    }

    /// Takes a chunk; false if it cannot be decoded.
    pub(super) fn take(&mut self, chunk: &[u8]) -> bool {
        let signs = chunk.iter().copied().filter(|byte| !is_bytes_space(*byte));
        if !self.versions.base64_files_end_in_a_quad() {
            // Older releases read on until the signs fill quads, and decode what there is at the end.
            for sign in signs {
                self.lenient.feed(sign);
                self.signs += 1;
            }
            return !self.signs.is_multiple_of(4) || self.decoded();
        }
        self.rest.extend(signs);
        let rest = self.rest.split_off(self.rest.len() / 4 * 4);
        let quads = std::mem::replace(&mut self.rest, rest);
        if self.versions.base64_is_validated() {
            return quads.is_empty() || validated(&quads).is_some();
        }
        for sign in quads {
            self.lenient.feed(sign);
        }
        self.decoded()
    }

    /// The end of the file; false if it cannot be decoded.
    pub(super) fn finish(&mut self) -> bool {
        self.rest.is_empty() && self.decoded()
    }

    /// Whether the signs so far were base64; the decoder begins anew.
    fn decoded(&mut self) -> bool {
        self.signs = 0;
        std::mem::take(&mut self.lenient).is_whole()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::versions::Version;

    fn versions(django: &str) -> Versions {
        Versions { django: Version::parse(django).unwrap(), ..Versions::default() }
    }

    #[test]
    fn padding_is_checked_as_in_python() {
        for good in ["", "YWJj", "YWI=", "YQ==", "YR==", "YWJj=", "YWJj====="] {
            assert!(validated(good.as_bytes()).is_some(), "{good}");
        }
        for bad in ["=", "YWI", "YQ=", "YQ===", "Y===", "YQ==YWJj", "YW Jj", "YWJ-"] {
            assert!(validated(bad.as_bytes()).is_none(), "{bad}");
        }
    }

    #[test]
    fn up_to_django_6_0_other_signs_are_read_over_and_padding_is_the_end() {
        for (data, decoded) in [
            ("", Some("")),
            ("=x=", None),
            ("=", Some("")),
            ("!?", Some("")),
            ("Y-W J\nj", Some("abc")),
            ("YWI=YWJj", Some("ab")),
            ("YQ=x=", Some("a\u{c}")),
            ("YWI", None),
        ] {
            let mut memory = Memory::of(&[data.as_bytes()]);
            let (content, first) = (memory.content(), memory.first());
            let found = b64decode(&mut memory, &content, first, versions("6.0"));
            assert_eq!(memory.text(found), decoded.unwrap_or(data), "{data}");
        }
    }

    #[test]
    fn files_are_decoded_chunk_by_chunk() {
        let check = |django, chunks: &[&str]| {
            let mut check = FileCheck::new(versions(django));
            chunks.iter().all(|chunk| check.take(chunk.as_bytes())) && check.finish()
        };
        for django in ["4.2", "5.2", "6.1"] {
            assert!(check(django, &["YWJ", "jYW", "Jj"]), "{django}");
            assert!(!check(django, &["YWI"]), "{django}");
        }
        assert!(check("4.2", &["YWI=x", "YWJ"]) && !check("4.2", &["YWI=", "x", "YWJj"]));
        assert!(check("5.2", &["YWI=", "x", "YWJ"]) && !check("5.2", &["YWI=", "x"]));
        assert!(check("5.2", &["Y-WJ-j--"]) && !check("6.1", &["Y-WJ-j--"]));
    }
}
