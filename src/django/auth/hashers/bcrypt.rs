//! `django.contrib.auth.hashers.BCryptSHA256PasswordHasher` and `BCryptPasswordHasher`: `bcrypt_sha256$$2b$12$…`.

use std::hint::black_box;
use std::time::Duration;

use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};
use base64::{Engine, alphabet};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

use super::base::{Cost, PasswordHasher, Unhashable, hexdigest, strip_algorithm};
use super::passwords::{EncodedPassword, Password};
use crate::django::utils::crypto::RandomSource;

/// Its alphabet begins with `./`. Bits that are too many for a byte must be zero, as Python's `bcrypt` demands.
const BASE64: GeneralPurpose = GeneralPurpose::new(&alphabet::BCRYPT, NO_PAD);
/// What the algorithm reads of a password, with the NUL that ends it.
const KEY_LENGTH: usize = 72;
/// What is kept of the 24 bytes that the algorithm makes.
const HASH_LENGTH: usize = 23;
/// The salt in base64.
const SALT_CHARACTERS: usize = 22;
/// The salt and the hash in base64.
const DATA_CHARACTERS: usize = SALT_CHARACTERS + 31;
/// One of the `2 ** rounds` rounds, in nanoseconds.
const ROUND_TIME: u64 = 80_000;
/// The boxes and the subkeys of Blowfish.
const MEMORY: u64 = 4168;

/// `BCryptPasswordHasher` and the attributes that a subclass may set.
#[derive(Clone, Copy, Debug)]
pub(super) struct BCryptPasswordHasher {
    /// Whether the password goes through SHA-256 first, which lifts the limit of 72 bytes.
    pub(super) sha256: bool,
    pub(super) rounds: u32,
}

/// `decode`.
struct Decoded<'a> {
    /// `2a`, `2b`, `2x` or `2y`: names for what is one algorithm here and in Python's `bcrypt`.
    version: &'a str,
    work_factor: u32,
    salt: [u8; 16],
}

impl BCryptPasswordHasher {
    /// `BCryptSHA256PasswordHasher`.
    pub(super) const BCRYPT_SHA256: Self = Self { sha256: true, rounds: 12 };
    /// `BCryptPasswordHasher`.
    pub(super) const BCRYPT: Self = Self { sha256: false, rounds: 12 };

    fn algorithm(self) -> &'static str {
        if self.sha256 { "bcrypt_sha256" } else { "bcrypt" }
    }

    /// How often a hash of this work factor must be made to take as long as today's, without the first time. One more
    /// round doubles the work.
    fn missing_hashes(self, work_factor: u32) -> u64 {
        (1 << self.rounds.saturating_sub(work_factor).min(31)) - 1
    }

    /// `None` is what Python's `bcrypt` refuses, or would print in another way than it stands there.
    fn decode(self, encoded: &str) -> Option<Decoded<'_>> {
        let (decoded, hash) = decode_salt(strip_algorithm(encoded, self.algorithm())?)?;
        (hash.len() == DATA_CHARACTERS - SALT_CHARACTERS).then_some(decoded)
    }

    /// Makes the whole text again.
    fn hash(self, password: &Password, from: &Decoded<'_>) -> Result<EncodedPassword, Unhashable> {
        let (key, length) = self.key(password)?;
        let key = key.get(..length).ok_or(Unhashable::PasswordTooLong)?;
        #[cfg(test)]
        super::tests::count_cost(cost(from.work_factor));
        let hash = Zeroizing::new(bcrypt::bcrypt(from.work_factor, from.salt, key));
        let hash = hash.get(..HASH_LENGTH).ok_or(Unhashable::Corrupt)?;
        let (salt, hash) = (BASE64.encode(from.salt), Zeroizing::new(BASE64.encode(hash)));
        let (algorithm, version, rounds) = (self.algorithm(), from.version, from.work_factor);
        let text = format!("{algorithm}$${version}${rounds:02}${salt}{}", *hash);
        Ok(EncodedPassword::from(text))
    }

    /// What the algorithm reads: the password or the hexadecimal digits of its digest, and a NUL if there is room.
    fn key(self, password: &Password) -> Result<(Zeroizing<[u8; KEY_LENGTH]>, usize), Unhashable> {
        let mut key = Zeroizing::new([0; KEY_LENGTH]);
        let digits = self.sha256.then(|| sha256_hexdigest(password.as_bytes()));
        let text = digits.as_ref().map_or(password.as_bytes(), |digits| digits.as_bytes());
        key.get_mut(..text.len()).ok_or(Unhashable::PasswordTooLong)?.copy_from_slice(text);
        Ok((key, KEY_LENGTH.min(text.len() + 1)))
    }
}

impl PasswordHasher for BCryptPasswordHasher {
    /// `bcrypt.gensalt`: unlike other salts, it names the version and the rounds.
    fn salt(&self, random: RandomSource) -> Result<String, getrandom::Error> {
        let mut salt = [0; 16];
        random(&mut salt)?;
        Ok(format!("$2b${:02}${}", self.rounds, BASE64.encode(salt)))
    }

    fn encode(&self, password: &Password, salt: &str) -> Result<EncodedPassword, Unhashable> {
        let (decoded, _no_hash) = decode_salt(salt).ok_or(Unhashable::Corrupt)?;
        self.hash(password, &decoded)
    }

    fn verify(&self, password: &Password, encoded: &str) -> Result<bool, Unhashable> {
        let decoded = self.decode(encoded).ok_or(Unhashable::Corrupt)?;
        let again = self.hash(password, &decoded)?;
        Ok(again.as_str().as_bytes().ct_eq(encoded.as_bytes()).into())
    }

    /// More rounds than the default count as outdated, too.
    fn must_update(&self, encoded: &str) -> bool {
        self.decode(encoded).is_some_and(|decoded| decoded.work_factor != self.rounds)
    }

    fn harden_runtime(&self, password: &Password, encoded: &str) -> Duration {
        let Some(decoded) = self.decode(encoded) else { return Duration::ZERO };
        let missing = self.missing_hashes(decoded.work_factor);
        for _ in 0..missing {
            let _ = black_box(self.hash(password, &decoded));
        }
        let missing = u32::try_from(missing).unwrap_or(u32::MAX);
        cost(decoded.work_factor).time.saturating_mul(missing)
    }

    fn cost(&self, encoded: &str) -> Option<Cost> {
        self.decode(encoded).map(|decoded| cost(decoded.work_factor))
    }

    fn default_cost(&self) -> Cost {
        cost(self.rounds)
    }
}

/// `$2b$12$` and 22 characters of salt; what follows them is the hash.
fn decode_salt(data: &str) -> Option<(Decoded<'_>, &str)> {
    let mut fields = data.strip_prefix('$')?.split('$');
    let (version, rounds, data) = (fields.next()?, fields.next()?, fields.next()?);
    let digits = rounds.len() == 2 && rounds.bytes().all(|b| b.is_ascii_digit());
    if fields.next().is_some() || !digits || !matches!(version, "2a" | "2b" | "2x" | "2y") {
        return None;
    }
    let work_factor = rounds.parse().ok().filter(|rounds| (4..=31).contains(rounds))?;
    let (salt, hash) = data.split_at_checked(SALT_CHARACTERS)?;
    let salt = BASE64.decode(salt).ok()?.try_into().ok()?;
    Some((Decoded { version, work_factor, salt }, hash))
}

fn sha256_hexdigest(password: &[u8]) -> Zeroizing<String> {
    let mut digest: [u8; 32] = Sha256::digest(password).into();
    let digits = hexdigest(&digest);
    digest.zeroize();
    digits
}

fn cost(rounds: u32) -> Cost {
    let nanoseconds = ROUND_TIME.saturating_mul(1 << rounds.min(31));
    Cost { memory_bytes: MEMORY, time: Duration::from_nanos(nanoseconds) }
}

#[cfg(test)]
mod tests {
    use super::super::base::testing::{
        UNICODE, assert_no_panic, assert_round_trip, password, verify,
    };
    use super::*;

    const SHA256: BCryptPasswordHasher = BCryptPasswordHasher { sha256: true, rounds: 4 };
    const BCRYPT: BCryptPasswordHasher = BCryptPasswordHasher { sha256: false, rounds: 4 };
    const SALT: &str = "$2b$04$abcdefghijklmnopqrstuu";
    const SECRET: &str =
        "bcrypt_sha256$$2b$04$abcdefghijklmnopqrstuuraR8y8jUb0UMmCc9fwl/YxKZSpSs52u";
    const PLAIN: &str = "bcrypt$$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW";

    fn assert_made_by_django(hasher: BCryptPasswordHasher, text: &str, hash: &str) {
        let encoded = format!("{}${SALT}{hash}", hasher.algorithm());
        assert_eq!(verify(&hasher, text, &encoded), Some(true), "{text:?}");
        assert_eq!(verify(&hasher, "wrong", &encoded), Some(false), "{text:?}");
        let again = hasher.encode(&password(text), SALT).unwrap();
        assert_eq!(again.as_str(), encoded);
    }

    #[test]
    fn bcrypt_sha256_hashes_made_by_django_are_verified_and_made_again() {
        assert_made_by_django(SHA256, "secret", "raR8y8jUb0UMmCc9fwl/YxKZSpSs52u");
        assert_made_by_django(SHA256, "", "AGUtA0XVhWMYe2lvlA94phs07MYN67C");
        assert_made_by_django(SHA256, UNICODE, "o2mEyDA91D6iMbMIlEB6K7YVhR9i58G");
        assert_made_by_django(SHA256, &"a".repeat(1000), "kNWDcAdBRPPQFutVlM1B22o1Lo.FVZq");
    }

    #[test]
    fn bcrypt_hashes_made_by_django_are_verified_and_made_again() {
        assert_made_by_django(BCRYPT, "secret", "2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW");
        assert_made_by_django(BCRYPT, "", "byCG3zY1GIXMyxfivm.ClDiInHzxjiq");
        assert_made_by_django(BCRYPT, UNICODE, "I9bZCuY3iL1D8aa7mpGEju3kdgOOzj6");
        assert_made_by_django(BCRYPT, &"a".repeat(72), "BzzIgyKkz7xMWYSzkIjUSnxEQFQ0WNe");
    }

    #[test]
    fn a_plain_bcrypt_password_ends_at_72_bytes() {
        let long = password(&"a".repeat(73));
        assert_eq!(BCRYPT.verify(&long, PLAIN), Err(Unhashable::PasswordTooLong));
        assert_eq!(BCRYPT.encode(&long, SALT).unwrap_err(), Unhashable::PasswordTooLong);
        assert_eq!(SHA256.verify(&long, SECRET), Ok(false));
    }

    #[test]
    fn all_versions_are_read_and_kept() {
        for version in ["2a", "2b", "2x", "2y"] {
            assert_eq!(verify(&SHA256, "secret", &SECRET.replace("2b", version)), Some(true));
        }
        let five = "bcrypt_sha256$$2y$05$abcdefghijklmnopqrstuu6ySUy0zWYVXIQ.LN/DOPaf42SgydiW.";
        assert_eq!(verify(&SHA256, "secret", five), Some(true));
        assert!(SHA256.must_update(five));
    }

    #[test]
    fn a_new_hash_is_right_and_not_outdated() {
        assert_round_trip(&SHA256);
        assert_round_trip(&BCRYPT);
        let ones: RandomSource = |bytes| {
            bytes.fill(0xff);
            Ok(())
        };
        let salt = BCryptPasswordHasher::BCRYPT.salt(ones).unwrap();
        assert_eq!(salt, "$2b$12$999999999999999999999u");
    }

    #[test]
    fn what_the_bcrypt_package_refuses_or_prints_otherwise_is_corrupt() {
        for (good, bad) in [
            ("bcrypt_sha256", "bcrypt"),
            ("$$", "$"),
            ("2b", "2"),
            ("2b", "2z"),
            ("2b", "é"),
            ("$04", "$4"),
            ("$04", "$004"),
            ("$04", "$+4"),
            ("$04", "$03"),
            ("$04", "$32"),
            // The last character of a salt has four bits too many.
            ("uuraR8", "uvraR8"),
            ("abcdef", "abcde!"),
            ("abcdef", "abcdé"),
            ("52u", "52"),
            ("52u", "52uu"),
            ("52u", "52u$"),
        ] {
            let encoded = SECRET.replacen(good, bad, 1);
            assert_eq!(verify(&SHA256, "secret", &encoded), None, "{encoded}");
        }
    }

    #[test]
    fn fewer_rounds_are_hardened_and_more_are_not() {
        let hasher = BCryptPasswordHasher::BCRYPT;
        for (work_factor, hashes) in [(4, 255), (11, 1), (12, 0), (31, 0)] {
            assert_eq!(hasher.missing_hashes(work_factor), hashes, "{work_factor}");
        }
        SHA256.harden_runtime(&password("secret"), SECRET);
        SHA256.harden_runtime(&password("secret"), "bcrypt_sha256$");
    }

    #[test]
    fn the_cost_of_a_hostile_row_is_known_before() {
        let cost = SHA256.cost(&SECRET.replace("$04", "$31")).unwrap();
        assert!(cost.time > Duration::from_hours(1));
        assert!(BCryptPasswordHasher::BCRYPT.default_cost().time < Duration::from_secs(1));
    }

    #[test]
    fn damaged_texts_never_panic() {
        assert_no_panic(&SHA256, SECRET);
        assert_no_panic(&BCRYPT, PLAIN);
    }
}
