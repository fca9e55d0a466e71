//! Python's `base64.b64decode`, as it is called of parts with `Content-Transfer-Encoding: base64`.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::django::utils::text::is_bytes_space;
use crate::versions::Versions;

/// What a release makes of a field's value; `None` if it is no base64 to it.
pub(super) fn b64decode(data: &[u8], versions: Versions) -> Option<Vec<u8>> {
    if versions.base64_is_validated() {
        return validated(data);
    }
    let mut lenient = Lenient::default();
    let decoded = data.iter().filter_map(|byte| lenient.feed(*byte)).collect();
    lenient.is_whole().then_some(decoded)
}

/// `b64decode(data, validate=True)`. Python wants exact padding only where some is needed: after a
/// whole quad any number of `=` is fine.
pub(super) fn validated(data: &[u8]) -> Option<Vec<u8>> {
    const CONFIG: GeneralPurposeConfig = GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone);
    let digits = data.iter().rposition(|byte| *byte != b'=').map_or(0, |last| last + 1);
    let (digits, padding) = data.split_at_checked(digits)?;
    let padded = match digits.len() % 4 {
        0 => padding.is_empty() || !digits.is_empty(),
        2 => padding.len() == 2,
        3 => padding.len() == 1,
        _ => false,
    };
    let engine = GeneralPurpose::new(&STANDARD, CONFIG);
    if padded { engine.decode(digits).ok() } else { None }
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
            let found = b64decode(data.as_bytes(), versions("6.0"));
            assert_eq!(found.as_deref(), decoded.map(str::as_bytes), "{data}");
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
