//! `django.http.QueryDict`: the fields of a query string or of a form body.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use crate::django::utils::encoding::{Charset, Lookup, lookup};
use crate::django::utils::http::{charset_of, text_of_header};
use crate::django::utils::urllib::{unquote_url, unquote_url_in};
use crate::memory::{Memory, SMALL, TypedText};
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
        let mut memory = Memory::of(&[raw]);
        decode(&mut memory, charset, max_num_fields)?;
        let unquoted = |place| unquote_plus(memory.text(place), charset);
        let fields = fields(&memory).map(|(name, value)| (unquoted(name), unquoted(value)));
        Ok(Self(fields.collect()))
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

/// `request.POST`, of which only the values are kept that a view reads: of each name the last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Post(Vec<(&'static str, TypedText)>);

impl Post {
    /// The body of a form, and the names that are read. Raw bytes that are not in the charset are
    /// read as latin-1; escaped ones become U+FFFD. Empty fields count for the limit, then they are
    /// skipped.
    pub fn from_form(
        mut memory: Memory,
        charset: Charset,
        max_num_fields: Option<usize>,
        names: &[&'static str],
    ) -> Result<Self, TooManyFieldsSent> {
        decode(&mut memory, charset, max_num_fields)?;
        let mut last: Vec<(&'static str, Range<usize>)> = Vec::new();
        for (name, value) in fields(&memory) {
            let name = memory.text(name);
            if let Some(name) = names.iter().find(|known| is_called(name, known, charset)) {
                // In the order of their places.
                last.retain(|(known, _)| known != name);
                last.push((name, value));
            }
        }
        let (names, mut places): (Vec<_>, Vec<_>) = last.into_iter().unzip();
        memory.gather(&mut places);
        let mut to = memory.first();
        for place in &mut places {
            let room = memory.write(place.start).get_mut(place.clone()).unwrap_or_default();
            for plus in room.iter_mut().filter(|byte| **byte == b'+') {
                *plus = b' ';
            }
            let end = unquote_url_in(&mut memory, place, charset, to);
            *place = to..end;
            to = end;
        }
        Ok(Self::new(names.into_iter().zip(places), memory))
    }

    /// The texts that stand there.
    pub(super) fn new(
        places: impl Iterator<Item = (&'static str, Range<usize>)>,
        memory: Memory,
    ) -> Self {
        let memory = Arc::new(memory);
        Self(places.map(|(name, place)| (name, TypedText::of(&memory, place))).collect())
    }

    /// The last value of a name.
    #[must_use]
    pub fn get_last(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| *key == name).map(|(_, value)| &**value)
    }

    /// All of them.
    pub fn into_values(self) -> impl Iterator<Item = (&'static str, TypedText)> {
        self.0.into_iter()
    }
}

/// Longer names, once they are decoded, are those of no field.
fn is_called(name: &str, known: &str, charset: Charset) -> bool {
    name == known
        || (name.contains(['%', '+'])
            && name.len() <= SMALL
            && unquote_plus(name, charset) == known)
}

/// The text of a form. Its fields are counted before they are looked at.
fn decode(
    memory: &mut Memory,
    charset: Charset,
    max_num_fields: Option<usize>,
) -> Result<(), TooManyFieldsSent> {
    if !charset.decode(memory) {
        // Which any bytes are.
        let _ = Charset::Latin1.decode(memory);
    }
    let text = memory.text(memory.content());
    let separators = text.bytes().filter(|byte| *byte == b'&').count();
    if !text.is_empty() && max_num_fields.is_some_and(|most| most <= separators) {
        return Err(TooManyFieldsSent);
    }
    Ok(())
}

/// Where the names and the values stand that are not decoded yet.
fn fields(memory: &Memory) -> impl Iterator<Item = (Range<usize>, Range<usize>)> {
    let mut start = memory.content().start;
    let fields = memory.bytes().split(|byte| *byte == b'&').map(move |field| {
        let name = field.iter().position(|byte| *byte == b'=').unwrap_or(field.len());
        let end = start + field.len();
        let places = (start..start + name, end.min(start + name + 1)..end);
        start = end + 1;
        places
    });
    fields.filter(|(name, value)| !name.is_empty() || value.start > name.end)
}

fn unquote_plus(text: &str, charset: Charset) -> String {
    unquote_url(&text.replace('+', " "), charset)
}

/// Prints no content: forms hold passwords.
impl fmt::Debug for QueryDict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "QueryDict({} fields)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form_with(raw: &[u8], most: Option<usize>) -> Result<Post, TooManyFieldsSent> {
        Post::from_form(Memory::of(&[raw]), Charset::Utf8, most, &["a", "b", "c"])
    }

    fn form(raw: &[u8]) -> Post {
        form_with(raw, Some(1000)).unwrap()
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
        assert!(form_with(&[b'&'; 999], limit).is_ok());
        let outcome = form_with(&[b'&'; 1000], limit);
        assert_eq!(outcome, Err(TooManyFieldsSent));
        assert!(form_with(b"", Some(0)).is_ok());
        assert!(form_with(&[b'&'; 5000], None).is_ok());
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
