//! `django.contrib.auth.hashers`: what holds of every hash that is made, whatever the password, the salt and the cost.

use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::TestRunner;

use super::argon2::Argon2PasswordHasher;
use super::bcrypt::BCryptPasswordHasher;
use super::defaults::Hasher;
use super::pbkdf2::Derivation;
use super::scrypt::ScryptPasswordHasher;
use super::tests::UNBOUNDED;
use super::{Algorithm, Check, Defaults, EncodedPassword, Hashers, Password, Reason, SALT_LENGTH};

/// Of each algorithm.
const CASES: u32 = 16;

/// No NUL: HMAC and bcrypt fill a short key up with it, so that one at the end is none.
const PASSWORD: &str = "[^\0]{0,30}";

/// Costs that take no time.
fn costs() -> impl Strategy<Value = Defaults> {
    let argon2 = (1..3_u32, 1..4_u32, 8..12_u32);
    let scrypt = (select(vec![2, 4, 16_u32]), 1..4_u32, 1..4_u32);
    (1..40_u32, argon2, scrypt, 4..6_u32).prop_map(|(iterations, argon2, scrypt, rounds)| {
        let (time_cost, parallelism, blocks) = argon2;
        let (work_factor, block_size, scrypt_parallelism) = scrypt;
        Defaults {
            iterations,
            argon2: Argon2PasswordHasher {
                time_cost,
                memory_cost: blocks * parallelism,
                parallelism,
            },
            bcrypt_sha256: BCryptPasswordHasher { rounds, ..BCryptPasswordHasher::BCRYPT_SHA256 },
            bcrypt: BCryptPasswordHasher { rounds, ..BCryptPasswordHasher::BCRYPT },
            scrypt: ScryptPasswordHasher {
                work_factor,
                block_size,
                parallelism: scrypt_parallelism,
            },
        }
    })
}

/// A salt of that algorithm; bcrypt's says what it costs.
fn salt(algorithm: Algorithm, costs: &Defaults) -> BoxedStrategy<String> {
    match algorithm {
        Algorithm::UnsaltedMd5 | Algorithm::UnsaltedSha1 => Just(String::new()).boxed(),
        Algorithm::Bcrypt | Algorithm::BcryptSha256 => {
            let rounds = costs.bcrypt.rounds;
            let letters = "[./A-Za-z0-9]{21}[.Oeu]";
            letters.prop_map(move |letters| format!("$2b${rounds:02}${letters}")).boxed()
        }
        _ => "[A-Za-z0-9]{8,30}".boxed(),
    }
}

/// `PasswordHasher.encode`.
fn encode(algorithm: Algorithm, costs: &Defaults, password: &str, salt: &str) -> String {
    let password = Password::from(password.to_owned());
    let encoded = match costs.hasher(algorithm) {
        Hasher::Derived(digest) => Derivation::new(digest, salt, costs.iterations).run(&password),
        Hasher::Whole(hasher) => hasher.encode(&password, salt).unwrap(),
    };
    encoded.as_str().to_owned()
}

/// The text before the hash, and the hash.
fn split(algorithm: Algorithm, encoded: &str) -> (&str, &str) {
    let at = match algorithm {
        Algorithm::Bcrypt | Algorithm::BcryptSha256 => encoded.len() - 31,
        _ => encoded.rfind('$').map_or(0, |at| at + 1),
    };
    encoded.split_at(at)
}

/// `must_update` looks at the salt's length where Django's does.
fn is_outdated(algorithm: Algorithm, salt: &str) -> bool {
    use Algorithm::{Argon2, Md5, Pbkdf2Sha1, Pbkdf2Sha256, Sha1};
    matches!(algorithm, Pbkdf2Sha256 | Pbkdf2Sha1 | Argon2 | Md5 | Sha1) && salt.len() < SALT_LENGTH
}

#[test]
fn a_hash_is_of_its_password_its_salt_and_its_cost_and_of_no_others() {
    for algorithm in Algorithm::ALL {
        let given = (costs(), costs()).prop_flat_map(move |(costs, others)| {
            let salts = (salt(algorithm, &costs), salt(algorithm, &costs));
            (PASSWORD, PASSWORD, salts, Just(costs), Just(others))
        });
        let config =
            ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(CASES) };
        let holds = |(password, other, (salt, pepper), costs, others): (
            String,
            String,
            (String, String),
            Defaults,
            Defaults,
        )| {
            // Plain bcrypt reads no more.
            prop_assume!(algorithm != Algorithm::Bcrypt || password.len().max(other.len()) <= 72);
            prop_assume!(password != other);
            let check = |hashers: &Hashers, password: &str, encoded: &str| {
                let encoded = EncodedPassword::from(encoded.to_owned());
                let password = Password::from(password.to_owned());
                hashers.check_password(&password, Some(&encoded)).unwrap()
            };
            let with = |costs| Hashers::new(algorithm, Algorithm::ALL.to_vec(), costs, UNBOUNDED);
            let hashers = with(costs);
            let encoded = encode(algorithm, &costs, &password, &salt);
            prop_assert_eq!(Algorithm::identify(&encoded), Some(algorithm));
            let must_update = is_outdated(algorithm, &salt);
            prop_assert_eq!(check(&hashers, &password, &encoded), Check::Valid { must_update });

            let wrong = Check::Invalid(Reason::WrongPassword);
            prop_assert_eq!(check(&hashers, &other, &encoded), wrong);
            let peppered = encode(algorithm, &costs, &password, &pepper);
            if salt != pepper {
                let (text, (_, hash)) = (split(algorithm, &peppered).0, split(algorithm, &encoded));
                prop_assert_eq!(check(&hashers, &password, &format!("{text}{hash}")), wrong);
            }

            // It is right at any cost, and outdated unless that is today's.
            let same =
                encode(algorithm, &others, "", &salt) == encode(algorithm, &costs, "", &salt);
            let is_fresh = same && bcrypt_fits(algorithm, &costs, &others) && !must_update;
            let elsewhere = check(&with(others), &password, &encoded);
            prop_assert_eq!(elsewhere, Check::Valid { must_update: !is_fresh });
            Ok(())
        };
        TestRunner::new(config)
            .run(&given, holds)
            .unwrap_or_else(|wrong| panic!("{algorithm:?}: {wrong}"));
    }
}

/// The salt of bcrypt has its cost, so that its text does not tell.
fn bcrypt_fits(algorithm: Algorithm, costs: &Defaults, others: &Defaults) -> bool {
    !matches!(algorithm, Algorithm::Bcrypt | Algorithm::BcryptSha256)
        || costs.bcrypt.rounds == others.bcrypt.rounds
}
