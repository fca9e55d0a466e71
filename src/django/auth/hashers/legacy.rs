//! `django.contrib.auth.hashers.MD5PasswordHasher`, and three that Django 5.1 removed: `SHA1PasswordHasher`,
//! `UnsaltedMD5PasswordHasher`, `UnsaltedSHA1PasswordHasher`. None is safe; a site lists them for its old hashes.

use std::time::Duration;

use md5::Md5;
use sha1::{Digest, Sha1};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

use super::base::{Cost, PasswordHasher, SALT_LENGTH, Unhashable, hexdigest, strip_algorithm};
use super::passwords::{EncodedPassword, Password};
use crate::django::utils::crypto::{RandomSource, get_random_string};

/// The prefixes of hashes with an empty salt, from a time when Django wrote such.
const MD5_UNSALTED: &str = "md5$$";
const SHA1_UNSALTED: &str = "sha1$$";

/// A hasher that makes one plain digest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum LegacyPasswordHasher {
    /// `MD5PasswordHasher`: `md5$salt$hash`.
    Md5,
    /// `SHA1PasswordHasher`: `sha1$salt$hash`.
    Sha1,
    /// `UnsaltedMD5PasswordHasher`: the hash alone, or `md5$$hash`.
    UnsaltedMd5,
    /// `UnsaltedSHA1PasswordHasher`: `sha1$$hash`.
    UnsaltedSha1,
}

impl LegacyPasswordHasher {
    /// The part of `identify_hasher` that goes by the length, and comes before the part that goes by the name.
    pub(super) fn identify_unsalted(encoded: &str) -> Option<Self> {
        match encoded.chars().count() {
            32 if !encoded.contains('$') => Some(Self::UnsaltedMd5),
            37 if encoded.starts_with(MD5_UNSALTED) => Some(Self::UnsaltedMd5),
            46 if encoded.starts_with(SHA1_UNSALTED) => Some(Self::UnsaltedSha1),
            _ => None,
        }
    }

    /// The salt of a stored text, empty for the unsalted ones. `None` is a text that no password matches.
    fn decode(self, encoded: &str) -> Option<&str> {
        let name = match self {
            Self::Md5 => "md5",
            Self::Sha1 => "sha1",
            Self::UnsaltedMd5 | Self::UnsaltedSha1 => {
                return (Self::identify_unsalted(encoded) == Some(self)).then_some("");
            }
        };
        let (salt, _hash) = strip_algorithm(encoded, name)?.split_once('$')?;
        (!salt.is_empty()).then_some(salt)
    }

    fn hexdigest(self, password: &Password, salt: &str) -> Zeroizing<String> {
        match self {
            Self::Md5 | Self::UnsaltedMd5 => digest::<Md5>(password, salt),
            Self::Sha1 | Self::UnsaltedSha1 => digest::<Sha1>(password, salt),
        }
    }
}

impl PasswordHasher for LegacyPasswordHasher {
    fn salt(&self, random: RandomSource) -> Result<String, getrandom::Error> {
        match self {
            Self::Md5 | Self::Sha1 => get_random_string(SALT_LENGTH, random),
            Self::UnsaltedMd5 | Self::UnsaltedSha1 => Ok(String::new()),
        }
    }

    fn encode(&self, password: &Password, salt: &str) -> Result<EncodedPassword, Unhashable> {
        #[cfg(test)]
        super::tests::count_cost(self.default_cost());
        let hash = self.hexdigest(password, salt);
        let hash = hash.as_str();
        Ok(EncodedPassword::from(match self {
            Self::Md5 => format!("md5${salt}${hash}"),
            Self::Sha1 => format!("sha1${salt}${hash}"),
            Self::UnsaltedMd5 => hash.to_owned(),
            Self::UnsaltedSha1 => format!("{SHA1_UNSALTED}{hash}"),
        }))
    }

    fn verify(&self, password: &Password, encoded: &str) -> Result<bool, Unhashable> {
        let salt = self.decode(encoded).ok_or(Unhashable::Corrupt)?;
        let again = self.encode(password, salt)?;
        let stored = match self {
            Self::UnsaltedMd5 => encoded.strip_prefix(MD5_UNSALTED).unwrap_or(encoded),
            _ => encoded,
        };
        Ok(again.as_str().as_bytes().ct_eq(stored.as_bytes()).into())
    }

    /// The unsalted ones are never outdated; another hasher must come first in `PASSWORD_HASHERS`.
    fn must_update(&self, encoded: &str) -> bool {
        let short = |salt: &str| !salt.is_empty() && salt.chars().count() < SALT_LENGTH;
        self.decode(encoded).is_some_and(short)
    }

    fn cost(&self, encoded: &str) -> Option<Cost> {
        self.decode(encoded).map(|_salt| self.default_cost())
    }

    fn default_cost(&self) -> Cost {
        Cost { memory_bytes: 0, time: Duration::from_micros(1) }
    }
}

/// The digest of the salt and the password, in this order.
fn digest<D: Digest>(password: &Password, salt: &str) -> Zeroizing<String> {
    let mut digest = D::new().chain_update(salt).chain_update(password.as_bytes()).finalize();
    let digits = hexdigest(&digest);
    digest.as_mut_slice().zeroize();
    digits
}

#[cfg(test)]
mod tests {
    use super::super::base::testing::{
        SALT, UNICODE, assert_no_panic, assert_round_trip, password, verify,
    };
    use super::*;

    const MD5: &str = "md5$abcdefghijklmnopqrstuv$59549c8e6897dd44401a081434b86c95";
    const SHA1: &str = "sha1$abcdefghijklmnopqrstuv$b8a69c6bf4351f03ffde3e244e0f215b9073de84";
    const UNSALTED_MD5: &str = "5ebe2294ecd0e0f08eab7690d2a6ee69";
    const UNSALTED_SHA1: &str = "sha1$$e5e9fa1ba31ecd1ae84f75caaa474f3a663f05f4";
    const ALL: [(LegacyPasswordHasher, &str); 4] = [
        (LegacyPasswordHasher::Md5, MD5),
        (LegacyPasswordHasher::Sha1, SHA1),
        (LegacyPasswordHasher::UnsaltedMd5, UNSALTED_MD5),
        (LegacyPasswordHasher::UnsaltedSha1, UNSALTED_SHA1),
    ];

    #[test]
    fn hashes_made_by_django_are_verified_and_made_again() {
        let salted = |algorithm: &str, hash: &str| format!("{algorithm}${SALT}${hash}");
        let others = [
            (LegacyPasswordHasher::Md5, "", salted("md5", "44a66044834cbe55040089cabfc102d5")),
            (LegacyPasswordHasher::Md5, UNICODE, salted("md5", "28f1be32c48c774d5faebafa38ce5ce8")),
            (
                LegacyPasswordHasher::Sha1,
                UNICODE,
                salted("sha1", "54dd697a4b58c9ca5f0231b273e03e52b644a942"),
            ),
            (LegacyPasswordHasher::UnsaltedMd5, "", "d41d8cd98f00b204e9800998ecf8427e".to_owned()),
        ];
        let secret = ALL.map(|(hasher, encoded)| (hasher, "secret", encoded.to_owned()));
        for (hasher, text, encoded) in secret.into_iter().chain(others) {
            assert_eq!(verify(&hasher, text, &encoded), Some(true), "{encoded}");
            assert_eq!(verify(&hasher, "wrong", &encoded), Some(false), "{encoded}");
            assert!(!hasher.must_update(&encoded), "{encoded}");
            let salt = if hasher.salt(getrandom::fill).unwrap().is_empty() { "" } else { SALT };
            assert_eq!(hasher.encode(&password(text), salt).unwrap().as_str(), encoded);
        }
    }

    #[test]
    fn a_new_hash_is_right_and_not_outdated() {
        for (hasher, _) in ALL {
            assert_round_trip(&hasher);
        }
    }

    #[test]
    fn unsalted_md5_is_read_with_its_prefix_too() {
        let encoded = format!("md5$${UNSALTED_MD5}");
        let hasher = LegacyPasswordHasher::UnsaltedMd5;
        assert_eq!(verify(&hasher, "secret", &encoded), Some(true));
        assert_eq!(verify(&hasher, "secret", &UNSALTED_MD5.to_uppercase()), Some(false));
        // Python strips the prefix only from a text of 37 characters.
        assert_eq!(verify(&hasher, "secret", &format!("{encoded} ")), None);
        assert_eq!(verify(&LegacyPasswordHasher::Md5, "secret", &encoded), None);
    }

    #[test]
    fn unsalted_hashes_are_known_by_their_length_in_characters() {
        let identify = LegacyPasswordHasher::identify_unsalted;
        let md5 = Some(LegacyPasswordHasher::UnsaltedMd5);
        assert_eq!(identify(UNSALTED_MD5), md5);
        assert_eq!(identify(&"é".repeat(32)), md5);
        assert_eq!(identify(&format!("md5$${UNSALTED_MD5}")), md5);
        assert_eq!(identify(UNSALTED_SHA1), Some(LegacyPasswordHasher::UnsaltedSha1));
        for (_, encoded) in &ALL[..2] {
            assert_eq!(identify(encoded), None);
        }
        for text in ["", "md5$$", "sha1$$", &"$".repeat(32), &"a".repeat(31), &"a".repeat(37)] {
            assert_eq!(identify(text), None, "{text}");
        }
    }

    #[test]
    fn a_salt_below_22_characters_is_outdated() {
        let accents = |count: usize| format!("md5${}$hash", "é".repeat(count));
        assert!(LegacyPasswordHasher::Md5.must_update(&accents(21)));
        assert!(!LegacyPasswordHasher::Md5.must_update(&accents(22)));
    }

    #[test]
    fn damaged_texts_never_panic() {
        for (hasher, encoded) in ALL {
            assert_no_panic(&hasher, encoded);
        }
    }
}
