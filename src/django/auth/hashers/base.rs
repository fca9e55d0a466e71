//! `django.contrib.auth.hashers.BasePasswordHasher`: what the hashers have in common.

use std::fmt;
use std::time::Duration;

use zeroize::Zeroizing;

use super::passwords::{EncodedPassword, Password};
use crate::django::utils::crypto::{RandomSource, get_random_string};

/// 22 letters of log2(62) bits each are the first to reach `BasePasswordHasher.salt_entropy`, 128 bits.
pub(super) const SALT_LENGTH: usize = 22;

/// Django's column holds 128 characters; that of a custom user model may hold some more. No hash is longer than this.
pub(super) const MAX_ENCODED_LENGTH: usize = 1024;

/// A hasher class. Pure: the same arguments give the same answer, and nothing is kept.
pub(super) trait PasswordHasher {
    /// `salt`: letters and digits.
    fn salt(&self, random: RandomSource) -> Result<String, getrandom::Error> {
        get_random_string(SALT_LENGTH, random)
    }

    /// A salt for a hash that is made in vain.
    fn dummy_salt(&self) -> String {
        let zeros: RandomSource = |bytes| {
            bytes.fill(0);
            Ok(())
        };
        self.salt(zeros).unwrap_or_default()
    }

    /// `encode`, with a salt of [`Self::salt`].
    fn encode(&self, password: &Password, salt: &str) -> Result<EncodedPassword, Unhashable>;

    /// `verify`. What no password can match is an error, and is found without a hash.
    fn verify(&self, password: &Password, encoded: &str) -> Result<bool, Unhashable>;

    /// `must_update` of a text that [`Self::verify`] reads.
    fn must_update(&self, encoded: &str) -> bool;

    /// `harden_runtime`: the work that a stored hash below today's cost was spared. Most hashers have none.
    /// Returns what was done, as [`Self::cost`] counts it.
    fn harden_runtime(&self, _password: &Password, _encoded: &str) -> Duration {
        Duration::ZERO
    }

    /// What [`Self::verify`] will take, so that a caller can refuse it; `None` is a text that it will not read.
    fn cost(&self, encoded: &str) -> Option<Cost>;

    /// What [`Self::encode`] takes.
    fn default_cost(&self) -> Cost;
}

/// What one hash takes, told before it runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cost {
    /// The memory that it fills, in bytes.
    pub memory_bytes: u64,
    /// About how long it keeps one core of 2020 busy. An order of magnitude to weigh jobs by, not a promise.
    pub time: Duration,
}

impl Cost {
    /// The higher of both, in either respect.
    pub(super) fn max(self, other: Self) -> Self {
        let memory_bytes = self.memory_bytes.max(other.memory_bytes);
        Self { memory_bytes, time: self.time.max(other.time) }
    }
}

/// Why there is no hash to compare or to store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unhashable {
    /// No password matches the stored text, or Django's library refuses to run it.
    Corrupt,
    /// `bcrypt` reads 72 bytes, and the `bcrypt` package of Python refuses more since 5.0.
    PasswordTooLong,
    /// The operating system has not the memory that the hash fills.
    OutOfMemory,
}

impl fmt::Display for Unhashable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Corrupt => "the stored hash is not one that a password could match",
            Self::PasswordTooLong => "bcrypt takes no password of more than 72 bytes",
            Self::OutOfMemory => "there is not enough memory for the hash",
        })
    }
}

impl std::error::Error for Unhashable {}

/// Why there is no new hash.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MakeError {
    /// The random source gave nothing for a salt.
    NoRandomness(getrandom::Error),
    /// The preferred hasher cannot hash the password.
    Unhashable(Unhashable),
}

impl fmt::Display for MakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRandomness(error) => write!(f, "no random bytes for a salt: {error}"),
            Self::Unhashable(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for MakeError {}

/// The text behind `algorithm$`, if it is of an acceptable length.
pub(super) fn strip_algorithm<'a>(encoded: &'a str, algorithm: &str) -> Option<&'a str> {
    if encoded.len() > MAX_ENCODED_LENGTH {
        return None;
    }
    encoded.strip_prefix(algorithm)?.strip_prefix('$')
}

/// A count as `%d` prints it: `+1`, `01`, `1_0` and ` 1` are none, for they would be printed in another way.
pub(super) fn decimal(text: &str) -> Option<u32> {
    let canonical =
        text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if canonical { text.parse().ok() } else { None }
}

/// `hexdigest()`.
pub(super) fn hexdigest(digest: &[u8]) -> Zeroizing<String> {
    // All of it at once: a string that grows leaves copies behind.
    let mut text = Zeroizing::new(String::with_capacity(2 * digest.len()));
    let nibbles = digest.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    text.extend(nibbles.filter_map(|nibble| char::from_digit(u32::from(nibble), 16)));
    text
}

/// Questions that the tests of all hashers ask.
#[cfg(test)]
pub(super) mod testing {
    use super::*;

    pub(crate) const SALT: &str = "abcdefghijklmnopqrstuv";
    pub(crate) const UNICODE: &str = "pässwörd \u{1f511}";

    pub(crate) fn password(text: &str) -> Password {
        Password::from(text.to_owned())
    }

    pub(crate) fn verify(hasher: &dyn PasswordHasher, text: &str, encoded: &str) -> Option<bool> {
        let verdict = hasher.verify(&password(text), encoded);
        assert_eq!(verdict.is_ok(), hasher.cost(encoded).is_some(), "{encoded}");
        verdict.ok()
    }

    /// A hash that we make is right, for no other password, and not outdated.
    pub(crate) fn assert_round_trip(hasher: &dyn PasswordHasher) {
        let salt = hasher.salt(getrandom::fill).unwrap();
        let other = hasher.salt(getrandom::fill).unwrap();
        assert!(salt != other || salt.is_empty());
        for text in ["secret", "", UNICODE, "\0"] {
            let encoded = hasher.encode(&password(text), &salt).unwrap();
            assert_eq!(verify(hasher, text, encoded.as_str()), Some(true), "{text:?}");
            assert_eq!(verify(hasher, "Secret", encoded.as_str()), Some(false), "{text:?}");
            assert!(!hasher.must_update(encoded.as_str()));
            assert_eq!(hasher.cost(encoded.as_str()), Some(hasher.default_cost()));
        }
    }

    /// Damages a good hash in 3000 ways; what is cheap is run. Nothing may panic, and nothing damaged is right.
    pub(crate) fn assert_no_panic(hasher: &dyn PasswordHasher, encoded: &str) {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state >> 33).unwrap() % below
        };
        for _ in 0..3000 {
            let mut bytes = encoded.as_bytes().to_vec();
            for _ in 0..=random(3) {
                let at = random(bytes.len());
                let byte = b"$=,+-._ 0129\0\x7f\xc3\xa9\xff"[random(17)];
                match random(5) {
                    0 => bytes[at] = byte,
                    1 => bytes.insert(at, byte),
                    2 if bytes.len() > 1 => drop(bytes.remove(at)),
                    3 => bytes.truncate(at + 1),
                    _ => bytes.extend_from_within(at..),
                }
            }
            let text = String::from_utf8_lossy(&bytes);
            let _ = hasher.must_update(&text);
            let cheap = |cost: Cost| cost.time < Duration::from_millis(1);
            if text != encoded && hasher.cost(&text).is_none_or(cheap) {
                assert_ne!(verify(hasher, "secret", &text), Some(true), "{text}");
            }
        }
        for text in ["", "$", "$$$$$$$$", &"é".repeat(5_000_000), &"$".repeat(10_000_000)] {
            assert_eq!(verify(hasher, "secret", text), None);
            assert!(!hasher.must_update(text));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_read_only_as_it_is_printed() {
        assert_eq!(decimal("0"), Some(0));
        assert_eq!(decimal("4294967295"), Some(u32::MAX));
        for text in ["", "00", "01", "+1", "-1", " 1", "1 ", "1_0", "1.0", "٣", "4294967296"] {
            assert_eq!(decimal(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_text_of_another_algorithm_or_of_a_book_is_not_read() {
        assert_eq!(strip_algorithm("md5$salt$hash", "md5"), Some("salt$hash"));
        for text in ["", "$", "md5", "md55$", "MD5$salt", " md5$salt"] {
            assert_eq!(strip_algorithm(text, "md5"), None, "{text:?}");
        }
        assert_eq!(strip_algorithm(&format!("md5${}", "a".repeat(1021)), "md5"), None);
    }

    #[test]
    fn digests_are_lower_case() {
        assert_eq!(*hexdigest(&[0x00, 0x9f, 0xff]), "009fff");
    }
}
