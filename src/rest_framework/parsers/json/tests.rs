//! Python's own texts and positions, by hand; the comparison with Python is `compat-tests`.

use super::*;
use crate::versions::{Version, Versions};

fn loads_under(text: &str, python: &str) -> Result<Value, String> {
    let python = Version::parse(python).unwrap();
    let versions = Versions { python, ..Versions::default() };
    let context = ParserContext { versions, fields: vec!["a"], ..ParserContext::default() };
    super::loads(Memory::of(&[text.as_bytes()]), &context)
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
    assert_eq!((object.get("a"), object.get("b")), (Some(&Value::Int("1".into())), None));
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
        ("\u{feff}{}", "Unexpected UTF-8 BOM (decode using utf-8-sig): line 1 column 1 (char 0)"),
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
    assert_eq!(loads(&longest), Ok(Value::Int(longest.as_str().into())));
    assert_eq!(loads("-0"), Ok(Value::Int("0".into())));
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
    let string = |text| match member(&format!("{{\"a\":{text}}}"), "a") {
        Value::Str(string) => string,
        other => panic!("{other:?}"),
    };
    assert_eq!(&*string("\"\\ud83d\\ude00\"").text, "😀");
    let lone = string("\"\\ud83d\\ud83d\\ude00\\udc00\"");
    assert_eq!((&*lone.text, lone.surrogate), ("\u{fffd}😀\u{fffd}", Some(0xd83d)));
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
