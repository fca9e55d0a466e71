//! `json.scanner` and `json.decoder`: what a text says, without building any of it.

use std::ops::Range;

use super::number::{exponent_length, fraction_length, int, integer_length};
use super::{ParserContext, Value};

/// Deeper arrays and objects are refused. Python's own bound depends on its version and on the
/// stack below (994 levels in 3.11, about 1450 under gunicorn in 3.12), and beyond it Django
/// answers 500.
const MAX_DEPTH: usize = 1000;

/// No field has a longer name.
const LONGEST_NAME: usize = 64;

/// An array or object that is not closed yet.
#[derive(Clone, Copy)]
enum Open {
    Array,
    Object,
}

/// What was read.
pub(super) enum Scanned {
    /// A string: where it stands in the text, with its escapes, and its first lone surrogate.
    Str { place: Range<usize>, surrogate: Option<u16> },
    /// An object; only the outermost one keeps members.
    Object(Vec<(&'static str, Scanned)>),
    /// What needs no text.
    Other(Value),
}

/// `json.scanner`, with a stack of its own in place of recursion.
pub(super) struct Scanner<'a> {
    text: &'a str,
    /// In bytes; only an error counts characters.
    position: usize,
    open: Vec<Open>,
    /// The members of the outermost object that are kept, and the key of the next one, if it is kept.
    members: Vec<(&'static str, Scanned)>,
    key: Option<&'static str>,
    context: &'a ParserContext,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a str, context: &'a ParserContext) -> Self {
        Self { context, text, position: 0, open: Vec::new(), members: Vec::new(), key: None }
    }

    /// The whole text.
    pub(super) fn loads(mut self) -> Result<Scanned, String> {
        if self.text.starts_with('\u{feff}') {
            return self.error("Unexpected UTF-8 BOM (decode using utf-8-sig)", 0);
        }
        self.skip_whitespace();
        let value = self.document()?;
        self.skip_whitespace();
        match self.peek() {
            None => Ok(value),
            Some(_) => self.error("Extra data", self.position),
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

    fn document(&mut self) -> Result<Scanned, String> {
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
    fn begin_value(&mut self) -> Result<Option<Scanned>, String> {
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

    fn leave_array(&mut self) -> Scanned {
        self.open.pop();
        Scanned::Other(Value::List)
    }

    fn leave_object(&mut self) -> Scanned {
        self.open.pop();
        let is_outermost = self.open.is_empty();
        Scanned::Object(if is_outermost { std::mem::take(&mut self.members) } else { Vec::new() })
    }

    /// `None`: another item follows.
    fn after_item(&mut self) -> Result<Option<Scanned>, String> {
        self.skip_whitespace();
        if self.take(b']') {
            return Ok(Some(self.leave_array()));
        }
        self.comma(b']', "array")?;
        Ok(None)
    }

    fn after_member(&mut self, value: Scanned) -> Result<Option<Scanned>, String> {
        if self.open.len() == 1
            && let Some(key) = self.key.take()
        {
            self.members.retain(|(other, _)| *other != key);
            self.members.push((key, value));
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

    /// A key and its colon. Only a field's name in the outermost object is kept.
    fn member_name(&mut self) -> Result<(), String> {
        if self.peek() != Some(b'"') {
            let message = "Expecting property name enclosed in double quotes";
            return self.error(message, self.position);
        }
        let mut name = Some(String::new());
        let (_, surrogate) = self.string(|piece| {
            name = name.take().filter(|name| name.len() + piece.len() <= LONGEST_NAME);
            if let Some(name) = &mut name {
                name.push_str(piece);
            }
        })?;
        if self.open.len() == 1 {
            // A key with a lone surrogate equals no name that a field can have.
            let name = name.filter(|_| surrogate.is_none());
            let mut fields = self.context.fields.iter().copied();
            self.key = fields.find(|field| name.as_deref() == Some(field));
        }
        self.skip_whitespace();
        if !self.take(b':') {
            return self.error("Expecting ':' delimiter", self.position);
        }
        self.skip_whitespace();
        Ok(())
    }

    fn scalar(&mut self) -> Result<Scanned, String> {
        if self.peek() == Some(b'"') {
            let (place, surrogate) = self.string(|_| {})?;
            return Ok(Scanned::Str { place, surrogate });
        }
        let literals =
            [("null", Value::Null), ("true", Value::Bool(true)), ("false", Value::Bool(false))];
        for (literal, value) in literals {
            if self.rest().starts_with(literal) {
                self.position += literal.len();
                return Ok(Scanned::Other(value));
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

    fn number(&mut self) -> Result<Scanned, String> {
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
            let number = number.parse().unwrap_or(f64::INFINITY);
            return Ok(Scanned::Other(Value::Float(number)));
        }
        int(number, self.context.versions).map(|digits| Scanned::Other(Value::Int(digits)))
    }

    /// `scanstring`: begins at the opening quote. Hands over the string in pieces; returns where it
    /// stands and its first lone surrogate, which stands for U+FFFD.
    fn string(
        &mut self,
        mut piece: impl FnMut(&str),
    ) -> Result<(Range<usize>, Option<u16>), String> {
        let begin = self.position;
        let mut surrogate = None;
        self.position += 1;
        loop {
            let plain = self.rest();
            let special = |byte| matches!(byte, b'"' | b'\\' | 0..=0x1f);
            let Some(length) = plain.bytes().position(special) else {
                return self.error("Unterminated string starting at", begin);
            };
            piece(plain.get(..length).unwrap_or_default());
            self.position += length;
            match self.peek() {
                Some(b'"') => {
                    let place = begin + 1..self.position;
                    self.position += 1;
                    return Ok((place, surrogate));
                }
                Some(b'\\') => {
                    let sign = self.escape(begin)?.unwrap_or_else(|unit| {
                        surrogate = surrogate.or(Some(unit));
                        char::REPLACEMENT_CHARACTER
                    });
                    piece(sign.encode_utf8(&mut [0; 4]));
                }
                _ => return self.error("Invalid control character at", self.position),
            }
        }
    }

    /// The sign, or a surrogate alone.
    fn escape(&mut self, begin: usize) -> Result<Result<char, u16>, String> {
        let backslash = self.position;
        self.position += 1;
        match self.peek() {
            None => self.error("Unterminated string starting at", begin),
            Some(b'u') => self.unicode_escape(),
            Some(byte) => match simple_escape(byte) {
                Some(sign) => {
                    self.position += 1;
                    Ok(Ok(sign))
                }
                None => self.error("Invalid \\escape", backslash),
            },
        }
    }

    /// A high surrogate takes the low one that follows; without it, it stays alone.
    fn unicode_escape(&mut self) -> Result<Result<char, u16>, String> {
        let unit = self.code_unit()?;
        let after = self.position;
        let mut next = None;
        if (0xd800..0xdc00).contains(&unit) && self.rest().starts_with("\\u") {
            self.position += 1;
            next = Some(self.code_unit()?);
        }
        let paired = units(unit, next);
        if !matches!(paired, Ok((_, 2))) {
            self.position = after;
        }
        Ok(paired.map(|(sign, _)| sign))
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

/// The sign that a backslash and this byte stand for.
pub(super) fn simple_escape(byte: u8) -> Option<char> {
    Some(match byte {
        b'"' | b'\\' | b'/' => char::from(byte),
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        _ => return None,
    })
}

/// The sign of one or two UTF-16 units, and how many it takes; the first one where it is a surrogate alone.
pub(super) fn units(first: u16, second: Option<u16>) -> Result<(char, usize), u16> {
    let second = second.filter(|_| (0xd800..0xdc00).contains(&first));
    match char::decode_utf16([first].into_iter().chain(second)).next() {
        Some(Ok(sign)) => Ok((sign, sign.len_utf16())),
        _ => Err(first),
    }
}
