//! The kernel of a processor for which none is written: there is none, and the compiler knows.

use super::registers::Registers;

/// Never made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in super::super) enum NoKernel {}

impl NoKernel {
    /// There is none.
    pub(in super::super) fn detect() -> Option<Self> {
        None
    }

    /// Never called.
    pub(super) fn iterate<const N: usize>(self, _lanes: [&mut Registers; N], _iterations: u32) {
        match self {}
    }
}
