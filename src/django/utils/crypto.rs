//! `django.utils.crypto`: random texts, and sums that only the holder of a secret can make.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// `RANDOM_STRING_CHARS`, 62 of them.
const RANDOM_STRING_CHARS: &[u8] =
    b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

/// Fills a buffer with random bytes; the operating system's is `getrandom::fill`.
pub type RandomSource = fn(&mut [u8]) -> Result<(), getrandom::Error>;

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

/// `salted_hmac(key_salt, value, secret, algorithm="sha256").digest()`
#[must_use]
pub fn salted_hmac(key_salt: &str, value: &str, secret: &str) -> [u8; 32] {
    let digest = Sha256::new().chain_update(key_salt).chain_update(secret).finalize();
    // HMAC itself fills a short key up with zeros (RFC 2104).
    let mut key = Zeroizing::new([0; 64]);
    for (place, byte) in key.iter_mut().zip(digest) {
        *place = byte;
    }
    let mac = <Hmac<Sha256> as KeyInit>::new(&(*key).into());
    mac.chain_update(value).finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_salted_hmac_is_pythons() {
        // hmac.new(sha256(b"saltsecret").digest(), b"value", "sha256")
        let found = salted_hmac("salt", "value", "secret").map(|byte| format!("{byte:02x}"));
        assert_eq!(
            found.concat(),
            "debaddcd9ecbaab181289870baf8af49b0af0a7050d620d1a63f1e69bd87ceb8"
        );
    }
}
