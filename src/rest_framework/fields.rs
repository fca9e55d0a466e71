//! `rest_framework.fields.CharField`: the checks of one value of `request.data`.

use super::messages::{self, Message, Text};
use super::parsers::{PyStr, Value};
use crate::django::utils::text::strip;
use crate::memory::TypedText;

/// A required text that may be neither null nor blank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CharField {
    /// Whether blanks around the text are cut off; a text of blanks is blank then.
    pub trim_whitespace: bool,
}

impl CharField {
    /// `CharField.run_validation`: the text, or all that is wrong with the value. `None` is a value
    /// that was not sent.
    pub fn run_validation(self, value: Option<Value>) -> Result<TypedText, Vec<Text>> {
        let value = value.ok_or_else(|| fail(messages::REQUIRED))?;
        if self.is_blank(&value) {
            return Err(fail(messages::BLANK));
        }
        let text = match value {
            Value::Null => return Err(fail(messages::NULL)),
            Value::Str(text) => text,
            Value::Int(text) => PyStr { text, surrogate: None },
            Value::Float(number) => float_repr(number).as_str().into(),
            Value::Bool(_) | Value::List | Value::Object(_) | Value::File(_) => {
                return Err(fail(messages::NO_STRING));
            }
        };
        run_validators(&text)?;
        Ok(text.text.trimmed(|text| self.trim(text)))
    }

    /// Blank comes before any other check, and `str()` of a file is its name.
    fn is_blank(self, value: &Value) -> bool {
        match value {
            Value::Str(text) => self.trim(&text.text).is_empty(),
            Value::File(name) => self.trim(name).is_empty(),
            _ => false,
        }
    }

    fn trim(self, text: &str) -> &str {
        if self.trim_whitespace { strip(text) } else { text }
    }
}

fn fail(message: Message) -> Vec<Text> {
    vec![message.into()]
}

/// `ProhibitNullCharactersValidator` and `ProhibitSurrogateCharactersValidator`
fn run_validators(text: &PyStr) -> Result<(), Vec<Text>> {
    let mut errors = Vec::new();
    if text.text.contains('\0') {
        errors.push(messages::NULL_CHARACTERS.into());
    }
    if let Some(surrogate) = text.surrogate {
        errors.push(Text::Formatted(messages::SURROGATES, format!("{surrogate:X}")));
    }
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

/// `str(number)`: the shortest digits that read back as the same number, with an exponent from
/// 1e16 on and below 1e-4.
#[must_use]
pub fn float_repr(number: f64) -> String {
    let scientific = shortest(number);
    let Some((mantissa, exponent)) = scientific.split_once('e') else {
        return scientific;
    };
    match exponent.parse() {
        Ok(exponent @ -4..=15_i32) => positional(mantissa, exponent),
        Ok(exponent) => format!("{mantissa}e{exponent:+03}"),
        Err(_) => scientific,
    }
}

fn positional(mantissa: &str, exponent: i32) -> String {
    let sign = if mantissa.starts_with('-') { "-" } else { "" };
    let digits = mantissa.replace(['-', '.'], "");
    if let Ok(exponent) = usize::try_from(exponent) {
        let padded = format!("{digits:0<width$}", width = exponent + 2);
        let (whole, fraction) = padded.split_at(exponent + 1);
        format!("{sign}{whole}.{fraction}")
    } else {
        let zeros = "0".repeat(usize::try_from(-1 - exponent).unwrap_or_default());
        format!("{sign}0.{zeros}{digits}")
    }
}

/// The shortest digits, in scientific form. Where two numbers of that length are equally near,
/// Python takes the even digit and Rust the higher one.
fn shortest(number: f64) -> String {
    let shortest = format!("{number:e}");
    let mantissa = shortest.split('e').next().unwrap_or_default();
    let decimals = mantissa.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    let nearest = format!("{number:.decimals$e}");
    if nearest.parse() == Ok(number) { nearest } else { shortest }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USERNAME: CharField = CharField { trim_whitespace: true };
    const PASSWORD: CharField = CharField { trim_whitespace: false };

    fn error_of(field: CharField, value: &Value) -> Vec<Text> {
        field.run_validation(Some(value.clone())).unwrap_err()
    }

    fn text(text: &str) -> Value {
        Value::Str(text.into())
    }

    #[test]
    fn missing_and_null_have_messages_of_their_own() {
        assert_eq!(USERNAME.run_validation(None), Err(fail(messages::REQUIRED)));
        assert_eq!(error_of(USERNAME, &Value::Null), fail(messages::NULL));
    }

    #[test]
    fn only_a_trimmed_field_takes_blanks_for_blank() {
        let blanks = text(" \u{a0}\u{1c}\u{2028}\u{3000}");
        assert_eq!(error_of(USERNAME, &blanks), fail(messages::BLANK));
        assert!(PASSWORD.run_validation(Some(blanks)).is_ok());
        assert_eq!(error_of(PASSWORD, &text("")), fail(messages::BLANK));
        assert_eq!(&*USERNAME.run_validation(Some(text(" a b "))).unwrap(), "a b");
        assert_eq!(&*USERNAME.run_validation(Some(text("\u{200b}"))).unwrap(), "\u{200b}");
    }

    #[test]
    fn other_types_are_not_a_valid_string() {
        let object = Value::Object(crate::rest_framework::parsers::Object::default());
        for value in [Value::Bool(true), Value::List, object, Value::File("f".to_owned())] {
            assert_eq!(error_of(USERNAME, &value), fail(messages::NO_STRING));
        }
        let blank = Value::File(" ".to_owned());
        assert_eq!(error_of(USERNAME, &blank), fail(messages::BLANK));
        assert_eq!(error_of(PASSWORD, &blank), fail(messages::NO_STRING));
    }

    #[test]
    fn numbers_become_their_text() {
        let int = Value::Int("12345".into());
        assert_eq!(&*PASSWORD.run_validation(Some(int)).unwrap(), "12345");
        assert_eq!(&*PASSWORD.run_validation(Some(Value::Float(1e22))).unwrap(), "1e+22");
    }

    #[test]
    fn null_characters_and_surrogates_are_both_reported() {
        let value = Value::Str(PyStr { text: "\0\u{fffd}".into(), surrogate: Some(0xd800) });
        let surrogate = Text::Formatted(messages::SURROGATES, "D800".to_owned());
        let messages = [messages::NULL_CHARACTERS.into(), surrogate];
        assert_eq!(error_of(PASSWORD, &value), messages);
    }

    #[test]
    fn floats_print_as_in_python() {
        let cases = [
            (1.0, "1.0"),
            (-0.0, "-0.0"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1.5e300, "1.5e+300"),
            (1e-4, "0.0001"),
            (1.25e-7, "1.25e-07"),
            (5e-324, "5e-324"),
            (2_792_290_362_971_581.0 / 4.0, "698072590742895.2"),
            (9_007_199_254_740_993.0, "9007199254740992.0"),
            (-0.000_123, "-0.000123"),
            (1234.0, "1234.0"),
            (123_456.789, "123456.789"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
        ];
        for (number, text) in cases {
            assert_eq!(float_repr(number), text);
        }
    }
}
