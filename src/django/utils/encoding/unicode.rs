//! Python's codecs of Unicode's own encodings but UTF-8.

use super::decoder::{Decoder, Fault, Sink};

/// Which byte of a unit comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The lowest one.
    Little,
    /// The highest one.
    Big,
}

impl Order {
    /// The order that a byte order mark of `width` bytes tells; `None` where there is no mark.
    pub(super) fn of_mark(bytes: &[u8], width: usize) -> Option<Self> {
        let mark = bytes.get(..width)?;
        let is_mark = |order: &Self| order.number(mark) == 0xfeff;
        [Self::Little, Self::Big].into_iter().find(is_mark)
    }

    fn number(self, unit: &[u8]) -> u32 {
        let add = |number: u32, byte: &u8| number.wrapping_shl(8) | u32::from(*byte);
        match self {
            Self::Little => unit.iter().rev().fold(0, add),
            Self::Big => unit.iter().fold(0, add),
        }
    }
}

/// `utf-16-le` and `utf-16-be`.
pub(super) struct Utf16(pub(super) Order);

impl Utf16 {
    fn name(&self) -> &'static str {
        match self.0 {
            Order::Little => "utf-16-le",
            Order::Big => "utf-16-be",
        }
    }
}

impl Decoder for Utf16 {
    fn step(&mut self, bytes: &[u8], position: usize, text: &mut Sink<'_>) -> Result<usize, Fault> {
        let unit = |start: usize| bytes.get(start..start + 2).map(|unit| self.0.number(unit));
        let Some(first) = unit(position) else {
            return Err(Fault::cut(self.name(), position, bytes, "truncated data"));
        };
        if let Some(sign) = char::from_u32(first) {
            text.push(sign);
            return Ok(position + 2);
        }
        let fault = |reason| Err(Fault::new(self.name(), position, 2, reason));
        if first >= 0xdc00 {
            return fault("illegal encoding");
        }
        match unit(position + 2) {
            None => Err(Fault::cut(self.name(), position, bytes, "unexpected end of data")),
            Some(second @ 0xdc00..=0xdfff) => {
                let code = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                text.extend(char::from_u32(code));
                Ok(position + 4)
            }
            Some(_) => fault("illegal UTF-16 surrogate"),
        }
    }
}

/// `utf-32-le` and `utf-32-be`.
pub(super) struct Utf32(pub(super) Order);

impl Decoder for Utf32 {
    fn step(&mut self, bytes: &[u8], position: usize, text: &mut Sink<'_>) -> Result<usize, Fault> {
        let name = match self.0 {
            Order::Little => "utf-32-le",
            Order::Big => "utf-32-be",
        };
        let Some(unit) = bytes.get(position..position + 4) else {
            return Err(Fault::cut(name, position, bytes, "truncated data"));
        };
        let code = self.0.number(unit);
        match char::from_u32(code) {
            Some(sign) => text.push(sign),
            None if code > 0x10_ffff => {
                let reason = "code point not in range(0x110000)";
                return Err(Fault::new(name, position, 4, reason));
            }
            None => {
                let reason = "code point in surrogate code point range(0xd800, 0xe000)";
                return Err(Fault::new(name, position, 4, reason));
            }
        }
        Ok(position + 4)
    }
}

/// `utf-7`. A surrogate alone, which Python lets through, becomes U+FFFD.
pub(super) struct Utf7 {
    /// A reader waits for the end of each shifted part.
    pub(super) is_reader: bool,
}

impl Decoder for Utf7 {
    fn step(&mut self, bytes: &[u8], position: usize, text: &mut Sink<'_>) -> Result<usize, Fault> {
        let byte = |at: usize| bytes.get(at).copied();
        match byte(position) {
            Some(b'+') => {}
            Some(ascii @ ..=0x7f) => {
                text.push(char::from(ascii));
                return Ok(position + 1);
            }
            _ => return Err(Fault::new(NAME, position, 1, "unexpected special character")),
        }
        match byte(position + 1) {
            Some(b'-') => {
                text.push('+');
                Ok(position + 2)
            }
            Some(other) if base64_digit(other).is_none() => {
                Err(Fault::new(NAME, position, 2, "ill-formed sequence"))
            }
            _ => Shifted::default().run(bytes, position, self.is_reader, text),
        }
    }
}

const NAME: &str = "utf7";

/// The part between `+` and what ends it.
#[derive(Default)]
struct Shifted {
    bits: u32,
    buffer: u32,
    high: Option<u16>,
}

impl Shifted {
    fn run(
        mut self,
        bytes: &[u8],
        start: usize,
        is_reader: bool,
        text: &mut Sink<'_>,
    ) -> Result<usize, Fault> {
        let mut position = start + 1;
        loop {
            let Some(byte) = bytes.get(position).copied() else {
                let is_clean = self.high.is_none() && self.bits < 6 && self.buffer == 0;
                return if is_clean && !is_reader {
                    Ok(position)
                } else {
                    Err(Fault::cut(NAME, start, bytes, "unterminated shift sequence"))
                };
            };
            let Some(digit) = base64_digit(byte) else {
                return self.leave(byte, start, position, text);
            };
            self.digit(digit, text);
            position += 1;
        }
    }

    fn digit(&mut self, digit: u8, text: &mut Sink<'_>) {
        self.buffer = (self.buffer << 6) | u32::from(digit);
        self.bits += 6;
        if self.bits < 16 {
            return;
        }
        self.bits -= 16;
        let unit = u16::try_from(self.buffer >> self.bits).unwrap_or_default();
        self.buffer &= (1 << self.bits) - 1;
        let high = self.high.take();
        if let Some(Ok(sign)) = char::decode_utf16(high.into_iter().chain([unit])).next() {
            text.push(sign);
            return;
        }
        text.extend(high.map(|_| char::REPLACEMENT_CHARACTER));
        match unit {
            0xd800..=0xdbff => self.high = Some(unit),
            _ => text.push(char::from_u32(u32::from(unit)).unwrap_or(char::REPLACEMENT_CHARACTER)),
        }
    }

    fn leave(
        self,
        byte: u8,
        start: usize,
        position: usize,
        text: &mut Sink<'_>,
    ) -> Result<usize, Fault> {
        let fault = |reason| Err(Fault::new(NAME, start, position + 1 - start, reason));
        if self.bits >= 6 {
            return fault("partial character in shift sequence");
        }
        if self.bits > 0 && self.buffer != 0 {
            return fault("non-zero padding bits in shift sequence");
        }
        if self.high.is_some() && byte.is_ascii() {
            text.push(char::REPLACEMENT_CHARACTER);
        }
        Ok(position + usize::from(byte == b'-'))
    }
}

fn base64_digit(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}
