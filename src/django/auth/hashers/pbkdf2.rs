//! `django.contrib.auth.hashers.PBKDF2PasswordHasher`: the text `algorithm$iterations$salt$hash`, written and read.

use super::{Algorithm, EncodedPassword, Password};
use base64::{Engine, engine::general_purpose::STANDARD};
use pbkdf2::pbkdf2_hmac_array;
use sha1::Sha1;
use sha2::Sha256;
use subtle::ConstantTimeEq;

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

/// `PBKDF2PasswordHasher.encode`.
pub(super) fn encode(
    algorithm: Algorithm,
    password: &Password,
    salt: &str,
    iterations: u32,
) -> EncodedPassword {
    let hash = derive(algorithm, password.as_bytes(), salt.as_bytes(), iterations);
    let name = algorithm.name();
    EncodedPassword::from(format!("{name}${iterations}${salt}${hash}"))
}

/// `PBKDF2PasswordHasher.verify`: the whole text is made again and compared, not only the hash in it.
pub(super) fn verify(
    algorithm: Algorithm,
    password: &Password,
    encoded: &str,
    decoded: Decoded<'_>,
) -> bool {
    let again = encode(algorithm, password, decoded.salt, decoded.iterations);
    again.as_str().as_bytes().ct_eq(encoded.as_bytes()).into()
}

/// The derived key in base64; as long as the digest, because Django leaves `dklen` out.
fn derive(algorithm: Algorithm, password: &[u8], salt: &[u8], iterations: u32) -> String {
    #[cfg(test)]
    super::tests::count_work(iterations);
    match algorithm {
        Algorithm::Pbkdf2Sha256 => {
            STANDARD.encode(pbkdf2_hmac_array::<Sha256, 32>(password, salt, iterations))
        }
        Algorithm::Pbkdf2Sha1 => {
            STANDARD.encode(pbkdf2_hmac_array::<Sha1, 20>(password, salt, iterations))
        }
    }
}
