//! `django.utils.crypto`: random texts.

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
