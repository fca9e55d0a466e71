//! Stored hashes in the tests were made by Django 6.1.3, but with 1000 iterations as its default.

use std::cell::Cell;
use std::time::Duration;

use super::argon2::Argon2PasswordHasher;
use super::bcrypt::BCryptPasswordHasher;
use super::scrypt::ScryptPasswordHasher;
use super::{
    Algorithm, Bounds, Check, Cost, Defaults, EncodedPassword, Hashers, MakeError, Outcome,
    Password, Reason, Unhashable, Work, default_iterations, get_random_string,
};

const SHA256: &str =
    "pbkdf2_sha256$1000$abcdefghijklmnopqrstuv$1nE4fvOmiD+ZePp39y6TYTXfkn5HEwJDyz8e6UkQE1w=";
const SHA1: &str = "pbkdf2_sha1$1000$abcdefghijklmnopqrstuv$+5oTfD/enXsijOBknW6M6cP8zps=";
const RIGHT: Check = Check::Valid { must_update: false };
const OUTDATED: Check = Check::Valid { must_update: true };

thread_local! {
    static WORK: Cell<u64> = const { Cell::new(0) };
}

/// Adds up the iterations of this test, so that "takes as long" needs no clock.
pub(super) fn count_work(iterations: u32) {
    WORK.set(WORK.get() + u64::from(iterations));
}

/// Adds up what other hashers do, in nanoseconds of their costs.
pub(super) fn count_cost(cost: Cost) {
    WORK.set(WORK.get() + nanoseconds(cost));
}

fn nanoseconds(cost: Cost) -> u64 {
    u64::try_from(cost.time.as_nanos()).unwrap()
}

/// Hashers that are quick enough for tests.
pub(in crate::django::auth) fn cheap(iterations: u32) -> Defaults {
    Defaults {
        iterations,
        argon2: Argon2PasswordHasher { time_cost: 1, memory_cost: 64, parallelism: 2 },
        bcrypt_sha256: BCryptPasswordHasher { rounds: 5, ..BCryptPasswordHasher::BCRYPT_SHA256 },
        bcrypt: BCryptPasswordHasher { rounds: 5, ..BCryptPasswordHasher::BCRYPT },
        scrypt: ScryptPasswordHasher { work_factor: 16, block_size: 8, parallelism: 1 },
    }
}

/// Far more than any test waits for.
pub(in crate::django::auth) const UNBOUNDED: Bounds =
    Bounds { iterations: 100_000_000, cost: Cost { memory_bytes: u64::MAX, time: Duration::MAX } };

/// As a service is bounded.
const BOUNDED: Bounds = Bounds {
    iterations: 1_000_000,
    cost: Cost { memory_bytes: 1 << 28, time: Duration::from_secs(5) },
};

/// All hashers, the preferred one first.
fn preferring(preferred: Algorithm) -> Hashers {
    Hashers::new(preferred, Algorithm::ALL.to_vec(), cheap(1000), BOUNDED)
}

fn hashers() -> Hashers {
    preferring(Algorithm::Pbkdf2Sha256)
}

fn check(password: &str, encoded: &str) -> Check {
    let encoded = EncodedPassword::from(encoded.to_owned());
    hashers().check_password(&Password::from(password.to_owned()), Some(&encoded)).unwrap()
}

/// The iterations of this thread since the last call.
pub(in crate::django::auth) fn take_work() -> u64 {
    WORK.take()
}

/// The refusal and the iterations that it took.
fn refusal(encoded: Option<&str>) -> (Check, u64) {
    let encoded = encoded.map(|text| EncodedPassword::from(text.to_owned()));
    WORK.set(0);
    let check = hashers().check_password(&Password::from("wrong".to_owned()), encoded.as_ref());
    (check.unwrap(), WORK.get())
}

#[test]
fn hashes_made_by_django_are_verified() {
    let salt = "pbkdf2_sha256$1000$abcdefghijklmnopqrstuv$";
    let hash_of = |hash: &str| format!("{salt}{hash}");
    assert_eq!(check("secret", SHA256), RIGHT);
    let unicode = hash_of("3CJg09oa6gK1JjZYgeOaXbPFjsNFWKNCRaFJhVXMu1Q=");
    assert_eq!(check("pässwörd \u{1f511}", &unicode), RIGHT);
    let empty = hash_of("vqafFtFOwJN9wrhga0SNKKw1GODAJgholvjeoMoWcZs=");
    assert_eq!(check("", &empty), RIGHT);
    let long = hash_of("HHl/aarV4EdaBpXiAobjyL/aVstZ6L/8620zYKBTES8=");
    assert_eq!(check(&"a".repeat(100_000), &long), RIGHT);
}

#[test]
fn a_salt_is_any_text_and_counted_in_characters() {
    let accents = "é".repeat(22);
    let hash = "pZbPDBCiRI7CUREPzEijdi7ButqMAF1P0iufXy1f8lA=";
    assert_eq!(check("secret", &format!("pbkdf2_sha256$1000${accents}${hash}")), RIGHT);
    let odd = "pbkdf2_sha256$1000$ !\n$4h4EN+xDuGc3awdB63SYPSjkGBw0ZTDMoHXSe+Pg26c=";
    assert_eq!(check("secret", odd), OUTDATED);
}

#[test]
fn another_password_is_wrong() {
    for password in ["", "Secret", "secret ", "secre"] {
        assert_eq!(check(password, SHA256), Check::Invalid(Reason::WrongPassword));
    }
}

#[test]
fn the_hash_is_compared_letter_by_letter() {
    for encoded in [
        SHA256.trim_end_matches('=').to_owned(),
        format!("{SHA256}="),
        format!("{SHA256}$"),
        format!("{SHA256}\n"),
        SHA256.replace('+', "-"),
    ] {
        assert_eq!(check("secret", &encoded), Check::Invalid(Reason::WrongPassword));
    }
}

#[test]
fn fewer_or_more_iterations_another_hasher_or_a_short_salt_are_outdated() {
    for encoded in [
        "pbkdf2_sha256$900$abcdefghijklmnopqrstuv$EK7FTIxNzN9p9bkhS/C7hmVTi48aNp8FGbhRfZcLPTk=",
        "pbkdf2_sha256$1100$abcdefghijklmnopqrstuv$pfn3yRN/Q7w2pu71BAq7hQqNwSTYvq1m9DRYWYHbVHw=",
        "pbkdf2_sha256$1000$abcdefghijklmnopqrstu$WiKXq31RmxixQlp4CHb5NgEXHEm99Cevka8nhHHPkng=",
        SHA1,
    ] {
        assert_eq!(check("secret", encoded), OUTDATED, "{encoded}");
    }
}

#[test]
fn every_refusal_costs_one_default_hash() {
    let hash = "abcdefghijklmnopqrstuv$1nE4fvOmiD+ZePp39y6TYTXfkn5HEwJDyz8e6UkQE1w=";
    let outdated = format!("pbkdf2_sha256$900${hash}");
    for (encoded, reason) in [
        (None, Reason::NoSuchUser),
        (Some("!cannot log in"), Reason::Unusable),
        (Some(""), Reason::UnknownAlgorithm),
        (Some("$"), Reason::UnknownAlgorithm),
        (Some("PBKDF2_SHA256$1000$salt$hash"), Reason::UnknownAlgorithm),
        (Some("crypt$$abc"), Reason::UnknownAlgorithm),
        (Some("pbkdf2_sha256"), Reason::Corrupt),
        (Some("pbkdf2_sha1$1000"), Reason::Corrupt),
        (Some("pbkdf2_sha256$1000$$hash"), Reason::Corrupt),
        (Some(&outdated), Reason::WrongPassword),
        (Some(SHA256), Reason::WrongPassword),
    ] {
        assert_eq!(refusal(encoded), (Check::Invalid(reason), 1000), "{encoded:?}");
    }
}

#[test]
fn counts_that_python_prints_differently_or_refuses_are_corrupt() {
    for count in [
        "",
        "0",
        "-1",
        "+1000",
        " 1000",
        "01000",
        "1_000",
        "١٠٠٠",
        "1000.0",
        "2147483648",
        "99999999999999999999999999",
    ] {
        let encoded = SHA256.replace("1000", count);
        let expected = (Check::Invalid(Reason::Corrupt), 1000);
        assert_eq!(refusal(Some(&encoded)), expected, "{count}");
    }
}

#[test]
fn absurd_iterations_are_never_run() {
    let encoded = SHA256.replace("1000", "2147483647");
    assert_eq!(refusal(Some(&encoded)), (Check::Invalid(Reason::Corrupt), 1000));
}

#[test]
fn a_hash_of_another_hasher_is_not_hardened() {
    let (_, work) = refusal(Some(&SHA1.replace("1000", "10")));
    assert_eq!(work, 10);
}

#[test]
fn a_hasher_that_is_not_listed_is_unknown() {
    let encoded = EncodedPassword::from(SHA1.to_owned());
    let hashers = Hashers::new(Algorithm::Pbkdf2Sha256, Vec::new(), cheap(1000), BOUNDED);
    let check = hashers.check_password(&Password::from("secret".to_owned()), Some(&encoded));
    assert_eq!(check, Ok(Check::Invalid(Reason::UnknownAlgorithm)));
}

/// What Django wrote for "secret", but with the parameters of [`cheap`].
const STORED: [(Algorithm, &str); 10] = [
    (Algorithm::Pbkdf2Sha256, SHA256),
    (Algorithm::Pbkdf2Sha1, SHA1),
    (
        Algorithm::Argon2,
        "argon2$argon2id$v=19$m=64,t=1,p=2$YWJjZGVmZ2hpamtsbW5vcHFyc3R1dg$hhVumXLtCaXPY2o9C1n5sFq4PuhrhkqzMRH/MeBmNFk",
    ),
    (
        Algorithm::BcryptSha256,
        "bcrypt_sha256$$2y$05$abcdefghijklmnopqrstuu6ySUy0zWYVXIQ.LN/DOPaf42SgydiW.",
    ),
    (
        Algorithm::Scrypt,
        "scrypt$16$abcdefghijklmnopqrstuv$8$1$TiyaeXLh2tvKATp1sZPfxrKyIZRerx2Fa1eogszdwX6DlsS/TiqTAm3lb0SVtjCJC4nBlx2N6lP2kLL9APpExg==",
    ),
    (Algorithm::Bcrypt, BCRYPT_04),
    (Algorithm::Md5, "md5$abcdefghijklmnopqrstuv$59549c8e6897dd44401a081434b86c95"),
    (Algorithm::Sha1, "sha1$abcdefghijklmnopqrstuv$b8a69c6bf4351f03ffde3e244e0f215b9073de84"),
    (Algorithm::UnsaltedMd5, "5ebe2294ecd0e0f08eab7690d2a6ee69"),
    (Algorithm::UnsaltedSha1, "sha1$$e5e9fa1ba31ecd1ae84f75caaa474f3a663f05f4"),
];
/// One round below the default of [`cheap`].
const BCRYPT_04: &str = "bcrypt$$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW";

/// By the plan, as the pool does it; it must say and do the same.
fn check_with(hashers: &Hashers, password: &str, encoded: Option<&str>) -> (Check, u64) {
    let password = Password::from(password.to_owned());
    let encoded = encoded.map(|text| EncodedPassword::from(text.to_owned()));
    take_work();
    let check = hashers.check_password(&password, encoded.as_ref()).unwrap();
    let work = take_work();
    let plan = hashers.plan_check(encoded.as_ref());
    let Work::Blocking(run) = plan.work else { return (check, work) };
    let done = run(&password);
    assert!(matches!(done.outcome, Outcome::Checked(again) if again == check), "{encoded:?}");
    assert!(done.time <= plan.cost.time);
    assert_eq!(take_work(), work);
    (check, work)
}

#[test]
fn every_hasher_verifies_whichever_is_preferred() {
    for preferred in Algorithm::ALL {
        let hashers = preferring(preferred);
        for (algorithm, encoded) in STORED {
            let is_current = algorithm == preferred && encoded != BCRYPT_04;
            let right = Check::Valid { must_update: !is_current };
            assert_eq!(check_with(&hashers, "secret", Some(encoded)).0, right, "{encoded}");
            let wrong = Check::Invalid(Reason::WrongPassword);
            assert_eq!(check_with(&hashers, "Secret", Some(encoded)).0, wrong, "{encoded}");
        }
    }
}

#[test]
fn a_new_hash_of_every_hasher_verifies_and_is_not_outdated() {
    for preferred in Algorithm::ALL {
        let hashers = Hashers::new(preferred, Vec::new(), cheap(1000), BOUNDED);
        let password = Password::from("secret".to_owned());
        let made = hashers.make_password(Some(&password), getrandom::fill).unwrap();
        let names = [preferred.name(), "sha1$$"];
        let is_bare = preferred == Algorithm::UnsaltedMd5;
        assert!(is_bare || names.iter().any(|name| made.as_str().starts_with(name)));
        assert_eq!(hashers.check_password(&password, Some(&made)), Ok(RIGHT));
        if let Work::Blocking(run) = hashers.plan_make(getrandom::fill).unwrap().work {
            let Outcome::Made(made) = run(&password).outcome else { panic!("not made") };
            assert_eq!(hashers.check_password(&password, Some(&made)), Ok(RIGHT));
        }
    }
}

#[test]
fn every_refusal_costs_one_default_hash_of_the_preferred_hasher() {
    for preferred in &Algorithm::ALL[2..] {
        let hashers = preferring(*preferred);
        let default = nanoseconds(hashers.dummy().cost());
        for (encoded, reason) in [
            (None, Reason::NoSuchUser),
            (Some("!"), Reason::Unusable),
            (Some("crypt$$abc"), Reason::UnknownAlgorithm),
            (Some("argon2$argon2id$v=19$m=64"), Reason::Corrupt),
            (Some("pbkdf2_sha256$2147483647$salt$hash"), Reason::Corrupt),
        ] {
            for password in ["wrong", &"long".repeat(100)] {
                let expected = (Check::Invalid(reason), default);
                assert_eq!(check_with(&hashers, password, encoded), expected, "{encoded:?}");
            }
        }
    }
}

#[test]
fn a_wrong_password_under_fewer_rounds_is_hardened_where_the_hasher_is_preferred() {
    let wrong = Check::Invalid(Reason::WrongPassword);
    let bcrypt = preferring(Algorithm::Bcrypt);
    let default = nanoseconds(bcrypt.dummy().cost());
    assert_eq!(check_with(&bcrypt, "wrong", Some(BCRYPT_04)), (wrong, default));
    assert_eq!(check_with(&bcrypt, "secret", Some(BCRYPT_04)), (OUTDATED, default / 2));
    assert_eq!(check_with(&hashers(), "wrong", Some(BCRYPT_04)), (wrong, default / 2));
}

#[test]
fn what_plain_bcrypt_does_not_take_is_wrong_after_a_default_hash_and_makes_none() {
    let long = "long".repeat(100);
    let wrong = Check::Invalid(Reason::WrongPassword);
    assert_eq!(check_with(&hashers(), &long, Some(BCRYPT_04)), (wrong, 1000));
    let bcrypt = preferring(Algorithm::Bcrypt);
    let made = bcrypt.make_password(Some(&Password::from(long.clone())), getrandom::fill);
    assert_eq!(made.unwrap_err(), MakeError::Unhashable(Unhashable::PasswordTooLong));
    let Work::Blocking(run) = bcrypt.plan_make(getrandom::fill).unwrap().work else {
        panic!("bcrypt has no lane")
    };
    let done = run(&Password::from(long)).outcome;
    assert!(matches!(done, Outcome::Failed(Unhashable::PasswordTooLong)));
}

#[test]
fn what_costs_more_than_the_bounds_is_corrupt_and_never_run() {
    let junk = "x".repeat(10_000);
    for encoded in [
        "argon2$argon2id$v=19$m=4194304,t=1,p=1$YWJjZGVmZ2hpamtsbW5vcHFyc3R1dg$hhVumXLtCaXPY2o9C1n5sFq4PuhrhkqzMRH/MeBmNFk",
        "argon2$argon2id$v=19$m=64,t=4294967295,p=1$YWJjZGVmZ2hpamtsbW5vcHFyc3R1dg$hhVumXLtCaXPY2o9C1n5sFq4PuhrhkqzMRH/MeBmNFk",
        "bcrypt_sha256$$2b$31$abcdefghijklmnopqrstuuraR8y8jUb0UMmCc9fwl/YxKZSpSs52u",
        "bcrypt$$2b$31$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW",
        "scrypt$1073741824$salt$8$1$hash",
        "scrypt$32768$salt$1$200000$hash",
        "pbkdf2_sha1$2147483647$salt$hash",
        &format!("argon2${junk}"),
        &format!("scrypt${junk}"),
        &format!("bcrypt$${junk}"),
        &format!("md5${junk}"),
        &format!("sha1${junk}"),
        &format!("pbkdf2_sha256${junk}"),
    ] {
        assert_eq!(refusal(Some(encoded)), (Check::Invalid(Reason::Corrupt), 1000), "{encoded}");
    }
}

#[test]
fn the_bounds_hold_for_pbkdf2_too_and_never_for_a_new_hash() {
    let cost = Cost { memory_bytes: 0, time: Duration::from_nanos(1) };
    let bounds = Bounds { iterations: u32::MAX, cost };
    for (algorithm, encoded) in STORED {
        let hashers = Hashers::new(algorithm, Vec::new(), cheap(1000), bounds);
        assert!(matches!(check_with(&hashers, "secret", Some(encoded)).0, Check::Valid { .. }));
    }
    let hashers = Hashers::new(Algorithm::Pbkdf2Sha256, Vec::new(), cheap(1000), bounds);
    let more = SHA256.replace("1000", "1001");
    assert_eq!(check_with(&hashers, "x", Some(&more)).0, Check::Invalid(Reason::Corrupt));
}

#[test]
fn no_password_makes_an_unusable_one_of_41_characters() {
    let made = hashers().make_password(None, getrandom::fill).unwrap();
    assert_eq!(made.as_str().len(), 41);
    assert_eq!(refusal(Some(made.as_str())).0, Check::Invalid(Reason::Unusable));
}

#[test]
fn bytes_that_would_favour_a_letter_are_skipped() {
    let counting = |bytes: &mut [u8]| {
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::try_from(240 + at % 16).unwrap();
        }
        Ok(())
    };
    // 240 % 62 is 54; 248 to 255 are left out.
    assert_eq!(get_random_string(18, counting).unwrap(), "234567892345678923");
}

#[test]
fn a_failing_random_source_is_an_error() {
    let broken = |_: &mut [u8]| Err(getrandom::Error::UNEXPECTED);
    assert!(hashers().make_password(None, broken).is_err());
}

#[test]
fn nothing_secret_is_printed() {
    let password = Password::from("secret".to_owned());
    let encoded = EncodedPassword::from(SHA256.to_owned());
    assert_eq!(format!("{password:?} {encoded:?}"), "Password EncodedPassword");
}

#[test]
fn defaults_follow_the_django_release() {
    assert_eq!(default_iterations((4, 2)), Some(600_000));
    assert_eq!(default_iterations((6, 1)), Some(1_500_000));
    assert_eq!(default_iterations((3, 2)), None);
}

#[test]
fn hashers_are_found_by_their_dotted_path() {
    for algorithm in Algorithm::ALL {
        assert_eq!(Algorithm::from_path(&algorithm.path()), Some(algorithm));
    }
    let path = "django.contrib.auth.hashers.PBKDF2SHA1PasswordHasher";
    assert_eq!(Algorithm::from_path(path), Some(Algorithm::Pbkdf2Sha1));
    assert_eq!(Algorithm::from_path("PBKDF2PasswordHasher"), None);
    assert_eq!(Algorithm::from_path("django.contrib.auth.hashers.CryptPasswordHasher"), None);
}
