//! `urllib.parse`, as far as `django.http` and header parameters need it.

use std::ops::Range;

use super::encoding::Charset;
use crate::memory::Memory;

/// `urllib.parse.unquote(text, charset, "replace")`: runs of ASCII are percent-decoded each for
/// itself, all other characters stay.
#[must_use]
pub fn unquote_url(text: &str, charset: Charset) -> String {
    if !text.contains('%') {
        return text.to_owned();
    }
    let mut memory = Memory::of(&[text.as_bytes()]);
    let (content, first) = (memory.content(), memory.first());
    let end = unquote_url_in(&mut memory, &content, charset, first);
    memory.text(first..end).to_owned()
}

/// The same of the text that stands there. It is written from `to` on; where it ends is returned.
pub fn unquote_url_in(
    memory: &mut Memory,
    text: &Range<usize>,
    charset: Charset,
    to: usize,
) -> usize {
    if !memory.get(text.clone()).contains(&b'%') {
        return memory.copy(text, to);
    }
    let (mut rest, mut to) = (text.clone(), to);
    while !rest.is_empty() {
        let bytes = memory.get(rest.clone());
        let is_ascii = bytes.first().is_some_and(u8::is_ascii);
        let length = bytes.iter().take_while(|byte| byte.is_ascii() == is_ascii).count();
        let run = rest.start..rest.start + length;
        rest.start = run.end;
        to = if is_ascii {
            let decoded = percent_decode(memory, &run);
            charset.replace(memory, &decoded, to)
        } else {
            memory.copy(&run, to)
        };
    }
    to
}

/// `urllib.parse.unquote_to_bytes`, of the bytes that stand there; they end where they did.
fn percent_decode(memory: &mut Memory, bytes: &Range<usize>) -> Range<usize> {
    let room = memory.write(bytes.start).get_mut(bytes.clone()).unwrap_or_default();
    let (mut read, mut written) = (0, 0);
    while let Some(byte) = room.get(read).copied() {
        let digit = |at| room.get(at).and_then(|digit| char::from(*digit).to_digit(16));
        let code = match (byte, digit(read + 1), digit(read + 2)) {
            (b'%', Some(high), Some(low)) => u8::try_from(high * 16 + low).ok(),
            _ => None,
        };
        if let Some(place) = room.get_mut(written) {
            *place = code.unwrap_or(byte);
        }
        read += if code.is_some() { 3 } else { 1 };
        written += 1;
    }
    let start = room.len() - written;
    room.copy_within(..written, start);
    bytes.start + start..bytes.end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn non_ascii_text_between_escapes_is_kept() {
        assert_eq!(unquote_url("%C3é%A9%zz", Charset::Utf8), "\u{fffd}é\u{fffd}%zz");
    }
}
