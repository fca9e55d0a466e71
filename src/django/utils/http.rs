//! `django.utils.http`: `parse_header_parameters` with the rules of Python's `email.message`.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::encoding::{Charset, Lookup, latin1, lookup};
use super::text::strip;
use super::urllib::unquote_url;
use crate::versions::Versions;

/// `MAX_HEADER_LENGTH`, in characters.
const MAX_HEADER_LENGTH: usize = 10_000;

/// Python's limit of digits in `int(text)`.
const MAX_INT_DIGITS: usize = 4300;

/// The header is one that Django cannot read: it raises there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidHeader;

/// The parameters of a header, in the order in which their names came first, as a dict of Python's.
/// They are found by name, for a client may send thousands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parameters {
    pairs: Vec<(String, String)>,
    places: BTreeMap<String, usize>,
}

impl Parameters {
    /// The value of `name`; of several the last.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.pairs.get(*self.places.get(name)?).map(|(_, value)| value.as_str())
    }

    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    fn insert(&mut self, name: String, value: String) {
        let place = *self.places.entry(name.clone()).or_insert(self.pairs.len());
        match self.pairs.get_mut(place) {
            Some(pair) => pair.1 = value,
            None => self.pairs.push((name, value)),
        }
    }
}

/// `parse_header_parameters`: the lower-cased value of a Content-Type like header, and its
/// parameters.
pub fn parse_header_parameters(
    line: &str,
    versions: Versions,
) -> Result<(String, Parameters), InvalidHeader> {
    if versions.header_parameters_are_bounded() && line.chars().count() > MAX_HEADER_LENGTH {
        return Err(InvalidHeader);
    }
    if !line.contains(';') {
        return Ok((strip(line).to_lowercase(), Parameters::default()));
    }
    if !versions.header_parameters_are_pythons() {
        return parse_by_django(line);
    }
    let mut pieces = split_parameters(line).into_iter().map(name_and_value);
    let key = pieces.next().unwrap_or_default().0.to_lowercase();
    Ok((key, decode_params(pieces)?))
}

/// `parse_header_parameters` up to Django 5.1: RFC 2231 in one piece only.
fn parse_by_django(line: &str) -> Result<(String, Parameters), InvalidHeader> {
    let mut pieces = split_parameters(line).into_iter().map(strip);
    let key = pieces.next().unwrap_or_default().to_lowercase();
    let mut parameters = Parameters::default();
    for piece in pieces {
        let Some((name, value)) = piece.split_once('=') else { continue };
        let (name, value) = (strip(name).to_lowercase(), strip(value));
        let mut value = match value.strip_prefix('"').and_then(|value| value.strip_suffix('"')) {
            Some(inner) => inner.replace("\\\\", "\\").replace("\\\"", "\""),
            None => value.to_owned(),
        };
        let plain = name.strip_suffix('*');
        if plain.is_some() && piece.matches('\'').count() == 2 {
            value = decoded_by_django(&value)?;
        }
        parameters.insert(plain.unwrap_or(&name).to_owned(), value);
    }
    Ok((key, parameters))
}

/// `charset'language'text`, with escapes in the text.
fn decoded_by_django(value: &str) -> Result<String, InvalidHeader> {
    let mut fields = value.splitn(3, '\'');
    let (Some(charset), Some(_), Some(text)) = (fields.next(), fields.next(), fields.next()) else {
        return Err(InvalidHeader);
    };
    if !text.contains('%') {
        return Ok(text.to_owned());
    }
    match lookup(charset) {
        Lookup::Text(charset) => Ok(unquote_url(text, charset)),
        _ => Err(InvalidHeader),
    }
}

/// The `charset` that a Content-Type names, as the client wrote it.
#[must_use]
pub fn charset_of(content_type: &str, versions: Versions) -> Option<String> {
    let (_, parameters) = parse_header_parameters(content_type, versions).ok()?;
    parameters.get("charset").map(ToOwned::to_owned)
}

/// `escape_leading_slashes`: two slashes at the beginning would name a host.
#[must_use]
pub fn escape_leading_slashes(url: String) -> String {
    match url.strip_prefix("//") {
        Some(rest) => format!("/%2F{rest}"),
        None => url,
    }
}

/// A raw header as WSGI hands it to Django: latin-1, so that each byte is one character.
#[must_use]
pub fn text_of_header(raw: &[u8]) -> String {
    latin1(raw).into_owned()
}

/// `email.message._parseparam`: pieces between semicolons that stand outside of quotes. A quote
/// counts unless a backslash stands before it, even outside of quotes.
fn split_parameters(line: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = line;
    loop {
        let (piece, tail) = rest.split_at_checked(end_of_piece(rest)).unwrap_or((rest, ""));
        pieces.push(piece);
        match tail.strip_prefix(';') {
            Some(next) => rest = next,
            None => return pieces,
        }
    }
}

fn end_of_piece(text: &str) -> usize {
    let (mut quoted, mut escaped) = (false, false);
    for (position, byte) in text.bytes().enumerate() {
        match byte {
            b';' if !quoted => return position,
            b'"' if !escaped => quoted = !quoted,
            _ => {}
        }
        escaped = byte == b'\\';
    }
    text.len()
}

/// A name without `=` keeps its case, as in Python.
fn name_and_value(piece: &str) -> (String, String) {
    match piece.split_once('=') {
        Some((name, value)) => (strip(name).to_lowercase(), strip(value).to_owned()),
        None => (strip(piece).to_owned(), String::new()),
    }
}

/// One piece of a parameter in RFC 2231 form: `name*`, `name*0` or `name*0*`.
struct Continuation {
    number: Option<String>,
    value: String,
    encoded: bool,
}

/// `email.utils.decode_params`: parameters in RFC 2231 form come after the plain ones, so they win.
fn decode_params(
    pieces: impl Iterator<Item = (String, String)>,
) -> Result<Parameters, InvalidHeader> {
    let mut parameters = Parameters::default();
    let mut extended: BTreeMap<String, Vec<Continuation>> = BTreeMap::new();
    for (name, value) in pieces {
        let value = unquote(&value);
        let Some((base, number)) = continuation(&name) else {
            if !name.is_empty() {
                parameters.insert(name, value);
            }
            continue;
        };
        let number = number.map(ToOwned::to_owned);
        let part = Continuation { number, value, encoded: name.ends_with('*') };
        extended.entry(base.to_owned()).or_default().push(part);
    }
    for (name, parts) in extended {
        parameters.insert(name, join_continuations(parts)?);
    }
    Ok(parameters)
}

/// `^(?P<name>\w+)\*((?P<num>[0-9]+)\*?)?$`; the number comes without leading zeros.
fn continuation(name: &str) -> Option<(&str, Option<&str>)> {
    let (base, rest) = name.split_once('*')?;
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if base.is_empty() || !base.chars().all(word) {
        return None;
    }
    if rest.is_empty() {
        return Some((base, None));
    }
    let digits = rest.strip_suffix('*').unwrap_or(rest);
    let numeric = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    numeric.then_some((base, Some(digits)))
}

fn join_continuations(mut parts: Vec<Continuation>) -> Result<String, InvalidHeader> {
    let numbers = parts.iter().filter_map(|part| part.number.as_ref());
    let (mut numbered, mut too_long) = (0, false);
    for number in numbers {
        numbered += 1;
        too_long |= number.len() > MAX_INT_DIGITS;
    }
    // Python cannot order a number and None, nor read so long a number.
    if too_long || (numbered != 0 && numbered != parts.len()) {
        return Err(InvalidHeader);
    }
    parts.sort_by(compare_continuations);
    let extended = parts.iter().any(|part| part.encoded);
    let text: String = parts.iter().map(decoded_piece).collect();
    if extended { collapse_rfc2231_value(&text) } else { Ok(text) }
}

fn compare_continuations(a: &Continuation, b: &Continuation) -> Ordering {
    let number = |part: &Continuation| {
        let digits = part.number.as_deref().unwrap_or_default();
        let digits = digits.trim_start_matches('0');
        (digits.len(), digits.to_owned())
    };
    let order = number(a).cmp(&number(b));
    order.then_with(|| (&a.value, a.encoded).cmp(&(&b.value, b.encoded)))
}

/// Percent-decodes an encoded piece; each octet becomes the character of its number.
fn decoded_piece(part: &Continuation) -> String {
    if part.encoded { unquote_url(&part.value, Charset::Latin1) } else { part.value.clone() }
}

/// `email.utils.collapse_rfc2231_value` on `charset'language'text`, after Django's check that
/// the charset is known.
fn collapse_rfc2231_value(value: &str) -> Result<String, InvalidHeader> {
    let mut fields = value.splitn(3, '\'');
    let (charset, text) = match (fields.next(), fields.next(), fields.next()) {
        (Some(charset), Some(_), Some(text)) => (charset, text),
        _ => ("ascii", value),
    };
    if charset.is_empty() {
        return Ok(unquote(text));
    }
    match lookup(charset) {
        Lookup::Text(charset) => Ok(charset.decode_replacing(&raw_unicode_escape(text))),
        Lookup::Binary(_) | Lookup::Unsupported => Ok(unquote(text)),
        Lookup::Unknown => Err(InvalidHeader),
    }
}

/// `text.encode("raw-unicode-escape")`
fn raw_unicode_escape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    for c in text.chars() {
        match (u8::try_from(c), u32::from(c)) {
            (Ok(byte), _) => bytes.push(byte),
            (_, code @ ..=0xffff) => bytes.extend(format!("\\u{code:04x}").bytes()),
            (_, code) => bytes.extend(format!("\\U{code:08x}").bytes()),
        }
    }
    bytes
}

/// `email.utils.unquote`
fn unquote(text: &str) -> String {
    let between = |open, close| text.strip_prefix(open)?.strip_suffix(close);
    if let Some(inner) = between('"', '"') {
        return inner.replace("\\\\", "\\").replace("\\\"", "\"");
    }
    between('<', '>').unwrap_or(text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameter(line: &str, name: &str) -> Option<String> {
        let (_, parameters) = parse_header_parameters(line, Versions::default()).unwrap();
        parameters.get(name).map(ToOwned::to_owned)
    }

    #[test]
    fn value_and_names_are_lower_cased_and_values_are_not() {
        let line = " Text/HTML ; Charset = UTF-8 ";
        let (key, parameters) = parse_header_parameters(line, Versions::default()).unwrap();
        assert_eq!(key, "text/html");
        assert_eq!(parameters.iter().collect::<Vec<_>>(), [("charset", "UTF-8")]);
    }

    #[test]
    fn a_semicolon_inside_quotes_belongs_to_the_value() {
        assert_eq!(parameter(r#"a; b="x;\"y"; c=d"#, "b").unwrap(), r#"x;"y"#);
        assert_eq!(parameter(r#"a; b="x;\"y"; c=d"#, "c").unwrap(), "d");
    }

    #[test]
    fn of_a_repeated_name_the_last_value_counts() {
        assert_eq!(parameter("a; b=1; b=2", "b").unwrap(), "2");
    }

    #[test]
    fn rfc_2231_values_are_decoded_and_win() {
        assert_eq!(parameter("a; f*=utf-8''%C3%A9; f=x", "f").unwrap(), "é");
        assert_eq!(parameter("a; f*1=b; f*0=a", "f").unwrap(), "ab");
        assert_eq!(parameter("a; f*=plain", "f").unwrap(), "plain");
        assert_eq!(parameter("a; f*=''%22x%22", "f").unwrap(), "x");
    }

    #[test]
    fn headers_that_django_cannot_read_are_invalid() {
        for line in ["a; charset*=bogus''utf-8", "a; b*=x; b*0=y"] {
            let parsed = parse_header_parameters(line, Versions::default());
            assert_eq!(parsed, Err(InvalidHeader), "{line}");
        }
        let long = "a".repeat(10_001);
        assert_eq!(parse_header_parameters(&long, Versions::default()), Err(InvalidHeader));
    }

    #[test]
    fn up_to_django_5_1_a_parameter_is_one_piece() {
        let django = crate::versions::Version(5, 1, 0);
        let versions = Versions { django, ..Versions::default() };
        let parsed = |line: &str| parse_header_parameters(line, versions);
        let parameter = |line, name| parsed(line).unwrap().1.get(name).map(ToOwned::to_owned);
        assert_eq!(parsed("A/b=c; x").unwrap().0, "a/b=c");
        assert_eq!(parameter("a; x; y", "x"), None);
        assert_eq!(parameter("a; f*=utf-8''%C3%A9", "f").as_deref(), Some("é"));
        assert_eq!(parameter("a; f*=utf-8''%C3%A9; f=x", "f").as_deref(), Some("x"));
        assert_eq!(parameter("a; f*=bogus''utf-8", "f").as_deref(), Some("utf-8"));
        assert_eq!(parameter("a; f*=plain'", "f").as_deref(), Some("plain'"));
        assert_eq!(parameter(r#"a; f="x;\"y""#, "f").as_deref(), Some(r#"x;"y"#));
        assert_eq!(parameter("a; f*0=x; f*1=y", "f"), None);
        for line in ["a; f*=bogus''%41", "a; f'*=b'c", "a; f*=''%41"] {
            assert_eq!(parsed(line), Err(InvalidHeader), "{line}");
        }
        assert_eq!(parsed(&"a".repeat(10_001)).unwrap().1, Parameters::default());
    }
}
