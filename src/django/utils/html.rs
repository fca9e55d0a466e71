//! Python's `html.unescape`, as far as an upload's file name needs it.

/// What `&#128;` to `&#159;` stand for; where the character is the number's own, it is unprintable.
const WINDOWS_1252: &str = "€\u{81}‚ƒ„…†‡ˆ‰Š‹Œ\u{8d}Ž\u{8f}\u{90}‘’“”•–—˜™š›œ\u{9d}žŸ";

/// Replaces numeric references, and of the named ones those for a slash, a backslash and a dot:
/// only these decide whether a file name is left once its folders are cut off.
#[must_use]
pub fn unescape(text: &str) -> String {
    let mut pieces = text.split('&');
    let mut unescaped = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (reference, rest) = split_reference(piece);
        match named(reference).or_else(|| numeric(reference)) {
            Some(c) => unescaped.push(c),
            None => unescaped.extend(["&", reference]),
        }
        unescaped.push_str(rest);
    }
    unescaped
}

/// The semicolon belongs to the reference; a numeric one ends without it too.
fn split_reference(piece: &str) -> (&str, &str) {
    let end = if let Some(hex) = piece.strip_prefix("#x").or_else(|| piece.strip_prefix("#X")) {
        2 + hex.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(hex.len())
    } else if let Some(decimal) = piece.strip_prefix('#') {
        1 + decimal.find(|c: char| !c.is_ascii_digit()).unwrap_or(decimal.len())
    } else {
        piece.find(';').unwrap_or(0)
    };
    let semicolon = usize::from(piece.get(end..).is_some_and(|rest| rest.starts_with(';')));
    piece.split_at_checked(end + semicolon).unwrap_or((piece, ""))
}

fn named(reference: &str) -> Option<char> {
    match reference {
        "sol;" => Some('/'),
        "bsol;" => Some('\\'),
        "period;" => Some('.'),
        _ => None,
    }
}

fn numeric(reference: &str) -> Option<char> {
    let digits = reference.strip_prefix('#')?.trim_end_matches(';');
    let (digits, radix) = match digits.strip_prefix(['x', 'X']) {
        Some(hex) => (hex, 16),
        None => (digits, 10),
    };
    if digits.is_empty() {
        return None;
    }
    // Too big for a number is too big for a character.
    let code = u32::from_str_radix(digits, radix).unwrap_or(u32::MAX);
    match code {
        0 => Some(char::REPLACEMENT_CHARACTER),
        0x80..=0x9f => WINDOWS_1252.chars().nth(usize::try_from(code - 0x80).ok()?),
        _ => Some(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_with_and_without_a_semicolon() {
        assert_eq!(
            unescape("a&#47;b&#x2F;c&#128;&#xD800;&#99999999999;"),
            "a/b/c€\u{fffd}\u{fffd}"
        );
        assert_eq!(unescape("&#47&#0;"), "/\u{fffd}");
    }

    #[test]
    fn names_of_separators_are_read() {
        assert_eq!(unescape("&sol;&bsol;&period;"), "/\\.");
    }

    #[test]
    fn what_is_no_reference_stays() {
        for text in ["", "a&b", "&&;", "&#;", "&#x;", "&amp;", "&#", "&sol"] {
            assert_eq!(unescape(text), text);
        }
    }
}
