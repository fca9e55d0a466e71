//! `UnicodeDecodeError` and the error handlers of Python's `codecs`, for every decoder alike.

/// A `UnicodeDecodeError`.
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

    /// `str(error)`
    pub(super) fn text(&self, bytes: &[u8]) -> String {
        let Self { codec, start, end, reason, .. } = self;
        if *end == start + 1 {
            let byte = bytes.get(*start).copied().unwrap_or_default();
            return format!(
                "'{codec}' codec can't decode byte 0x{byte:02x} in position {start}: {reason}"
            );
        }
        let last = end.saturating_sub(1);
        format!("'{codec}' codec can't decode bytes in position {start}-{last}: {reason}")
    }
}

/// Takes bytes to text, a sequence at a time.
pub(super) trait Decoder {
    /// Decodes what stands at `position`, which is before the end, and returns where to go on.
    fn step(&mut self, bytes: &[u8], position: usize, text: &mut String) -> Result<usize, Fault>;
}

/// `bytes.decode(codec)` from `start` on.
pub(super) fn strict(
    decoder: &mut dyn Decoder,
    bytes: &[u8],
    start: usize,
) -> Result<String, Fault> {
    let mut text = String::new();
    let mut position = start;
    while position < bytes.len() {
        position = decoder.step(bytes, position, &mut text)?;
    }
    Ok(text)
}

/// What a reader that waits for more bytes has decoded, and how many bytes that were.
pub(super) fn up_to_cut(
    decoder: &mut dyn Decoder,
    bytes: &[u8],
    start: usize,
) -> Result<(String, usize), Fault> {
    let mut text = String::new();
    let mut position = start;
    while position < bytes.len() {
        let whole = text.len();
        position = match decoder.step(bytes, position, &mut text) {
            Ok(next) => next,
            Err(fault) if fault.is_cut => {
                text.truncate(whole);
                break;
            }
            Err(fault) => return Err(fault),
        };
    }
    Ok((text, position))
}

/// `bytes.decode(codec, "replace")` from `start` on.
pub(super) fn replacing(decoder: &mut dyn Decoder, bytes: &[u8], start: usize) -> String {
    let mut text = String::new();
    let mut position = start;
    while position < bytes.len() {
        position = decoder.step(bytes, position, &mut text).unwrap_or_else(|fault| {
            text.push(char::REPLACEMENT_CHARACTER);
            fault.end
        });
    }
    text
}
