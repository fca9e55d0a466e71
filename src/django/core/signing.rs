//! `django.core.signing`: texts that only the holder of a secret can have made.

use std::io::Read;

use base64::Engine;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use flate2::read::ZlibDecoder;
use subtle::ConstantTimeEq;

use crate::django::utils::crypto::salted_hmac;

/// What a text may take when it is unpacked. Django knows no bound.
const LONGEST: usize = 4 * 1024 * 1024;

const ENGINE: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// `TimestampSigner(salt=salt).unsign_object(signed)` before its serializer, whatever its age; `None` if none of
/// the keys has signed it, or if it is no such text.
#[must_use]
pub fn unsign_object<'a>(
    signed: &str,
    salt: &str,
    mut keys: impl Iterator<Item = &'a str>,
) -> Option<Vec<u8>> {
    let (value, signature) = signed.rsplit_once(':')?;
    let salt = format!("{salt}signer");
    let is_by = |key| {
        let expected = ENGINE.encode(salted_hmac(&salt, value, key));
        bool::from(expected.as_bytes().ct_eq(signature.as_bytes()))
    };
    keys.find(|key| is_by(key)).and_then(|_| object(value))
}

/// What a signed text holds before its time.
fn object(value: &str) -> Option<Vec<u8>> {
    let (encoded, _time) = value.rsplit_once(':')?;
    let Some(packed) = encoded.strip_prefix('.') else { return ENGINE.decode(encoded).ok() };
    let packed = ENGINE.decode(packed).ok()?;
    let mut data = Vec::new();
    let mut unpacked = ZlibDecoder::new(packed.as_slice()).take(LONGEST as u64 + 1);
    unpacked.read_to_end(&mut data).ok()?;
    (data.len() <= LONGEST).then_some(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed(value: &str) -> String {
        let sum = ENGINE.encode(salted_hmac("saltsigner", value, "key"));
        format!("{value}:{sum}")
    }

    fn unsigned(text: &str, keys: &[&str]) -> Option<Vec<u8>> {
        unsign_object(text, "salt", keys.iter().copied())
    }

    #[test]
    fn a_text_is_read_if_one_of_the_keys_has_signed_it() {
        let text = signed("e30:1abc");
        assert_eq!(unsigned(&text, &["other", "key"]).as_deref(), Some(&b"{}"[..]));
        assert_eq!(unsigned(&text, &["other"]), None);
        assert_eq!(unsign_object(&text, "pepper", ["key"].into_iter()), None);
        assert_eq!(unsigned(&text.replace("e30", "e31"), &["key"]), None);
        for text in ["", "e30", "e30:", "e30:1abc"] {
            assert_eq!(unsigned(text, &["key"]), None, "{text}");
        }
    }

    #[test]
    fn a_packed_text_has_a_bound() {
        for (length, is_read) in [(LONGEST, true), (LONGEST + 1, false)] {
            let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
            std::io::Write::write_all(&mut zlib, &vec![b' '; length]).unwrap();
            let packed = ENGINE.encode(zlib.finish().unwrap());
            let found = unsigned(&signed(&format!(".{packed}:1abc")), &["key"]);
            assert_eq!(found.map(|data| data.len()), is_read.then_some(length));
        }
        assert_eq!(unsigned(&signed(".e30:1abc"), &["key"]), None);
    }
}
