//! `hashlib.pbkdf2_hmac`: its inner loop for SHA-256 on the SHA extensions of x86-64, for one to four passwords at a
//! time.
//!
//! One compression is a chain of 32 `sha256rnds2`, each of which waits four cycles for the one before. A password alone
//! leaves the unit idle for more than half of the time; others in between fill the gaps.
//!
//! Why only `sha`, `sse4.1` and `ssse3`? With AVX switched on the compiler mixes VEX and legacy instructions, and
//! legacy SHA instructions behind dirty upper halves of the vector registers ran 80 times slower where this was
//! measured. `scripts/bench_pbkdf2.rs` fails when that comes back.

use std::arch::x86_64::{
    __m128i, _mm_add_epi32, _mm_alignr_epi8, _mm_cvtsi128_si32, _mm_extract_epi32, _mm_set_epi32,
    _mm_setzero_si128, _mm_sha256msg1_epu32, _mm_sha256msg2_epu32, _mm_sha256rnds2_epu32,
    _mm_shuffle_epi32, _mm_unpackhi_epi64, _mm_unpacklo_epi64, _mm_xor_si128,
};

use super::registers::{Registers, State};

/// The right to run the kernel: only [`Self::detect`] makes one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in super::super) struct ShaExtensions(());

impl ShaExtensions {
    /// Asks the processor.
    pub(in super::super) fn detect() -> Option<Self> {
        let all = is_x86_feature_detected!("sha")
            && is_x86_feature_detected!("sse4.1")
            && is_x86_feature_detected!("ssse3");
        all.then_some(Self(()))
    }

    /// Takes each lane on by `iterations`.
    #[expect(clippy::unused_self, reason = "having it is the proof that the processor was asked")]
    pub(super) fn iterate<const N: usize>(self, lanes: [&mut Registers; N], iterations: u32) {
        #[expect(unsafe_code, reason = "the compiler cannot see that the processor was asked")]
        // SAFETY: `iterate` is safe code but for the three features it is compiled with, and a `ShaExtensions` exists
        // only where `detect` has found all three.
        unsafe {
            iterate(lanes, iterations);
        };
    }
}

/// A SHA-256 state in the order of the instructions.
#[derive(Clone, Copy)]
struct Halves {
    abef: __m128i,
    cdgh: __m128i,
}

/// What changes in a lane, in registers as far as they suffice.
#[derive(Clone, Copy)]
struct Stream {
    last: Halves,
    sum: Halves,
    /// The compression under way, and the last sixteen words of its message schedule.
    state: Halves,
    words: [__m128i; 4],
}

/// `U = HMAC(password, U); T ^= U`, over and over. The states behind the key's blocks are known, so that each of the
/// two hashes is one compression of a digest.
///
/// `compress` is called at one place only, or the compiler would not inline it and keep the streams in memory, at two
/// thirds of the speed.
#[target_feature(enable = "sha,sse4.1,ssse3")]
fn iterate<const N: usize>(lanes: [&mut Registers; N], iterations: u32) {
    let zero = Halves { abef: _mm_setzero_si128(), cdgh: _mm_setzero_si128() };
    let blank = Stream { last: zero, sum: zero, state: zero, words: [zero.abef; 4] };
    let (mut streams, mut inner, mut outer) = ([blank; N], [zero; N], [zero; N]);
    let keys = inner.iter_mut().zip(&mut outer);
    for ((stream, lane), (inner, outer)) in streams.iter_mut().zip(&lanes).zip(keys) {
        stream.last = load(&lane.last);
        stream.sum = load(&lane.sum);
        (*inner, *outer) = (load(&lane.inner), load(&lane.outer));
    }
    let keys = [inner, outer];
    for _ in 0..iterations {
        for keys in &keys {
            for (stream, key) in streams.iter_mut().zip(keys) {
                stream.state = *key;
                begin(stream);
            }
            compress(&mut streams);
            for (stream, key) in streams.iter_mut().zip(keys) {
                stream.last = add(stream.state, *key);
            }
        }
        for Stream { last, sum, .. } in &mut streams {
            sum.abef = _mm_xor_si128(sum.abef, last.abef);
            sum.cdgh = _mm_xor_si128(sum.cdgh, last.cdgh);
        }
    }
    for (stream, lane) in streams.iter().zip(lanes) {
        lane.last = store(stream.last);
        lane.sum = store(stream.sum);
    }
}

/// Starts the compression of the digest `last`, the second block behind that of the key.
#[target_feature(enable = "sha,sse4.1,ssse3")]
#[inline]
fn begin(stream: &mut Stream) {
    let abef = _mm_shuffle_epi32::<0x1B>(stream.last.abef);
    let cdgh = _mm_shuffle_epi32::<0x1B>(stream.last.cdgh);
    // 32 bytes, the bit that ends them, and the length of both blocks in bits.
    stream.words = [
        _mm_unpacklo_epi64(abef, cdgh),
        _mm_unpackhi_epi64(abef, cdgh),
        vector([END, 0, 0, 0]),
        vector([0, 0, 0, LENGTH]),
    ];
}

/// The bit that ends the message.
const END: u32 = 0x8000_0000;
/// Bits of a key block and a digest.
const LENGTH: u32 = (64 + 32) * 8;

/// The round constants of FIPS 180-4, four rounds a row.
const K: [[u32; 4]; 16] = [
    [0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5],
    [0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5],
    [0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3],
    [0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174],
    [0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc],
    [0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da],
    [0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7],
    [0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967],
    [0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13],
    [0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85],
    [0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3],
    [0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070],
    [0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5],
    [0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3],
    [0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208],
    [0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2],
];

/// The 64 rounds of every stream, four of one stream after four of another.
#[target_feature(enable = "sha,sse4.1,ssse3")]
#[inline]
fn compress<const N: usize>(streams: &mut [Stream; N]) {
    rounds::<0, N>(streams);
    rounds::<1, N>(streams);
    rounds::<2, N>(streams);
    rounds::<3, N>(streams);
    rounds::<4, N>(streams);
    rounds::<5, N>(streams);
    rounds::<6, N>(streams);
    rounds::<7, N>(streams);
    rounds::<8, N>(streams);
    rounds::<9, N>(streams);
    rounds::<10, N>(streams);
    rounds::<11, N>(streams);
    rounds::<12, N>(streams);
    rounds::<13, N>(streams);
    rounds::<14, N>(streams);
    rounds::<15, N>(streams);
}

/// Four rounds of every stream; `ROW` of [`K`].
#[target_feature(enable = "sha,sse4.1,ssse3")]
#[inline]
#[expect(clippy::indexing_slicing, reason = "the row is checked when this is compiled")]
fn rounds<const ROW: usize, const N: usize>(streams: &mut [Stream; N]) {
    for stream in streams {
        if ROW >= 4 {
            schedule::<ROW>(stream);
        }
        let words = match ROW % 4 {
            0 => stream.words[0],
            1 => stream.words[1],
            2 => stream.words[2],
            _ => stream.words[3],
        };
        let keyed = _mm_add_epi32(words, vector(const { K[ROW] }));
        let Halves { abef, cdgh } = stream.state;
        let cdgh = _mm_sha256rnds2_epu32(cdgh, abef, keyed);
        let abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32::<0x0E>(keyed));
        stream.state = Halves { abef, cdgh };
    }
}

/// The next four words of the message schedule, in the place of the oldest four.
#[target_feature(enable = "sha,sse4.1,ssse3")]
#[inline]
fn schedule<const ROW: usize>(stream: &mut Stream) {
    let [w0, w1, w2, w3] = stream.words;
    let next = |oldest, second, third, newest| {
        let sum = _mm_sha256msg1_epu32(oldest, second);
        let sum = _mm_add_epi32(sum, _mm_alignr_epi8::<4>(newest, third));
        _mm_sha256msg2_epu32(sum, newest)
    };
    match ROW % 4 {
        0 => stream.words[0] = next(w0, w1, w2, w3),
        1 => stream.words[1] = next(w1, w2, w3, w0),
        2 => stream.words[2] = next(w2, w3, w0, w1),
        _ => stream.words[3] = next(w3, w0, w1, w2),
    }
}

#[target_feature(enable = "sha,sse4.1,ssse3")]
#[inline]
fn add(a: Halves, b: Halves) -> Halves {
    Halves { abef: _mm_add_epi32(a.abef, b.abef), cdgh: _mm_add_epi32(a.cdgh, b.cdgh) }
}

/// The first word in the lowest place.
#[target_feature(enable = "sha,sse4.1,ssse3")]
#[inline]
fn vector(words: [u32; 4]) -> __m128i {
    let [a, b, c, d] = words.map(u32::cast_signed);
    _mm_set_epi32(d, c, b, a)
}

#[target_feature(enable = "sha,sse4.1,ssse3")]
#[inline]
#[expect(clippy::many_single_char_names, reason = "the names of FIPS 180-4")]
fn load(state: &State) -> Halves {
    let [a, b, c, d, e, f, g, h] = *state;
    Halves { abef: vector([f, e, b, a]), cdgh: vector([h, g, d, c]) }
}

#[target_feature(enable = "sha,sse4.1,ssse3")]
#[inline]
#[expect(clippy::many_single_char_names, reason = "the names of FIPS 180-4")]
fn store(halves: Halves) -> State {
    let [f, e, b, a] = words(halves.abef);
    let [h, g, d, c] = words(halves.cdgh);
    [a, b, c, d, e, f, g, h]
}

#[target_feature(enable = "sha,sse4.1,ssse3")]
#[inline]
fn words(vector: __m128i) -> [u32; 4] {
    [
        _mm_cvtsi128_si32(vector),
        _mm_extract_epi32::<1>(vector),
        _mm_extract_epi32::<2>(vector),
        _mm_extract_epi32::<3>(vector),
    ]
    .map(i32::cast_unsigned)
}
