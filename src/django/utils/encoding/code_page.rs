//! Python's `charmap` codecs: a byte, a sign. `scripts/codec_tables` writes their table.

use super::decoder::{Decoder, Fault, Sink};
use super::runs::runs;

const CODE_PAGES: &str = include_str!("code_pages.txt");

/// The signs of the 256 bytes.
pub(super) struct CodePage([Option<char>; 256]);

/// Latin-1.
impl Default for CodePage {
    fn default() -> Self {
        let mut signs = [None; 256];
        for (sign, byte) in signs.iter_mut().zip(0..=u8::MAX) {
            *sign = Some(char::from(byte));
        }
        Self(signs)
    }
}

impl CodePage {
    /// Whether there is a code page of this name.
    pub(super) fn is_known(name: &str) -> bool {
        runs(CODE_PAGES, name).is_some()
    }

    /// The code page of this name, if there is one.
    pub(super) fn new(name: &str) -> Option<Self> {
        let Self(mut signs) = Self::default();
        for run in runs(CODE_PAGES, name)? {
            for offset in 0..=run.more {
                let code = usize::try_from(run.start + offset).ok()?;
                *signs.get_mut(code)? = run.sign.and_then(|sign| char::from_u32(sign + offset));
            }
        }
        Some(Self(signs))
    }
}

impl Decoder for CodePage {
    fn step(&mut self, bytes: &[u8], position: usize, text: &mut Sink<'_>) -> Result<usize, Fault> {
        let byte = bytes.get(position).copied().unwrap_or_default();
        match self.0.get(usize::from(byte)) {
            Some(Some(sign)) => text.push(*sign),
            _ => return Err(Fault::new("charmap", position, 1, "character maps to <undefined>")),
        }
        Ok(position + 1)
    }
}
