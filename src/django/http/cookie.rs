//! `django.http.cookie`: the `Cookie` header.

use http::header::{COOKIE, HeaderMap, HeaderValue};

use crate::django::utils::text::strip;

/// `request.COOKIES.get(name)`. WSGI joins repeated headers with a comma.
#[must_use]
pub fn of_request(headers: &HeaderMap, name: &str) -> Option<String> {
    let lines: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    get(&String::from_utf8_lossy(&lines.join(&b',')), name)
}

/// `parse_cookie(header).get(name)`: the last cookie of that name, unquoted.
#[must_use]
pub fn get(header: &str, name: &str) -> Option<String> {
    let pairs = header.split(';').map(|chunk| chunk.split_once('=').unwrap_or(("", chunk)));
    let mut found = pairs.filter(|(key, _)| strip(key) == name).map(|(_, value)| strip(value));
    found.next_back().map(unquote)
}

/// `http.cookies._unquote`: a text in double quotes is read with its escapes.
fn unquote(value: &str) -> String {
    let quoted = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let Some(mut rest) = quoted else { return value.to_owned() };
    let mut text = String::with_capacity(rest.len());
    while let Some((plain, escaped)) = rest.split_once('\\') {
        text.push_str(plain);
        let octal = escaped.get(..3).filter(|digits| digits.starts_with(['0', '1', '2', '3']));
        if let Some(code) = octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            text.push(char::from(code));
            rest = escaped.get(3..).unwrap_or_default();
        } else {
            let mut signs = escaped.chars();
            // A backslash at the end stands for itself.
            text.push(signs.next().unwrap_or('\\'));
            rest = signs.as_str();
        }
    }
    text + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_cookie_of_a_name_counts_without_blanks_and_quotes() {
        let header = "a=1; django_language = de ;b;django_language=\"j\\141\\\"\"";
        assert_eq!(get(header, "django_language").as_deref(), Some("ja\""));
        assert_eq!(get(header, "").as_deref(), Some("b"));
        assert_eq!(get(header, "c"), None);
        assert_eq!(get("a=\"", "a").as_deref(), Some("\""));
    }
}
