//! `django.utils.encoding` and Python's `codecs`: from bytes to text, by the label a client sent.

use std::borrow::Cow;
use std::ops::Range;

mod ascii;
mod code_page;
mod decoder;
mod double_byte;
mod escapes;
mod runs;
mod unicode;

use ascii::{Ascii, Utf8};
use code_page::CodePage;
use decoder::{Decoder, Fault, is_decodable, replacing, strict};
use double_byte::DoubleByte;
use escapes::Escapes;
use unicode::{Order, Utf7, Utf16, Utf32};

use crate::memory::Memory;
use crate::versions::Versions;

/// The names of Python's codecs: on each line a codec's own, then its aliases.
const NAMES: &str = include_str!("encoding/names.txt");

/// A text encoding that we can decode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charset {
    /// `utf-8`, Django's `DEFAULT_CHARSET`
    Utf8,
    /// `utf-8-sig`: UTF-8 with or without a byte order mark
    Utf8Sig,
    /// `latin-1`
    Latin1,
    /// `ascii`
    Ascii,
    /// A codec of one byte a sign, by Python's name.
    CodePage(&'static str),
    /// `big5`, `gb18030`, `shift_jis` and their like.
    DoubleByte(double_byte::Codec),
    /// `utf-16-le` and `utf-16-be`; `utf-16`, whose byte order mark tells which, has no order.
    Utf16(Option<Order>),
    /// `utf-32-le`, `utf-32-be` and `utf-32`.
    Utf32(Option<Order>),
    /// `utf-7`
    Utf7,
    /// `unicode_escape`
    UnicodeEscape,
    /// `raw_unicode_escape`
    RawUnicodeEscape,
}

/// What `codecs.lookup(label)` finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// `LookupError`: Python knows no such codec.
    Unknown,
    /// A text encoding of ours.
    Text(Charset),
    /// A codec between bytes, or none at all, by Python's name: `hex_codec`, `undefined`.
    Binary(&'static str),
    /// A text encoding that Python has and we do not decode.
    Unsupported,
}

/// `codecs.lookup`, by the aliases of `encodings.aliases`. It raises for a label with a NUL too.
#[must_use]
pub fn lookup(label: &str) -> Lookup {
    let name = if label.contains('\0') { None } else { codec_name(&normalize(label)) };
    let Some(name) = name else { return Lookup::Unknown };
    let charset = match name {
        "utf_8" => Charset::Utf8,
        "utf_8_sig" => Charset::Utf8Sig,
        "latin_1" | "charmap" => Charset::Latin1,
        "ascii" => Charset::Ascii,
        "utf_7" => Charset::Utf7,
        "utf_16" => Charset::Utf16(None),
        "utf_16_le" => Charset::Utf16(Some(Order::Little)),
        "utf_16_be" => Charset::Utf16(Some(Order::Big)),
        "utf_32" => Charset::Utf32(None),
        "utf_32_le" => Charset::Utf32(Some(Order::Little)),
        "utf_32_be" => Charset::Utf32(Some(Order::Big)),
        "unicode_escape" => Charset::UnicodeEscape,
        "raw_unicode_escape" => Charset::RawUnicodeEscape,
        "base64_codec" | "bz2_codec" | "hex_codec" | "quopri_codec" | "rot_13" | "undefined"
        | "uu_codec" | "zlib_codec" => return Lookup::Binary(name),
        _ => match double_byte::Codec::find(name) {
            Some(codec) => Charset::DoubleByte(codec),
            None if CodePage::is_known(name) => Charset::CodePage(name),
            None => return Lookup::Unsupported,
        },
    };
    Lookup::Text(charset)
}

/// The codec of a normalized name. An alias comes first, and only there an underscore may stand for a
/// dot.
fn codec_name(name: &str) -> Option<&'static str> {
    let dotless = name.replace('.', "_");
    let codecs = || NAMES.lines().map(|line| line.split_once(' ').unwrap_or((line, "")));
    let by_alias = |wanted: &str| {
        codecs().find(|(_, aliases)| aliases.split(' ').any(|alias| alias == wanted))
    };
    let found = by_alias(name).or_else(|| by_alias(&dotless));
    let found = found.or_else(|| codecs().find(|(codec, _)| *codec == name));
    found.map(|(codec, _)| codec).filter(|_| !name.is_empty())
}

/// `encodings.normalize_encoding`: a run of anything but ASCII letters, digits and dots is one `_`.
fn normalize(label: &str) -> String {
    let mut name = String::with_capacity(label.len());
    let mut gap = false;
    for c in label.chars() {
        if c.is_ascii_alphanumeric() || c == '.' {
            if gap && !name.is_empty() {
                name.push('_');
            }
            name.push(c.to_ascii_lowercase());
            gap = false;
        } else {
            gap = true;
        }
    }
    name
}

impl Charset {
    /// `codecs.getreader(charset)(stream).read()` of the content, which then is the text. The reader
    /// waits for the rest of a sequence that the end of the stream cut off, so that is dropped and no
    /// error; `Err` is the text of the `UnicodeError`.
    pub fn read_stream(self, memory: &mut Memory, versions: Versions) -> Result<(), String> {
        let (content, bytes) = (memory.content(), memory.bytes());
        let text = match self {
            Self::Utf8Sig if BOM.starts_with(bytes) => content.end..content.end,
            Self::Utf8 | Self::Utf8Sig => {
                let start = content.start + self.signature(bytes);
                start..start + utf8_up_to_cut(memory.get(start..content.end))?
            }
            Self::Latin1 | Self::Ascii if bytes.is_ascii() => content,
            other => {
                // The readers of double bytes wait for nothing.
                let waits = !matches!(other, Self::DoubleByte(_));
                let unmarked = other.mark().filter(|_| other.order_of(bytes).is_none());
                let (mut decoder, start) = other.decoder(bytes, true);
                let (text, read) = strict(&mut *decoder, memory, start, waits)?;
                match unmarked {
                    Some((codec, width)) if read >= width => {
                        return Err(no_mark(codec, width, versions));
                    }
                    _ => text,
                }
            }
        };
        memory.set_content(text);
        Ok(())
    }

    /// `bytes.decode(charset)` of the content, which then is the text; false is a
    /// `UnicodeDecodeError`, and the content is as it was.
    #[must_use]
    pub fn decode(self, memory: &mut Memory) -> bool {
        let (content, bytes) = (memory.content(), memory.bytes());
        let text = match self {
            Self::Utf8 | Self::Utf8Sig => {
                let start = content.start + self.signature(bytes);
                if str::from_utf8(memory.get(start..content.end)).is_err() {
                    return false;
                }
                start..content.end
            }
            Self::Latin1 | Self::Ascii if bytes.is_ascii() => content,
            other => {
                let (mut decoder, start) = other.decoder(bytes, false);
                if !is_decodable(&mut *decoder, bytes, start) {
                    return false;
                }
                match strict(&mut *decoder, memory, start, false) {
                    Ok((text, _)) => text,
                    Err(_) => return false,
                }
            }
        };
        memory.set_content(text);
        true
    }

    /// `bytes.decode(charset, "replace")`, which is also `force_str(bytes, charset, errors="replace")`,
    /// of the bytes that stand there. The text is written from `to` on; where it ends is returned.
    #[must_use]
    pub fn replace(self, memory: &mut Memory, bytes: &Range<usize>, to: usize) -> usize {
        let raw = memory.get(bytes.clone());
        let bytes = bytes.start + self.signature(raw)..bytes.end;
        let raw = memory.get(bytes.clone());
        let is_text = match self {
            Self::Utf8 | Self::Utf8Sig => str::from_utf8(raw).is_ok(),
            Self::Latin1 | Self::Ascii => raw.is_ascii(),
            _ => false,
        };
        if is_text {
            return memory.copy(&bytes, to);
        }
        let (mut decoder, start) = self.decoder(raw, false);
        replacing(&mut *decoder, memory, &(bytes.start + start..bytes.end), to)
    }

    /// The same of a few bytes.
    #[must_use]
    pub fn decode_replacing(self, bytes: &[u8]) -> String {
        let mut memory = Memory::of(&[bytes]);
        let (content, first) = (memory.content(), memory.first());
        let end = self.replace(&mut memory, &content, first);
        memory.text(first..end).to_owned()
    }

    /// How much of the bytes is the mark of `utf-8-sig`.
    fn signature(self, bytes: &[u8]) -> usize {
        if self == Self::Utf8Sig && bytes.starts_with(BOM) { BOM.len() } else { 0 }
    }

    /// The codecs that a byte order mark belongs to, and its width.
    fn mark(self) -> Option<(&'static str, usize)> {
        match self {
            Self::Utf16(None) => Some(("utf-16", 2)),
            Self::Utf32(None) => Some(("utf-32", 4)),
            _ => None,
        }
    }

    /// What the byte order mark says.
    fn order_of(self, bytes: &[u8]) -> Option<Order> {
        let (_, width) = self.mark()?;
        Order::of_mark(bytes, width)
    }

    /// The decoder, and where it begins. Without a byte order mark Python takes the machine's own
    /// order, which is the little one.
    fn decoder(self, bytes: &[u8], is_reader: bool) -> (Box<dyn Decoder>, usize) {
        let marked = self.order_of(bytes);
        let start = marked.and(self.mark()).map_or(0, |(_, width)| width);
        let order = |order: Option<Order>| order.or(marked).unwrap_or(Order::Little);
        let decoder: Box<dyn Decoder> = match self {
            Self::Utf16(told) => Box::new(Utf16(order(told))),
            Self::Utf32(told) => Box::new(Utf32(order(told))),
            Self::Utf7 => Box::new(Utf7 { is_reader }),
            Self::UnicodeEscape => Box::new(Escapes { is_raw: false, is_reader }),
            Self::RawUnicodeEscape => Box::new(Escapes { is_raw: true, is_reader }),
            Self::DoubleByte(codec) => Box::new(DoubleByte::new(codec)),
            Self::CodePage(name) => Box::new(CodePage::new(name).unwrap_or_default()),
            Self::Utf8 | Self::Utf8Sig => Box::new(Utf8),
            Self::Latin1 => Box::new(CodePage::default()),
            Self::Ascii => Box::new(Ascii),
        };
        (decoder, start)
    }
}

/// The text of a `UnicodeError` until Python 3.12, and of a `UnicodeDecodeError` from then on.
fn no_mark(codec: &'static str, width: usize, versions: Versions) -> String {
    if versions.marks_are_missed_by_position() {
        return Fault::new(codec, 0, width, "Stream does not start with BOM").text(&[], 0);
    }
    format!("{} stream does not start with BOM", codec.to_uppercase())
}

const BOM: &[u8] = b"\xef\xbb\xbf";

/// `bytes.decode("latin-1")`, which is also how WSGI hands a header over.
#[must_use]
pub fn latin1(bytes: &[u8]) -> Cow<'_, str> {
    match str::from_utf8(bytes) {
        Ok(text) if text.is_ascii() => Cow::Borrowed(text),
        _ => bytes.iter().copied().map(char::from).collect(),
    }
}

/// How much of the bytes is text.
fn utf8_up_to_cut(bytes: &[u8]) -> Result<usize, String> {
    let Err(error) = str::from_utf8(bytes) else {
        return Ok(bytes.len());
    };
    let valid = error.valid_up_to();
    let rest = bytes.get(valid..).unwrap_or_default();
    match error.error_len() {
        // Python still waits for a third byte here, though none can make it valid.
        Some(_) if matches!(rest, [0xed, 0xa0..=0xbf]) => Ok(valid),
        None => Ok(valid),
        Some(length) => Err(utf8_fault(valid, length, rest).text(bytes, 0)),
    }
}

/// `rest` begins with the bad sequence.
fn utf8_fault(position: usize, length: usize, rest: &[u8]) -> Fault {
    let reason = match rest.first() {
        Some(0x80..=0xc1 | 0xf5..=0xff) => "invalid start byte",
        _ => "invalid continuation byte",
    };
    Fault::new("utf-8", position, length, reason)
}

/// The same on bytes, for the tests.
#[cfg(test)]
impl Charset {
    fn read(self, bytes: &[u8], versions: Versions) -> Result<String, String> {
        let mut memory = Memory::of(&[bytes]);
        self.read_stream(&mut memory, versions)?;
        Ok(String::from_utf8(memory.bytes().to_vec()).unwrap())
    }

    fn decoded(self, bytes: &[u8]) -> Option<String> {
        let mut memory = Memory::of(&[bytes]);
        self.decode(&mut memory).then(|| String::from_utf8(memory.bytes().to_vec()).unwrap())
    }
}

#[cfg(test)]
mod tests_python;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_found_by_any_spelling_that_python_takes() {
        for label in ["UTF-8", "utf8", "Utf 8", "u8", "utf_8", "-utf--8-", "cp65001"] {
            assert_eq!(lookup(label), Lookup::Text(Charset::Utf8), "{label}");
        }
        for label in ["latin-1", "ISO-8859-1", "iso.8859.1", "L1", "iso8859-1"] {
            assert_eq!(lookup(label), Lookup::Text(Charset::Latin1), "{label}");
        }
        assert_eq!(lookup("ANSI_X3.4-1968"), Lookup::Text(Charset::Ascii));
        assert_eq!(lookup("utf-8-sig"), Lookup::Text(Charset::Utf8Sig));
    }

    #[test]
    fn unknown_labels_and_codecs_that_are_not_text_differ() {
        for label in ["", "bogus", "utf9", "aliases", "mbcs", "utf-8\0", "utf.8"] {
            assert_eq!(lookup(label), Lookup::Unknown, "{label}");
        }
        for label in ["hex", "base64", "rot13", "undefined", "zlib", "Quoted-Printable"] {
            assert!(matches!(lookup(label), Lookup::Binary(_)), "{label}");
        }
        for label in ["idna", "punycode", "iso-2022-jp", "euc_jis_2004"] {
            assert_eq!(lookup(label), Lookup::Unsupported, "{label}");
        }
        for label in ["windows-1252", "CP1252", "1252"] {
            assert_eq!(lookup(label), Lookup::Text(Charset::CodePage("cp1252")), "{label}");
        }
    }

    #[test]
    fn a_cut_sequence_at_the_end_of_a_stream_is_dropped() {
        assert_eq!(Charset::Utf8.read(b"a\xf0\x9f\x98", Versions::default()), Ok("a".into()));
        assert_eq!(Charset::Utf8.read(b"a\xed\xa0", Versions::default()), Ok("a".into()));
        assert!(Charset::Utf8.read(b"a\xed\xa0\x80", Versions::default()).is_err());
        assert_eq!(Charset::Utf8Sig.read(b"\xef\xbb", Versions::default()), Ok(String::new()));
        assert_eq!(Charset::Utf8.decoded(b"a\xf0\x9f\x98"), None);
    }

    #[test]
    fn decode_errors_have_the_text_of_python() {
        let text = |bytes| Charset::Utf8.read(bytes, Versions::default()).unwrap_err();
        assert_eq!(
            text(b"abc\xff"),
            "'utf-8' codec can't decode byte 0xff in position 3: invalid start byte"
        );
        assert_eq!(
            text(b"\xc3("),
            "'utf-8' codec can't decode byte 0xc3 in position 0: invalid continuation byte"
        );
        assert_eq!(
            text(b"a\xe2\x82("),
            "'utf-8' codec can't decode bytes in position 1-2: invalid continuation byte"
        );
        assert_eq!(
            Charset::Ascii.read(b"ab\xe9", Versions::default()).unwrap_err(),
            "'ascii' codec can't decode byte 0xe9 in position 2: ordinal not in range(128)"
        );
    }

    #[test]
    fn replacing_follows_the_charset() {
        assert_eq!(Charset::Utf8.decode_replacing(b"\xe9"), "\u{fffd}");
        assert_eq!(Charset::Latin1.decode_replacing(b"\xe9"), "é");
        assert_eq!(Charset::Ascii.decode_replacing(b"a\xe9b"), "a\u{fffd}b");
        assert_eq!(Charset::Utf8Sig.decode_replacing(b"\xef\xbb\xbfa"), "a");
    }
}
