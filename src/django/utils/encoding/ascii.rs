//! Python's `ascii` and `utf_8`, sign by sign: for what is not in them.

use super::decoder::{Decoder, Fault, Sink};

/// `ascii`
pub(super) struct Ascii;

impl Decoder for Ascii {
    fn step(&mut self, bytes: &[u8], position: usize, text: &mut Sink<'_>) -> Result<usize, Fault> {
        match bytes.get(position).copied() {
            Some(byte) if byte.is_ascii() => text.push(char::from(byte)),
            _ => return Err(Fault::new("ascii", position, 1, "ordinal not in range(128)")),
        }
        Ok(position + 1)
    }
}

/// `utf_8`, only ever asked to replace what is none: its errors are told elsewhere.
pub(super) struct Utf8;

impl Decoder for Utf8 {
    fn step(&mut self, bytes: &[u8], position: usize, text: &mut Sink<'_>) -> Result<usize, Fault> {
        // No sequence is longer than four bytes.
        let end = bytes.len().min(position + 4);
        let next = bytes.get(position..end).unwrap_or_default().utf8_chunks().next();
        let (valid, invalid) = next.map_or(("", 0), |next| (next.valid(), next.invalid().len()));
        match valid.chars().next() {
            Some(sign) => {
                text.push(sign);
                Ok(position + sign.len_utf8())
            }
            None => Err(Fault::new("utf-8", position, invalid.max(1), "invalid start byte")),
        }
    }
}
