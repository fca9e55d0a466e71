//! `django.http.QueryDict`: the fields of a query string or of a form body.

use std::fmt;

use crate::django::utils::encoding::{Charset, Lookup, latin1, lookup};
use crate::django::utils::http::{charset_of, text_of_header, unquote_url};
use crate::versions::Versions;

/// `TooManyFieldsSent`: more fields than `DATA_UPLOAD_MAX_NUMBER_FIELDS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyFieldsSent;

/// Names and values in the order in which they were sent.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct QueryDict(Vec<(String, String)>);

impl QueryDict {
    /// `request.GET`: the raw bytes of the URL's query, read in the charset that the request's
    /// Content-Type names (UTF-8 where we have no such charset).
    pub fn from_query_string(
        raw: &[u8],
        content_type: &[u8],
        max_num_fields: Option<usize>,
        versions: Versions,
    ) -> Result<Self, TooManyFieldsSent> {
        let label = charset_of(&text_of_header(content_type), versions);
        let charset = match label.as_deref().map(lookup) {
            Some(Lookup::Text(charset)) => charset,
            _ => Charset::Utf8,
        };
        Self::from_form(raw, charset, max_num_fields)
    }

    /// The body of a form. Raw bytes that are not in the charset are read as latin-1; escaped ones
    /// become U+FFFD. Empty fields count for the limit, then they are skipped.
    pub fn from_form(
        raw: &[u8],
        charset: Charset,
        max_num_fields: Option<usize>,
    ) -> Result<Self, TooManyFieldsSent> {
        let text = charset.decode(raw).unwrap_or_else(|| latin1(raw));
        let separators = text.bytes().filter(|byte| *byte == b'&').count();
        if !text.is_empty() && max_num_fields.is_some_and(|most| most <= separators) {
            return Err(TooManyFieldsSent);
        }
        let fields = text.split('&').filter(|field| !field.is_empty());
        Ok(Self(fields.map(|field| name_and_value(field, charset)).collect()))
    }

    /// `QueryDict.appendlist`
    pub fn append(&mut self, name: String, value: String) {
        self.0.push((name, value));
    }

    /// `QueryDict.get`: of several values the last.
    #[must_use]
    pub fn get_last(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().rfind(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    /// All names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// Prints no content: forms hold passwords.
impl fmt::Debug for QueryDict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "QueryDict({} fields)", self.0.len())
    }
}

fn name_and_value(field: &str, charset: Charset) -> (String, String) {
    let (name, value) = field.split_once('=').unwrap_or((field, ""));
    let unquote_plus = |text: &str| unquote_url(&text.replace('+', " "), charset);
    (unquote_plus(name), unquote_plus(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(raw: &[u8]) -> QueryDict {
        QueryDict::from_form(raw, Charset::Utf8, Some(1000)).unwrap()
    }

    #[test]
    fn plus_is_a_space_and_a_bad_escape_stays() {
        let fields = form(b"a=1+2%2B&b=%zz&c=d;e=f");
        assert_eq!(fields.get_last("a"), Some("1 2+"));
        assert_eq!(fields.get_last("b"), Some("%zz"));
        assert_eq!(fields.get_last("c"), Some("d;e=f"));
    }

    #[test]
    fn a_name_without_a_value_is_blank_and_the_last_value_wins() {
        assert_eq!(form(b"a=1&a").get_last("a"), Some(""));
        assert_eq!(form(b"a&a=1").get_last("a"), Some("1"));
        assert_eq!(form(b"&&b=1").get_last("a"), None);
    }

    #[test]
    fn a_raw_body_that_is_not_utf8_is_latin1_and_an_escape_is_replaced() {
        assert_eq!(form(b"a=\xe9&b=%E9").get_last("a"), Some("é"));
        assert_eq!(form(b"a=\xe9&b=%E9").get_last("b"), Some("\u{fffd}"));
    }

    #[test]
    fn a_line_end_belongs_to_the_last_value() {
        assert_eq!(form(b"a=1\r\n").get_last("a"), Some("1\r\n"));
    }

    #[test]
    fn the_thousand_and_first_piece_is_too_much_even_if_empty() {
        let limit = Some(1000);
        assert!(QueryDict::from_form(&[b'&'; 999], Charset::Utf8, limit).is_ok());
        let outcome = QueryDict::from_form(&[b'&'; 1000], Charset::Utf8, limit);
        assert_eq!(outcome, Err(TooManyFieldsSent));
        assert!(QueryDict::from_form(b"", Charset::Utf8, Some(0)).is_ok());
        assert!(QueryDict::from_form(&[b'&'; 5000], Charset::Utf8, None).is_ok());
    }

    #[test]
    fn a_query_string_is_read_in_the_charset_of_the_request() {
        let latin = b"text/plain; charset=latin-1";
        let versions = Versions::default();
        let query =
            |content_type| QueryDict::from_query_string(b"a=%E9", content_type, None, versions);
        assert_eq!(query(latin).unwrap().get_last("a"), Some("é"));
        assert_eq!(query(b"".as_slice()).unwrap().get_last("a"), Some("\u{fffd}"));
    }
}
