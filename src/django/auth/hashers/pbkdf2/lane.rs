//! `hashlib.pbkdf2_hmac('sha256', …)`, a few thousand iterations at a time: a hash that can be left and taken up again,
//! beside others with other counts of iterations.

use std::hint::black_box;

use pbkdf2::pbkdf2_hmac_array;
use sha2::Sha256;
use sha2::block_api::compress256;
use zeroize::Zeroizing;

#[cfg(not(target_arch = "x86_64"))]
pub(in super::super) use super::no_kernel::NoKernel as Kernel;
use super::registers::{Registers, State};
#[cfg(target_arch = "x86_64")]
pub(in super::super) use super::sha_ni::ShaExtensions as Kernel;
use super::{BLOCK_LENGTH, base64};

/// Lanes that one thread takes on at once. Four come close to the throughput of the SHA unit; more would not fit the
/// registers, and none would finish sooner.
pub const LANES: usize = 4;

/// One iteration of one of [`LANES`] lanes, on a core of 2020.
pub(in super::super) const LANE_NANOSECONDS: u64 = 40;

/// FIPS 180-4, section 5.3.3.
const INITIAL_STATE: State = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// One derivation under way.
pub(in super::super) struct Lane {
    kernel: Kernel,
    remaining: u32,
    /// In a box, for a move would leave a copy behind.
    registers: Box<Registers>,
}

impl Lane {
    /// `key` is the password, or its digest where it is longer than a block. The first iteration is done here.
    pub(super) fn new(kernel: Kernel, key: &[u8], salt: &[u8], iterations: u32) -> Self {
        let mut registers = Box::<Registers>::default();
        keyed(&mut registers.inner, key, 0x36);
        keyed(&mut registers.outer, key, 0x5c);
        let first = Zeroizing::new(pbkdf2_hmac_array::<Sha256, 32>(key, salt, 1));
        for (word, bytes) in registers.last.iter_mut().zip(first.as_chunks().0) {
            *word = u32::from_be_bytes(*bytes);
        }
        registers.sum = registers.last;
        #[cfg(test)]
        super::super::tests::count_work(1);
        Self { kernel, remaining: iterations.saturating_sub(1), registers }
    }

    /// Whether all iterations are done.
    pub(in super::super) fn is_done(&self) -> bool {
        self.remaining == 0
    }

    /// Goes on for the work of so many more iterations; the hash is worth nothing then.
    pub(in super::super) fn extend(&mut self, iterations: u32) {
        self.remaining = self.remaining.saturating_add(iterations);
    }

    /// The derived key in base64.
    pub(in super::super) fn hash(&self) -> Zeroizing<String> {
        let mut key = Zeroizing::new([0; 32]);
        for (bytes, word) in key.as_chunks_mut().0.iter_mut().zip(&self.registers.sum) {
            *bytes = word.to_be_bytes();
        }
        // Not to be optimized away where nobody looks at the hash.
        base64(black_box(&*key))
    }
}

/// The SHA-256 state behind HMAC's padded key.
fn keyed(state: &mut State, key: &[u8], pad: u8) {
    let mut block = Zeroizing::new([pad; BLOCK_LENGTH]);
    for (byte, key) in block.iter_mut().zip(key) {
        *byte ^= key;
    }
    *state = INITIAL_STATE;
    compress256(state, std::slice::from_ref(&*block));
}

/// Takes the lanes on, [`LANES`] at a time: by `slice` iterations, or fewer if one is done before. Returns the
/// iterations of all lanes together.
pub(in super::super) fn advance(lanes: &mut [&mut Lane], slice: u32) -> u64 {
    lanes.chunks_mut(LANES).map(|lanes| advance_together(lanes, slice)).sum()
}

fn advance_together(lanes: &mut [&mut Lane], slice: u32) -> u64 {
    let steps = lanes.iter().map(|lane| lane.remaining).fold(slice, u32::min);
    match lanes {
        [] => {}
        [a] => a.kernel.iterate([&mut a.registers], steps),
        [a, b] => a.kernel.iterate([&mut a.registers, &mut b.registers], steps),
        [a, b, c] => {
            a.kernel.iterate([&mut a.registers, &mut b.registers, &mut c.registers], steps);
        }
        [a, b, c, d, ..] => a.kernel.iterate(
            [&mut a.registers, &mut b.registers, &mut c.registers, &mut d.registers],
            steps,
        ),
    }
    for lane in lanes.iter_mut() {
        lane.remaining -= steps;
        #[cfg(test)]
        super::super::tests::count_work(steps);
    }
    u64::from(steps) * u64::try_from(lanes.len()).unwrap_or(u64::MAX)
}
