//! `django.contrib.auth.hashers.PBKDF2PasswordHasher`: the text `algorithm$iterations$salt$hash`, read and made.

mod lane;
#[cfg(not(target_arch = "x86_64"))]
mod no_kernel;
mod registers;
#[cfg(target_arch = "x86_64")]
mod sha_ni;
#[cfg(test)]
mod tests;

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use pbkdf2::pbkdf2_hmac_array;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

pub use self::lane::LANES;
pub(super) use self::lane::{Kernel, LANE_NANOSECONDS, Lane, advance};
use super::base::Cost;
use super::passwords::{EncodedPassword, Password};

/// The block of both digests: HMAC hashes a longer password before it begins.
const BLOCK_LENGTH: usize = 64;

/// The parts of a stored hash that tell how to make it again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Decoded<'a> {
    pub(super) iterations: u32,
    pub(super) salt: &'a str,
}

/// `PBKDF2PasswordHasher.decode`. `None` is a text that no password can match: too few fields, no salt, or a count
/// that `%d` would print in another way (`+1`, `01`, `1_0`, ` 1`, zero). Django runs most of these counts and then
/// compares in vain, and fails on the rest; here all of them are one case, and the caller pays equal work for it.
pub(super) fn decode(encoded: &str) -> Option<Decoded<'_>> {
    let mut fields = encoded.splitn(4, '$');
    let (_algorithm, iterations) = (fields.next()?, fields.next()?);
    let (salt, _hash) = (fields.next()?, fields.next()?);
    let canonical = iterations.bytes().all(|b| b.is_ascii_digit()) && !iterations.starts_with('0');
    if !canonical || salt.is_empty() {
        return None;
    }
    // hashlib.pbkdf2_hmac refuses what a C long of 32 bits cannot hold.
    let iterations = iterations.parse::<i32>().ok()?.unsigned_abs();
    Some(Decoded { iterations, salt })
}

/// `digest`: what tells the two PBKDF2 hashers apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Digest {
    /// `PBKDF2PasswordHasher`.
    Sha256,
    /// `PBKDF2SHA1PasswordHasher`.
    Sha1,
}

impl Digest {
    /// `algorithm`.
    fn algorithm(self) -> &'static str {
        match self {
            Self::Sha256 => "pbkdf2_sha256",
            Self::Sha1 => "pbkdf2_sha1",
        }
    }
}

/// All that makes a hash but the password.
pub(super) struct Derivation {
    digest: Digest,
    salt: Zeroizing<String>,
    pub(super) iterations: u32,
}

impl Derivation {
    /// One of the two PBKDF2 hashers, with a copy of the salt.
    pub(super) fn new(digest: Digest, salt: &str, iterations: u32) -> Self {
        Self { digest, salt: Zeroizing::new(salt.to_owned()), iterations }
    }

    /// What `iterations` of it take.
    pub(super) fn cost(&self, iterations: u32) -> Cost {
        let nanoseconds = match self.digest {
            Digest::Sha256 if self.kernel().is_some() => LANE_NANOSECONDS,
            Digest::Sha256 => 120,
            Digest::Sha1 => 130,
        };
        let time = Duration::from_nanos(nanoseconds).saturating_mul(iterations);
        Cost { memory_bytes: 0, time }
    }

    /// The kernel for this hash, if the processor has one.
    pub(super) fn kernel(&self) -> Option<Kernel> {
        match self.digest {
            Digest::Sha256 => Kernel::detect(),
            Digest::Sha1 => None,
        }
    }

    /// The password as HMAC takes it, a long one hashed: once here, and not once more for each derivation.
    pub(super) fn key(&self, password: &Password) -> Zeroizing<Vec<u8>> {
        let password = password.as_bytes();
        Zeroizing::new(match self.digest {
            _ if password.len() <= BLOCK_LENGTH => password.to_vec(),
            Digest::Sha256 => Sha256::digest(password).to_vec(),
            Digest::Sha1 => Sha1::digest(password).to_vec(),
        })
    }

    /// The hash in base64 after `iterations`, in one go, for a [`Self::key`].
    pub(super) fn derive(&self, key: &[u8], iterations: u32) -> Zeroizing<String> {
        if let Some(kernel) = self.kernel() {
            let mut lane = self.lane(kernel, key, iterations);
            advance(&mut [&mut lane], u32::MAX);
            return lane.hash();
        }
        #[cfg(test)]
        super::tests::count_work(iterations);
        self.derive_without_kernel(key, iterations)
    }

    /// The same by the pbkdf2 crate. As long as the digest, because Django leaves `dklen` out.
    fn derive_without_kernel(&self, key: &[u8], iterations: u32) -> Zeroizing<String> {
        let salt = self.salt.as_bytes();
        match self.digest {
            Digest::Sha256 => {
                base64(&*Zeroizing::new(pbkdf2_hmac_array::<Sha256, 32>(key, salt, iterations)))
            }
            Digest::Sha1 => {
                base64(&*Zeroizing::new(pbkdf2_hmac_array::<Sha1, 20>(key, salt, iterations)))
            }
        }
    }

    /// The first of `iterations` done, the others for [`advance`].
    pub(super) fn lane(&self, kernel: Kernel, key: &[u8], iterations: u32) -> Lane {
        Lane::new(kernel, key, self.salt.as_bytes(), iterations)
    }

    /// `PBKDF2PasswordHasher.encode`.
    pub(super) fn run(&self, password: &Password) -> EncodedPassword {
        self.encode(&self.derive(&self.key(password), self.iterations))
    }

    /// The text of a hash in base64.
    pub(super) fn encode(&self, hash: &str) -> EncodedPassword {
        let (name, iterations) = (self.digest.algorithm(), self.iterations.to_string());
        // All of it at once: a string that grows leaves copies behind.
        EncodedPassword::from([name, &iterations, &self.salt, hash].join("$"))
    }
}

fn base64(key: &[u8]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(2 * key.len()));
    STANDARD.encode_string(key, &mut text);
    text
}
