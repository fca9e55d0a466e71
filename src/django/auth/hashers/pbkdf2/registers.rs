//! The words that a PBKDF2 kernel works on.

use zeroize::Zeroize;

/// The eight words of a SHA-256 state.
pub(super) type State = [u32; 8];

/// What the kernel reads and writes; wiped when dropped.
#[derive(Default)]
pub(super) struct Registers {
    /// The state behind the block of the key, inside and outside.
    pub(super) inner: State,
    pub(super) outer: State,
    /// The U and the T of RFC 8018: the last HMAC, and the sum of all.
    pub(super) last: State,
    pub(super) sum: State,
}

impl Drop for Registers {
    fn drop(&mut self) {
        for state in [&mut self.inner, &mut self.outer, &mut self.last, &mut self.sum] {
            state.zeroize();
        }
    }
}
