//! `rest_framework.parsers.JSONParser`: Python's `json.loads`, with its error texts and positions.

use super::{Data, Object, ParseFailure, ParserContext, PyStr, Value};
use crate::django::utils::encoding::Charset;
use crate::versions::Versions;

/// Deeper arrays and objects are refused. Python's own bound depends on its version and on the
/// stack below (994 levels in 3.11, about 1450 under gunicorn in 3.12), and beyond it Django
/// answers 500.
const MAX_DEPTH: usize = 1000;

/// `sys.get_int_max_str_digits()`
const MAX_INT_DIGITS: usize = 4300;

/// `JSONParser.parse`
pub(super) fn parse(
    body: &[u8],
    charset: Charset,
    context: &ParserContext,
) -> Result<Data, ParseFailure> {
    let text = charset.read_stream(body, context.versions);
    let value = text.and_then(|text| loads(&text, context));
    let error = |text| ParseFailure::Parse(format!("JSON parse error - {text}"));
    value.map(Data::Json).map_err(error)
}

/// `json.loads(text, parse_constant=strict_constant)`; `Err` is the text of the `ValueError`. Of the
/// outermost object only the members are kept that a field of the view is named after.
pub fn loads(text: &str, context: &ParserContext) -> Result<Value, String> {
    let mut scanner = Scanner::new(text, context);
    if text.starts_with('\u{feff}') {
        return scanner.error("Unexpected UTF-8 BOM (decode using utf-8-sig)", 0);
    }
    scanner.skip_whitespace();
    let value = scanner.document()?;
    scanner.skip_whitespace();
    match scanner.peek() {
        None => Ok(value),
        Some(_) => scanner.error("Extra data", scanner.position),
    }
}

/// An array or object that is not closed yet.
#[derive(Clone, Copy)]
enum Open {
    Array,
    Object,
}

/// `json.scanner`, with a stack of its own in place of recursion.
struct Scanner<'a> {
    text: &'a str,
    /// In bytes; only an error counts characters.
    position: usize,
    open: Vec<Open>,
    /// The items of the outermost object, the key of its next item.
    items: Object,
    key: PyStr,
    context: &'a ParserContext,
}

impl<'a> Scanner<'a> {
    fn new(text: &'a str, context: &'a ParserContext) -> Self {
        Self {
            context,
            text,
            position: 0,
            open: Vec::new(),
            items: Object::default(),
            key: PyStr::default(),
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.position).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.position += usize::from(found);
        found
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.position..).unwrap_or_default()
    }

    fn skip_whitespace(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.position += 1;
        }
    }

    fn document(&mut self) -> Result<Value, String> {
        loop {
            let mut complete = self.begin_value()?;
            while let Some(value) = complete {
                match self.open.last() {
                    None => return Ok(value),
                    Some(Open::Array) => complete = self.after_item()?,
                    Some(Open::Object) => complete = self.after_member(value)?,
                }
            }
        }
    }

    /// Reads a scalar or an empty container, or opens a container and stands at its first value.
    fn begin_value(&mut self) -> Result<Option<Value>, String> {
        match self.peek() {
            Some(b'[') => {
                self.enter(Open::Array)?;
                Ok(self.take(b']').then(|| self.leave_array()))
            }
            Some(b'{') => {
                self.enter(Open::Object)?;
                if self.take(b'}') {
                    return Ok(Some(self.leave_object()));
                }
                self.member_name()?;
                Ok(None)
            }
            _ => self.scalar().map(Some),
        }
    }

    fn enter(&mut self, container: Open) -> Result<(), String> {
        if self.open.len() == MAX_DEPTH {
            return self.error("Too many nested arrays and objects", self.position);
        }
        self.open.push(container);
        self.position += 1;
        self.skip_whitespace();
        Ok(())
    }

    fn leave_array(&mut self) -> Value {
        self.open.pop();
        Value::List
    }

    fn leave_object(&mut self) -> Value {
        self.open.pop();
        let outermost = self.open.is_empty();
        Value::Object(if outermost { std::mem::take(&mut self.items) } else { Object::default() })
    }

    /// `None`: another item follows.
    fn after_item(&mut self) -> Result<Option<Value>, String> {
        self.skip_whitespace();
        if self.take(b']') {
            return Ok(Some(self.leave_array()));
        }
        self.comma(b']', "array")?;
        Ok(None)
    }

    fn after_member(&mut self, value: Value) -> Result<Option<Value>, String> {
        if self.open.len() == 1 {
            let key = std::mem::take(&mut self.key);
            if self.context.fields.contains(&key.text.as_str()) {
                self.items.insert(key, value);
            }
        }
        self.skip_whitespace();
        if self.take(b'}') {
            return Ok(Some(self.leave_object()));
        }
        self.comma(b'}', "object")?;
        self.member_name()?;
        Ok(None)
    }

    fn comma(&mut self, end: u8, container: &str) -> Result<(), String> {
        let comma = self.position;
        if !self.take(b',') {
            return self.error("Expecting ',' delimiter", comma);
        }
        self.skip_whitespace();
        if self.context.versions.json_names_trailing_commas() && self.peek() == Some(end) {
            return self.error(&format!("Illegal trailing comma before end of {container}"), comma);
        }
        Ok(())
    }

    /// A key and its colon. Only keys of the outermost object are kept.
    fn member_name(&mut self) -> Result<(), String> {
        if self.peek() != Some(b'"') {
            let message = "Expecting property name enclosed in double quotes";
            return self.error(message, self.position);
        }
        let name = self.string()?;
        if self.open.len() == 1 {
            self.key = name;
        }
        self.skip_whitespace();
        if !self.take(b':') {
            return self.error("Expecting ':' delimiter", self.position);
        }
        self.skip_whitespace();
        Ok(())
    }

    fn scalar(&mut self) -> Result<Value, String> {
        if self.peek() == Some(b'"') {
            return self.string().map(Value::Str);
        }
        let literals =
            [("null", Value::Null), ("true", Value::Bool(true)), ("false", Value::Bool(false))];
        for (literal, value) in literals {
            if self.rest().starts_with(literal) {
                self.position += literal.len();
                return Ok(value);
            }
        }
        for constant in ["NaN", "Infinity", "-Infinity"] {
            if self.rest().starts_with(constant) {
                return Err(format!(
                    "Out of range float values are not JSON compliant: '{constant}'"
                ));
            }
        }
        self.number()
    }

    fn number(&mut self) -> Result<Value, String> {
        let bytes = self.rest().as_bytes();
        let Some(integer) = integer_length(bytes) else {
            return self.error("Expecting value", self.position);
        };
        let tail = bytes.get(integer..).unwrap_or_default();
        let fraction = fraction_length(tail);
        let exponent = exponent_length(tail.get(fraction..).unwrap_or_default());
        let length = integer + fraction + exponent;
        let number = self.rest().get(..length).unwrap_or_default();
        self.position += length;
        if length > integer {
            return Ok(Value::Float(number.parse().unwrap_or(f64::INFINITY)));
        }
        int(number, self.context.versions)
    }

    /// `scanstring`: begins at the opening quote.
    fn string(&mut self) -> Result<PyStr, String> {
        let begin = self.position;
        let mut string = PyStr::default();
        self.position += 1;
        loop {
            let plain = self.rest();
            let special = |byte| matches!(byte, b'"' | b'\\' | 0..=0x1f);
            let Some(length) = plain.bytes().position(special) else {
                return self.error("Unterminated string starting at", begin);
            };
            string.text.push_str(plain.get(..length).unwrap_or_default());
            self.position += length;
            match self.peek() {
                Some(b'"') => {
                    self.position += 1;
                    return Ok(string);
                }
                Some(b'\\') => self.escape(begin, &mut string)?,
                _ => return self.error("Invalid control character at", self.position),
            }
        }
    }

    fn escape(&mut self, begin: usize, string: &mut PyStr) -> Result<(), String> {
        let backslash = self.position;
        self.position += 1;
        let c = match self.peek() {
            None => return self.error("Unterminated string starting at", begin),
            Some(b'u') => return self.unicode_escape(string),
            Some(c @ (b'"' | b'\\' | b'/')) => char::from(c),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(_) => return self.error("Invalid \\escape", backslash),
        };
        self.position += 1;
        string.text.push(c);
        Ok(())
    }

    /// A high surrogate takes the low one that follows; without it, it stays alone.
    fn unicode_escape(&mut self, string: &mut PyStr) -> Result<(), String> {
        let unit = self.code_unit()?;
        let after = self.position;
        let mut next = None;
        if (0xd800..0xdc00).contains(&unit) && self.rest().starts_with("\\u") {
            self.position += 1;
            next = Some(self.code_unit()?);
        }
        let mut decoded = char::decode_utf16([unit].into_iter().chain(next));
        if let Some(Ok(c)) = decoded.next() {
            string.text.push(c);
        } else {
            self.position = after;
            string.text.push(char::REPLACEMENT_CHARACTER);
            string.surrogate = string.surrogate.or(Some(unit));
        }
        Ok(())
    }

    /// Four digits, from the `u` on. Python also wants something behind them: at the end of the
    /// text the escape is invalid before the string is unterminated.
    fn code_unit(&mut self) -> Result<u16, String> {
        let (begin, end) = (self.position + 1, self.position + 5);
        let digits = self.text.get(begin..end).unwrap_or_default();
        let valid = digits.bytes().all(|byte| byte.is_ascii_hexdigit()) && end < self.text.len();
        match u16::from_str_radix(digits, 16) {
            Ok(unit) if valid => {
                self.position = end;
                Ok(unit)
            }
            _ => self.error("Invalid \\uXXXX escape", self.position),
        }
    }

    /// `JSONDecodeError`: lines end at `\n` only, columns and characters are code points.
    fn error<T>(&self, message: &str, position: usize) -> Result<T, String> {
        let before = self.text.get(..position).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        let character = before.chars().count();
        Err(format!("{message}: line {line} column {column} (char {character})"))
    }
}

/// `-?(0|[1-9][0-9]*)`
fn integer_length(bytes: &[u8]) -> Option<usize> {
    let sign = usize::from(bytes.first() == Some(&b'-'));
    let digits = bytes.get(sign..).unwrap_or_default();
    match digits.first()? {
        b'0' => Some(sign + 1),
        b'1'..=b'9' => Some(sign + digits_length(digits)),
        _ => None,
    }
}

/// `\.[0-9]+`, or 0
fn fraction_length(bytes: &[u8]) -> usize {
    match bytes.strip_prefix(b".").map_or(0, digits_length) {
        0 => 0,
        digits => 1 + digits,
    }
}

/// `[eE][-+]?[0-9]+`, or 0
fn exponent_length(bytes: &[u8]) -> usize {
    let Some((b'e' | b'E', rest)) = bytes.split_first() else {
        return 0;
    };
    let sign = usize::from(matches!(rest.first(), Some(b'-' | b'+')));
    match digits_length(rest.get(sign..).unwrap_or_default()) {
        0 => 0,
        digits => 1 + sign + digits,
    }
}

fn digits_length(bytes: &[u8]) -> usize {
    let end = bytes.iter().position(|byte| !byte.is_ascii_digit());
    end.unwrap_or(bytes.len())
}

/// `int(number)`
fn int(number: &str, versions: Versions) -> Result<Value, String> {
    let digits = number.trim_start_matches('-').len();
    if digits > MAX_INT_DIGITS {
        let unit = if versions.int_limit_is_of_digits() { " digits" } else { "" };
        return Err(format!(
            "Exceeds the limit ({MAX_INT_DIGITS}{unit}) for integer string conversion: value has \
             {digits} digits; use sys.set_int_max_str_digits() to increase the limit"
        ));
    }
    Ok(Value::Int(if number == "-0" { "0".to_owned() } else { number.to_owned() }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::versions::Version;

    fn loads_under(text: &str, python: &str) -> Result<Value, String> {
        let python = Version::parse(python).unwrap();
        let versions = Versions { python, ..Versions::default() };
        let context = ParserContext { versions, fields: vec!["a"], ..ParserContext::default() };
        super::loads(text, &context)
    }

    fn loads(text: &str) -> Result<Value, String> {
        loads_under(text, "3.12")
    }

    #[test]
    fn releases_of_python_word_their_errors_differently() {
        let error = |text: &str, python| loads_under(text, python).unwrap_err();
        assert_eq!(
            error("{\"a\":1 , }", "3.13"),
            "Illegal trailing comma before end of object: line 1 column 8 (char 7)"
        );
        assert_eq!(
            error("[1,\n]", "3.14"),
            "Illegal trailing comma before end of array: line 1 column 3 (char 2)"
        );
        assert_eq!(error("[1,,]", "3.13"), "Expecting value: line 1 column 4 (char 3)");
        assert!(error(&"9".repeat(4301), "3.10").starts_with("Exceeds the limit (4300) for"));
    }

    #[test]
    fn only_what_a_field_is_named_after_is_kept() {
        let Ok(Value::Object(object)) = loads("{\"a\":1,\"b\":2}") else { panic!("no object") };
        assert_eq!((object.get("a"), object.get("b")), (Some(&Value::Int("1".to_owned())), None));
    }

    fn error_of(text: &str) -> String {
        loads(text).unwrap_err()
    }

    fn member(text: &str, name: &str) -> Value {
        match loads(text).unwrap() {
            Value::Object(object) => object.get(name).unwrap().clone(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn errors_have_the_text_and_position_of_python() {
        let cases = [
            ("", "Expecting value: line 1 column 1 (char 0)"),
            (" ", "Expecting value: line 1 column 2 (char 1)"),
            ("{\"a\":1", "Expecting ',' delimiter: line 1 column 7 (char 6)"),
            ("{\"a\"", "Expecting ':' delimiter: line 1 column 5 (char 4)"),
            ("{", "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
            ("{ ", "Expecting property name enclosed in double quotes: line 1 column 3 (char 2)"),
            ("[1,]", "Expecting value: line 1 column 4 (char 3)"),
            ("[", "Expecting value: line 1 column 2 (char 1)"),
            (
                "{\"a\":1,}",
                "Expecting property name enclosed in double quotes: line 1 column 8 (char 7)",
            ),
            ("01", "Extra data: line 1 column 2 (char 1)"),
            ("1.", "Extra data: line 1 column 2 (char 1)"),
            ("1e", "Extra data: line 1 column 2 (char 1)"),
            ("-", "Expecting value: line 1 column 1 (char 0)"),
            ("+1", "Expecting value: line 1 column 1 (char 0)"),
            ("tru", "Expecting value: line 1 column 1 (char 0)"),
            (
                "\u{feff}{}",
                "Unexpected UTF-8 BOM (decode using utf-8-sig): line 1 column 1 (char 0)",
            ),
            ("[é,\n\rx]", "Expecting value: line 1 column 2 (char 1)"),
            ("[\"é\",\n\rx]", "Expecting value: line 2 column 2 (char 7)"),
        ];
        for (text, error) in cases {
            assert_eq!(error_of(text), error, "{text}");
        }
    }

    #[test]
    fn strings_fail_where_python_says() {
        let cases = [
            ("[\"ab", "Unterminated string starting at: line 1 column 2 (char 1)"),
            ("\"\\", "Unterminated string starting at: line 1 column 1 (char 0)"),
            ("\"a\tb\"", "Invalid control character at: line 1 column 3 (char 2)"),
            ("\"a\\x\"", "Invalid \\escape: line 1 column 3 (char 2)"),
            ("\"\\u12\"", "Invalid \\uXXXX escape: line 1 column 3 (char 2)"),
            ("\"\\u1234", "Invalid \\uXXXX escape: line 1 column 3 (char 2)"),
            ("\"\\u+123\"", "Invalid \\uXXXX escape: line 1 column 3 (char 2)"),
            ("\"\\ud83d\\u12\"", "Invalid \\uXXXX escape: line 1 column 9 (char 8)"),
        ];
        for (text, error) in cases {
            assert_eq!(error_of(text), error, "{text}");
        }
    }

    #[test]
    fn constants_that_json_lacks_are_refused_where_they_stand() {
        for constant in ["NaN", "Infinity", "-Infinity"] {
            let error = format!("Out of range float values are not JSON compliant: '{constant}'");
            assert_eq!(error_of(&format!("[{constant}, x")), error);
        }
        assert_eq!(error_of("nan"), "Expecting value: line 1 column 1 (char 0)");
    }

    #[test]
    fn integers_are_exact_up_to_4300_digits() {
        let longest = format!("-{}", "9".repeat(4300));
        assert_eq!(loads(&longest), Ok(Value::Int(longest)));
        assert_eq!(loads("-0"), Ok(Value::Int("0".to_owned())));
        assert_eq!(
            error_of(&"9".repeat(4301)),
            "Exceeds the limit (4300 digits) for integer string conversion: value has 4301 digits; \
             use sys.set_int_max_str_digits() to increase the limit"
        );
    }

    #[test]
    fn floats_may_overflow() {
        assert_eq!(loads("1e400"), Ok(Value::Float(f64::INFINITY)));
        assert_eq!(loads("-1.5E-1"), Ok(Value::Float(-0.15)));
    }

    #[test]
    fn of_a_key_that_comes_twice_the_last_value_counts() {
        assert_eq!(member("{\"a\":1,\"a\":[{\"a\":3}]}", "a"), Value::List);
        assert_eq!(member("{\"b\":{\"a\":1},\"\\u0061\" : \"x\"}", "a"), Value::Str("x".into()));
    }

    #[test]
    fn surrogates_pair_up_or_are_remembered() {
        let string = |text| match loads(text).unwrap() {
            Value::Str(string) => string,
            other => panic!("{other:?}"),
        };
        assert_eq!(string("\"\\ud83d\\ude00\"").text, "😀");
        let lone = string("\"\\ud83d\\ud83d\\ude00\\udc00\"");
        assert_eq!((lone.text.as_str(), lone.surrogate), ("\u{fffd}😀\u{fffd}", Some(0xd83d)));
    }

    #[test]
    fn a_key_with_a_surrogate_is_no_name() {
        assert_eq!(loads("{\"a\\ud800\":1}"), Ok(Value::Object(Object::default())));
    }

    #[test]
    fn a_thousand_levels_are_read_and_one_more_is_not() {
        let nested = |depth| "[".repeat(depth) + &"]".repeat(depth);
        assert_eq!(loads(&nested(1000)), Ok(Value::List));
        let error = "Too many nested arrays and objects: line 1 column 1001 (char 1000)";
        assert_eq!(error_of(&nested(1001)), error);
        assert_eq!(error_of(&"{\"a\":".repeat(200_000)).split(':').next(), error.split(':').next());
    }
}
