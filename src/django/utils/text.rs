//! Python's `strip` and `isspace`, where `django.utils` and DRF's fields use them.

/// `str.isspace` of one character. Unlike Unicode's `White_Space` it includes U+001C to U+001F.
#[must_use]
pub fn is_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{1c}'..='\u{1f}')
}

/// `text.strip()`
#[must_use]
pub fn strip(text: &str) -> &str {
    text.trim_matches(is_space)
}

/// `bytes.isspace` of one byte
#[must_use]
pub fn is_bytes_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_of_ascii_and_unicode_are_stripped() {
        assert_eq!(strip("\u{1c}\u{1f}\u{85}\u{a0}a b\u{2028}\u{3000}\n"), "a b");
    }

    #[test]
    fn zero_width_space_and_byte_order_mark_are_kept() {
        assert_eq!(strip("\u{200b}\u{feff}"), "\u{200b}\u{feff}");
    }
}
