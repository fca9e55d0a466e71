//! `rest_framework.parsers.JSONParser`: Python's `json.loads`, with its error texts and positions.

mod number;
mod scanner;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::Arc;

use super::{Data, Object, ParseFailure, ParserContext, PyStr, Value};
use crate::django::utils::encoding::Charset;
use crate::memory::{Memory, TypedText};
use scanner::{Scanned, Scanner, simple_escape, units};

/// `JSONParser.parse`
pub(super) fn parse(
    mut body: Memory,
    charset: Charset,
    context: &ParserContext,
) -> Result<Data, ParseFailure> {
    let value = match charset.read_stream(&mut body, context.versions) {
        Ok(()) => loads(body, context),
        Err(text) => Err(text),
    };
    let error = |text| ParseFailure::Parse(format!("JSON parse error - {text}"));
    value.map(Data::Json).map_err(error)
}

/// `json.loads(text, parse_constant=strict_constant)` of the content; `Err` is the text of the
/// `ValueError`. Of the outermost object only the members are kept that a field of the view is named
/// after.
fn loads(mut body: Memory, context: &ParserContext) -> Result<Value, String> {
    let text = body.content();
    let mut members = match Scanner::new(body.text(text.clone()), context).loads()? {
        Scanned::Object(members) => members,
        // No field looks at a text that is not in an object.
        Scanned::Str { .. } => return Ok(Value::Str(PyStr::default())),
        Scanned::Other(value) => return Ok(value),
    };
    for (_, value) in &mut members {
        if let Scanned::Str { place, .. } = value {
            *place = unescape(&mut body, text.start + place.start..text.start + place.end);
        }
    }
    let body = Arc::new(body);
    let members = members.into_iter().map(|(name, value)| (name, value_of(value, &body)));
    Ok(Value::Object(members.collect()))
}

fn value_of(scanned: Scanned, body: &Arc<Memory>) -> Value {
    match scanned {
        Scanned::Str { place, surrogate } => {
            Value::Str(PyStr { text: TypedText::of(body, place), surrogate })
        }
        Scanned::Object(_) => Value::Object(Object::default()),
        Scanned::Other(value) => value,
    }
}

/// Resolves the escapes of a string that was scanned, in its own place: none is shorter than its sign.
fn unescape(body: &mut Memory, place: Range<usize>) -> Range<usize> {
    let bytes = body.write(place.start).get_mut(place.clone()).unwrap_or_default();
    let (mut read, mut written) = (0, 0);
    while let Some(byte) = bytes.get(read).copied() {
        let (mut sign, mut length) = ([byte, 0, 0, 0], 1);
        if byte == b'\\' {
            let (decoded, escape) = escape(bytes.get(read + 1..).unwrap_or_default());
            length = decoded.encode_utf8(&mut sign).len();
            read += escape;
        }
        read += 1;
        for byte in sign.into_iter().take(length) {
            if let Some(place) = bytes.get_mut(written) {
                *place = byte;
            }
            written += 1;
        }
    }
    place.start..place.start + written
}

/// The sign of an escape behind its backslash, and how long that is.
fn escape(bytes: &[u8]) -> (char, usize) {
    let unit = |at: usize| {
        let digits = str::from_utf8(bytes.get(at..at + 4)?).ok()?;
        u16::from_str_radix(digits, 16).ok()
    };
    match bytes {
        [b'u', ..] => {
            let first = unit(1).unwrap_or_default();
            let second = if bytes.get(5..7) == Some(b"\\u") { unit(7) } else { None };
            match units(first, second) {
                Ok((sign, 1)) => (sign, 5),
                Ok((sign, _)) => (sign, 11),
                Err(_) => (char::REPLACEMENT_CHARACTER, 5),
            }
        }
        [byte, ..] => (simple_escape(*byte).unwrap_or_default(), 1),
        [] => ('\\', 0),
    }
}
