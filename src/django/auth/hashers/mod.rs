//! `django.contrib.auth.hashers`: stored passwords are identified, verified, made, and found outdated, as Django does.
//!
//! Pure: the random source is an argument, nothing waits, nothing is logged. One hash takes a tenth of a second and
//! more, so that requests come here only through the hashing pool.

mod algorithm;
mod passwords;
mod pbkdf2;
#[cfg(test)]
mod tests;

use std::hint::black_box;

pub use algorithm::Algorithm;
pub use passwords::{EncodedPassword, Password};

/// `UNUSABLE_PASSWORD_PREFIX`.
const UNUSABLE_PASSWORD_PREFIX: char = '!';
/// `UNUSABLE_PASSWORD_SUFFIX_LENGTH`.
const UNUSABLE_PASSWORD_SUFFIX_LENGTH: usize = 40;
/// `RANDOM_STRING_CHARS`, 62 of them.
const RANDOM_STRING_CHARS: &[u8] =
    b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
/// 22 letters of log2(62) bits each are the first to reach `BasePasswordHasher.salt_entropy`, 128 bits.
const SALT_LENGTH: usize = 22;

/// Fills a buffer with random bytes; the operating system's is `getrandom::fill`.
pub type RandomSource = fn(&mut [u8]) -> Result<(), getrandom::Error>;

/// The outcome of a password check. Only the log may tell the reasons apart: the client gets one answer for all.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Check {
    /// The password is right.
    Valid {
        /// The stored hash is not what `make_password` would write today, and is to be replaced.
        must_update: bool,
    },
    /// The password is refused.
    Invalid(Reason),
}

/// Why a password was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reason {
    /// There is no such user.
    NoSuchUser,
    /// The stored hash is of another password.
    WrongPassword,
    /// The user was given no password (`set_unusable_password`).
    Unusable,
    /// The hash is of a hasher that `PASSWORD_HASHERS` does not list or this server does not know.
    UnknownAlgorithm,
    /// The hash is one that no password matches, or costs more than `max_iterations`.
    Corrupt,
}

/// PBKDF2's default `iterations` of a Django release, by (major, minor). Both digests share it.
#[must_use]
pub fn default_iterations(django_version: (u8, u8)) -> Option<u32> {
    match django_version {
        (4, 2) => Some(600_000),
        (5, 0) => Some(720_000),
        (5, 1) => Some(870_000),
        (5, 2) => Some(1_000_000),
        (6, 0) => Some(1_200_000),
        (6, 1) => Some(1_500_000),
        _ => None,
    }
}

/// `is_password_usable`.
#[must_use]
pub fn is_password_usable(encoded: &EncodedPassword) -> bool {
    !encoded.as_str().starts_with(UNUSABLE_PASSWORD_PREFIX)
}

/// `django.utils.crypto.get_random_string`: letters and digits, each as likely as the other.
pub fn get_random_string(length: usize, random: RandomSource) -> Result<String, getrandom::Error> {
    let mut text = String::with_capacity(length);
    let mut bytes = [0; 32];
    while text.len() < length {
        random(&mut bytes)?;
        // 248 is the greatest multiple of 62 in a byte: what lies above would make the first letters likelier.
        let fair = bytes.iter().filter(|byte| **byte < 248);
        let letters = fair.filter_map(|byte| RANDOM_STRING_CHARS.get(usize::from(byte % 62)));
        text.extend(letters.take(length - text.len()).map(|letter| char::from(*letter)));
    }
    Ok(text)
}

/// The hashers of a site, as its settings name them.
#[derive(Clone, Debug)]
pub struct Hashers {
    preferred: Algorithm,
    enabled: Vec<Algorithm>,
    iterations: u32,
    max_iterations: u32,
}

impl Hashers {
    /// `preferred` makes new hashes (the first of `PASSWORD_HASHERS`), `enabled` are accepted besides, `iterations`
    /// is PBKDF2's default. A stored hash of more than `max_iterations` is not run; new ones always may be.
    #[must_use]
    pub fn new(
        preferred: Algorithm,
        enabled: Vec<Algorithm>,
        iterations: u32,
        max_iterations: u32,
    ) -> Self {
        let iterations = iterations.max(1);
        let max_iterations = max_iterations.max(iterations);
        Self { preferred, enabled, iterations, max_iterations }
    }

    /// `make_password`: a new hash of the preferred hasher; without a password, a text that refuses every log-in.
    pub fn make_password(
        &self,
        password: Option<&Password>,
        random: RandomSource,
    ) -> Result<EncodedPassword, getrandom::Error> {
        let Some(password) = password else {
            let suffix = get_random_string(UNUSABLE_PASSWORD_SUFFIX_LENGTH, random)?;
            return Ok(EncodedPassword::from(format!("{UNUSABLE_PASSWORD_PREFIX}{suffix}")));
        };
        let salt = get_random_string(SALT_LENGTH, random)?;
        Ok(pbkdf2::encode(self.preferred, password, &salt, self.iterations))
    }

    /// `check_password`, without its setter: the caller replaces the hash when it must. `None` is an unknown user,
    /// for whom `ModelBackend.authenticate` spends one hash, so that the time of an answer does not tell who exists.
    pub fn check_password(&self, password: &Password, encoded: Option<&EncodedPassword>) -> Check {
        let Some(encoded) = encoded else {
            return self.refuse(password, Reason::NoSuchUser);
        };
        if !is_password_usable(encoded) {
            return self.refuse(password, Reason::Unusable);
        }
        let Some(hasher) = self.identify_hasher(encoded) else {
            return self.refuse(password, Reason::UnknownAlgorithm);
        };
        match pbkdf2::decode(encoded.as_str()) {
            Some(decoded) if decoded.iterations <= self.max_iterations => {
                self.verify(hasher, password, encoded, decoded)
            }
            _ => self.refuse(password, Reason::Corrupt),
        }
    }

    /// `identify_hasher`.
    fn identify_hasher(&self, encoded: &EncodedPassword) -> Option<Algorithm> {
        let name = encoded.as_str().split('$').next()?;
        let mut known = std::iter::once(self.preferred).chain(self.enabled.iter().copied());
        known.find(|hasher| hasher.name() == name)
    }

    /// The second half of `verify_password`.
    fn verify(
        &self,
        hasher: Algorithm,
        password: &Password,
        encoded: &EncodedPassword,
        decoded: pbkdf2::Decoded<'_>,
    ) -> Check {
        let must_update = hasher != self.preferred || self.must_update(decoded);
        if pbkdf2::verify(hasher, password, encoded.as_str(), decoded) {
            return Check::Valid { must_update };
        }
        // Django lets the time tell a hash of another hasher, and so do we.
        if hasher == self.preferred && must_update {
            self.harden_runtime(password, decoded);
        }
        Check::Invalid(Reason::WrongPassword)
    }

    /// `PBKDF2PasswordHasher.must_update`. More iterations than the default count as outdated, too.
    fn must_update(&self, decoded: pbkdf2::Decoded<'_>) -> bool {
        decoded.iterations != self.iterations || decoded.salt.chars().count() < SALT_LENGTH
    }

    /// `PBKDF2PasswordHasher.harden_runtime`: the iterations that an outdated hash was spared.
    fn harden_runtime(&self, password: &Password, decoded: pbkdf2::Decoded<'_>) {
        let missing = self.iterations.saturating_sub(decoded.iterations);
        if missing > 0 {
            black_box(pbkdf2::encode(self.preferred, password, decoded.salt, missing));
        }
    }

    /// Spends one default hash in vain before it says no.
    fn refuse(&self, password: &Password, reason: Reason) -> Check {
        let salt = "-".repeat(SALT_LENGTH);
        black_box(pbkdf2::encode(self.preferred, password, &salt, self.iterations));
        Check::Invalid(reason)
    }
}
