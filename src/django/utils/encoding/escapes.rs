//! Python's `unicode_escape` and `raw_unicode_escape`: latin-1 with the escapes of a string literal. A
//! surrogate, which Python lets through, becomes U+FFFD.

use super::decoder::{Decoder, Fault, Sink};

/// Either of the two.
pub(super) struct Escapes {
    /// Only `\u` and `\U`.
    pub(super) is_raw: bool,
    /// A reader waits for what follows a backslash at the end.
    pub(super) is_reader: bool,
}

impl Escapes {
    fn name(&self) -> &'static str {
        if self.is_raw { "rawunicodeescape" } else { "unicodeescape" }
    }

    /// `\x`, `\u` and `\U` with their digits.
    fn digits(
        &self,
        bytes: &[u8],
        start: usize,
        length: usize,
        reason: &'static str,
        text: &mut Sink<'_>,
    ) -> Result<usize, Fault> {
        let digits = bytes.get(start + 2..).unwrap_or_default();
        let found = digits.iter().take(length).take_while(|byte| byte.is_ascii_hexdigit()).count();
        if found < length {
            return Err(if found == digits.len() {
                Fault::cut(self.name(), start, bytes, reason)
            } else {
                Fault::new(self.name(), start, 2 + found, reason)
            });
        }
        let digits = str::from_utf8(digits.get(..length).unwrap_or_default()).unwrap_or_default();
        let code = u32::from_str_radix(digits, 16).unwrap_or_default();
        if code > 0x10_ffff {
            let reason =
                if self.is_raw { "\\Uxxxxxxxx out of range" } else { "illegal Unicode character" };
            return Err(Fault::new(self.name(), start, 2 + length, reason));
        }
        text.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
        Ok(start + 2 + length)
    }

    fn raw(&self, bytes: &[u8], at: usize, text: &mut Sink<'_>) -> Result<usize, Fault> {
        match bytes.get(at + 1) {
            Some(b'u') => self.digits(bytes, at, 4, "truncated \\uXXXX escape", text),
            Some(b'U') => self.digits(bytes, at, 8, "truncated \\UXXXXXXXX escape", text),
            None if self.is_reader => {
                Err(Fault::cut(self.name(), at, bytes, "\\ at end of string"))
            }
            None => {
                text.push('\\');
                Ok(at + 1)
            }
            Some(other) => {
                text.extend(['\\', char::from(*other)]);
                Ok(at + 2)
            }
        }
    }

    fn escape(&self, bytes: &[u8], at: usize, text: &mut Sink<'_>) -> Result<usize, Fault> {
        let Some(letter) = bytes.get(at + 1) else {
            return Err(Fault::cut(self.name(), at, bytes, "\\ at end of string"));
        };
        let sign = match letter {
            b'\n' => return Ok(at + 2),
            b'\\' | b'\'' | b'"' => char::from(*letter),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b't' => '\t',
            b'n' => '\n',
            b'r' => '\r',
            b'v' => '\u{b}',
            b'a' => '\u{7}',
            b'0'..=b'7' => return Ok(octal(bytes, at + 1, text)),
            b'x' => return self.digits(bytes, at, 2, "truncated \\xXX escape", text),
            b'u' => return self.digits(bytes, at, 4, "truncated \\uXXXX escape", text),
            b'U' => return self.digits(bytes, at, 8, "truncated \\UXXXXXXXX escape", text),
            b'N' => return Err(self.name_escape(bytes, at)),
            other => {
                text.extend(['\\', char::from(*other)]);
                return Ok(at + 2);
            }
        };
        text.push(sign);
        Ok(at + 2)
    }

    /// `\N{…}`. No name is known here.
    fn name_escape(&self, bytes: &[u8], at: usize) -> Fault {
        let malformed = "malformed \\N character escape";
        let rest = bytes.get(at + 2..).unwrap_or_default();
        match rest.split_first() {
            None => Fault::cut(self.name(), at, bytes, malformed),
            Some((b'{', name)) => match name.iter().position(|byte| *byte == b'}') {
                None => Fault::cut(self.name(), at, bytes, malformed),
                Some(0) => Fault::new(self.name(), at, 3, malformed),
                Some(end) => Fault::new(self.name(), at, end + 4, "unknown Unicode character name"),
            },
            Some(_) => Fault::new(self.name(), at, 2, malformed),
        }
    }
}

fn octal(bytes: &[u8], start: usize, text: &mut Sink<'_>) -> usize {
    let digits = bytes.get(start..).unwrap_or_default().iter().take(3);
    let digits: Vec<u32> = digits
        .take_while(|byte| matches!(byte, b'0'..=b'7'))
        .map(|byte| u32::from(byte - b'0'))
        .collect();
    text.extend(char::from_u32(digits.iter().fold(0, |code, digit| code * 8 + digit)));
    start + digits.len()
}

impl Decoder for Escapes {
    fn step(&mut self, bytes: &[u8], position: usize, text: &mut Sink<'_>) -> Result<usize, Fault> {
        match bytes.get(position).copied() {
            Some(b'\\') if self.is_raw => self.raw(bytes, position, text),
            Some(b'\\') => self.escape(bytes, position, text),
            byte => {
                text.push(char::from(byte.unwrap_or_default()));
                Ok(position + 1)
            }
        }
    }
}
