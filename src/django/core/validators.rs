//! `django.core.validators.EmailValidator`: what Django takes for an email address.

use std::net::{Ipv4Addr, Ipv6Addr};

/// What an address that is refused is told.
pub const INVALID_EMAIL: &str = "Enter a valid email address.";

/// Whether Django's `EmailField` takes `email`.
#[must_use]
pub fn is_email(email: &str) -> bool {
    if email.chars().count() > 320 {
        return false;
    }
    let Some((user, domain)) = email.rsplit_once('@') else {
        return false;
    };
    is_user_part(user)
        && (domain == "localhost" || is_domain_name(domain) || is_address_literal(domain))
}

fn is_user_part(user: &str) -> bool {
    let is_atom = |atom: &str| {
        !atom.is_empty()
            && atom.chars().all(|c| is_alphanumeric(c) || "-!#$%&'*+/=?^_`{}|~".contains(c))
    };
    user.split('.').all(is_atom) || is_quoted_string(user)
}

/// RFC 5321's quoted string; a space in it stands behind a backslash.
fn is_quoted_string(user: &str) -> bool {
    let inner = user.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let Some(inner) = inner else { return false };
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        let allowed = match c {
            '\\' => {
                chars.next().is_some_and(|c| is_quotable(c) || matches!(c, '\t' | ' ' | '"' | '\\'))
            }
            _ => is_quotable(c),
        };
        if !allowed {
            return false;
        }
    }
    true
}

fn is_quotable(c: char) -> bool {
    matches!(c, '\x01'..='\x08' | '\x0b' | '\x0e'..='\x1f' | '!' | '#'..='[' | ']'..='\x7f')
        || is_alphanumeric(c)
}

/// At least two labels of at most 63 characters, the last one without digits or in punycode.
fn is_domain_name(domain: &str) -> bool {
    let Some((name, tld)) = domain.rsplit_once('.') else {
        return false;
    };
    let is_label = |label: &str| {
        (1..=63).contains(&label.chars().count())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| is_alphanumeric(c) || is_international(c) || c == '-')
    };
    let is_word = tld.chars().all(|c| !c.is_ascii_digit()) && tld.chars().nth(1).is_some();
    name.split('.').all(is_label) && is_label(tld) && (is_word || is_punycode(tld))
}

fn is_punycode(label: &str) -> bool {
    let prefix = label.get(..4).is_some_and(|prefix| prefix.eq_ignore_ascii_case("xn--"));
    prefix && label.chars().skip(4).all(is_alphanumeric) && label.len() > 4
}

fn is_address_literal(domain: &str) -> bool {
    let inner = domain.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    inner.is_some_and(|address| {
        address.parse::<Ipv4Addr>().is_ok()
            // `django.utils.ipv6` reads no longer text than this.
            || address.len() <= 39 && address.parse::<Ipv6Addr>().is_ok()
    })
}

/// `[a-z0-9]` under Python's IGNORECASE, which also folds four letters outside of ASCII.
fn is_alphanumeric(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '\u{130}' | '\u{131}' | '\u{17f}' | '\u{212a}')
}

fn is_international(c: char) -> bool {
    matches!(c, '\u{a1}'..='\u{ffff}')
}

#[cfg(test)]
mod tests {
    use super::is_email;

    #[test]
    fn ordinary_addresses_are_taken() {
        for email in ["a@b.cc", "A.b+c@mail.Example.com", "x@localhost"] {
            assert!(is_email(email), "{email}");
        }
    }

    #[test]
    fn domains_follow_django() {
        for good in [
            "a@ü.cc",
            "a@b.ςς",
            "a@x.xn--p1ai",
            "a@1.2.com",
            "a@b-c.dd",
            "a@[127.0.0.1]",
            "a@[::1]",
        ] {
            assert!(is_email(good), "{good}");
        }
        for bad in [
            "a@b",
            "a@b.c",
            "a@b.c1",
            "a@-b.cc",
            "a@b-.cc",
            "a@b..cc",
            "a@b.cc.",
            "a@[1.2.3]",
            "a@b_c.dd",
        ] {
            assert!(!is_email(bad), "{bad}");
        }
    }

    #[test]
    fn user_parts_follow_django() {
        for good in [r#""a"@b.cc"#, r#""a\ b"@b.cc"#, r#""@"@b.cc"#, r#"""@b.cc"#, "!#$%@b.cc"] {
            assert!(is_email(good), "{good}");
        }
        for bad in [
            "@b.cc",
            "ü@b.cc",
            ".a@b.cc",
            "a..b@b.cc",
            "a b@b.cc",
            r#""a b"@b.cc"#,
            r#""a"b"@b.cc"#,
            r#""\"@b.cc"#,
        ] {
            assert!(!is_email(bad), "{bad}");
        }
    }

    #[test]
    fn an_endless_address_is_refused() {
        assert!(!is_email(&format!("{}@b.cc", "a".repeat(400))));
    }
}
