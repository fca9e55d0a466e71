//! Stored hashes in the tests were made by Django 6.1.3, but with 1000 iterations as its default.

use std::cell::Cell;

use super::{
    Algorithm, Check, EncodedPassword, Hashers, Password, Reason, default_iterations,
    get_random_string,
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

fn hashers() -> Hashers {
    Hashers::new(Algorithm::Pbkdf2Sha256, Algorithm::ALL.to_vec(), 1000, 1_000_000)
}

fn check(password: &str, encoded: &str) -> Check {
    let encoded = EncodedPassword::from(encoded.to_owned());
    hashers().check_password(&Password::from(password.to_owned()), Some(&encoded))
}

/// The refusal and the iterations that it took.
fn refusal(encoded: Option<&str>) -> (Check, u64) {
    let encoded = encoded.map(|text| EncodedPassword::from(text.to_owned()));
    WORK.set(0);
    let check = hashers().check_password(&Password::from("wrong".to_owned()), encoded.as_ref());
    (check, WORK.get())
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
    let hashers = Hashers::new(Algorithm::Pbkdf2Sha256, Vec::new(), 1000, 1000);
    let check = hashers.check_password(&Password::from("secret".to_owned()), Some(&encoded));
    assert_eq!(check, Check::Invalid(Reason::UnknownAlgorithm));
}

#[test]
fn a_new_hash_verifies_and_is_not_outdated() {
    for preferred in Algorithm::ALL {
        let hashers = Hashers::new(preferred, Vec::new(), 1000, 1000);
        let password = Password::from("secret".to_owned());
        let made = hashers.make_password(Some(&password), getrandom::fill).unwrap();
        assert!(made.as_str().starts_with(&format!("{}$1000$", preferred.name())));
        assert_eq!(hashers.check_password(&password, Some(&made)), RIGHT);
    }
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
    let path = "django.contrib.auth.hashers.PBKDF2SHA1PasswordHasher";
    assert_eq!(Algorithm::from_path(path), Some(Algorithm::Pbkdf2Sha1));
    assert_eq!(Algorithm::from_path("PBKDF2PasswordHasher"), None);
}
