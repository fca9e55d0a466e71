//! `django.contrib.auth.password_validation`: the rules that a new password must meet.
//!
//! These are the validators that `startproject` sets, but for `CommonPasswordValidator`: its
//! list of 20 000 passwords is data of Django's own.

use super::validators::is_word;
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};

/// `MinimumLengthValidator.min_length`.
const MIN_LENGTH: usize = 8;

/// `UserAttributeSimilarityValidator.max_similarity`.
const MAX_SIMILARITY: f64 = 0.7;

/// What a password must not resemble: a field's verbose name, and the user's value of it.
pub type Attributes<'a> = [(&'static str, &'a str)];

/// Every complaint about a password, in the order of the validators; none if it is good.
#[must_use]
pub fn validate_password(password: &str, user: &Attributes<'_>) -> Vec<String> {
    let mut messages = Vec::new();
    if let Some(name) = similar_attribute(password, user) {
        messages.push(format!("The password is too similar to the {name}."));
    }
    if password.chars().count() < MIN_LENGTH {
        messages.push(format!(
            "This password is too short. It must contain at least {MIN_LENGTH} characters."
        ));
    }
    if is_numeric(password) {
        messages.push("This password is entirely numeric.".to_owned());
    }
    messages
}

/// `NumericPasswordValidator`.
fn is_numeric(password: &str) -> bool {
    let is_digit = |c: char| c.general_category() == GeneralCategory::DecimalNumber;
    !password.is_empty() && password.chars().all(is_digit)
}

/// `UserAttributeSimilarityValidator`: the first attribute that the password resembles, whole
/// or in one of its words.
fn similar_attribute(password: &str, user: &Attributes<'_>) -> Option<&'static str> {
    let password = password.to_lowercase();
    let resembles = |value: &str| {
        let value = value.to_lowercase();
        let mut parts = value.split(|c| !is_word(c)).chain([value.as_str()]);
        !value.is_empty() && parts.any(|part| is_similar(&password, part))
    };
    user.iter().find(|(_, value)| resembles(value)).map(|(name, _)| *name)
}

/// `difflib.SequenceMatcher.quick_ratio`, which counts the letters in common, against the limit.
#[expect(clippy::cast_precision_loss, reason = "lengths of typed text")]
fn is_similar(password: &str, part: &str) -> bool {
    let mut left: Vec<char> = part.chars().collect();
    let (long, short) = (password.chars().count(), left.len());
    // `exceeds_maximum_length_ratio`: with such lengths no ratio can reach the limit.
    if long >= 10 * short && (short as f64) < MAX_SIMILARITY / 2.0 * long as f64 {
        return false;
    }
    let is_common = |c: &char| {
        let found = left.iter().position(|other| other == c);
        found.map(|at| left.swap_remove(at)).is_some()
    };
    let common = password.chars().filter(is_common).count();
    2.0 * common as f64 / (long + short) as f64 >= MAX_SIMILARITY
}

#[cfg(test)]
mod tests {
    use super::validate_password;

    const USER: [(&str, &str); 2] =
        [("username", "walter"), ("email address", "w.smith-jones@example.com")];

    #[test]
    fn a_good_password_has_no_complaint() {
        assert!(validate_password("correct horse battery", &USER).is_empty());
        assert!(validate_password("          ", &USER).is_empty());
    }

    #[test]
    fn complaints_stand_in_djangos_order() {
        let all = validate_password("1234", &[("username", "4321")]);
        assert_eq!(
            all,
            [
                "The password is too similar to the username.",
                "This password is too short. It must contain at least 8 characters.",
                "This password is entirely numeric."
            ]
        );
    }

    #[test]
    fn a_word_of_the_email_address_is_too_similar() {
        let said = |password: &str| validate_password(password, &USER);
        assert_eq!(said("Walter12"), ["The password is too similar to the username."]);
        assert_eq!(said("smithjo2"), ["The password is too similar to the email address."]);
        assert_eq!(said("EXAMPLE11"), ["The password is too similar to the email address."]);
    }

    #[test]
    fn a_long_password_is_never_similar_to_a_short_word() {
        assert!(validate_password(&"a".repeat(40), &[("username", "a")]).is_empty());
    }

    #[test]
    fn digits_of_any_script_are_numeric() {
        assert_eq!(validate_password("١٢٣٤٥٦٧٨", &[]), ["This password is entirely numeric."]);
    }
}
