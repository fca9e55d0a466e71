//! `django.contrib.auth.validators.UnicodeUsernameValidator`: the letters of a user name.

use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory};

/// What a name that is refused is told.
pub const INVALID_USERNAME: &str = "Enter a valid username. This value may contain only letters, numbers, and @/./+/-/_ characters.";

/// Whether every character may stand in a user name; an empty name may not.
#[must_use]
pub fn is_username(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| is_word(c) || ".@+-".contains(c))
}

/// `\w` of Python's `re`. A combining mark is not one, unlike in `char::is_alphanumeric`.
#[must_use]
pub fn is_word(c: char) -> bool {
    let group = c.general_category_group();
    c == '_' || matches!(group, GeneralCategoryGroup::Letter | GeneralCategoryGroup::Number)
}

#[cfg(test)]
mod tests {
    use super::is_username;

    #[test]
    fn letters_and_numbers_of_any_script_are_taken() {
        for good in ["bob", "a.b@c+d-e_f", "Ünal", "ユーザー", "١٢٣", "ﬁx①", "½"] {
            assert!(is_username(good), "{good}");
        }
    }

    #[test]
    fn spaces_marks_and_control_characters_are_refused() {
        for bad in ["", "a b", "a\n", "a\0", "हिन्दी", "u\u{308}", "a/b", "Ⓐ"] {
            assert!(!is_username(bad), "{bad:?}");
        }
    }
}
