//! `rest_framework.parsers`: from the bytes of a body to `request.data`.

pub mod form;
pub mod json;
pub mod multipart;
pub mod value;

use crate::django::utils::encoding::{Charset, Lookup, lookup};
use crate::django::utils::http::{charset_of, text_of_header};
use crate::memory::Memory;
use crate::rest_framework::utils::mediatypes::MediaType;
use crate::versions::Versions;

pub use crate::django::http::multipartparser::Limits;
pub use value::{Data, Object, PyStr, Value};

/// `DefaultContentNegotiation.max_media_type_length`, in characters.
const MAX_MEDIA_TYPE_LENGTH: usize = 256;

/// A parser class that a view may list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parser {
    /// `FormParser`
    Form,
    /// `MultiPartParser`
    MultiPart,
    /// `JSONParser`
    Json,
}

impl Parser {
    /// The parser's `media_type`.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Form => "application/x-www-form-urlencoded",
            Self::MultiPart => "multipart/form-data",
            Self::Json => "application/json",
        }
    }
}

/// `parser_context`: what a parser knows beside the request.
#[derive(Clone, Debug, Default)]
pub struct ParserContext {
    /// The settings `DATA_UPLOAD_…`.
    pub limits: Limits,
    /// The releases beside this service.
    pub versions: Versions,
    /// The names that the view's serializer reads; nothing else need be kept.
    pub fields: Vec<&'static str>,
}

/// Why there is no `request.data`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParseFailure {
    /// `ParseError`: 400 `{"detail": …}` with this text.
    Parse(String),
    /// `TooManyFieldsSent`: Django's HTML page of status 400.
    TooManyFields,
    /// `TooManyFilesSent`: Django's HTML page of status 400.
    TooManyFiles,
    /// `RequestDataTooBig`: Django's HTML page of status 400.
    RequestDataTooBig,
}

/// `DefaultContentNegotiation.select_parser`: the first parser whose media type the header
/// matches, wildcards included; `None` is a 415. `content_type` is the header read as latin-1
/// (`django::utils::http::text_of_header`), or empty where there is none.
#[must_use]
pub fn select_parser(parsers: &[Parser], content_type: &str, versions: Versions) -> Option<Parser> {
    let is_bounded = versions.media_types_are_bounded();
    if is_bounded && content_type.chars().count() > MAX_MEDIA_TYPE_LENGTH {
        return None;
    }
    let parse = |text| MediaType::parse(text, versions);
    let wanted = parse(content_type);
    let matches = |parser: &Parser| parse(parser.media_type()).matches(&wanted);
    parsers.iter().copied().find(matches)
}

/// Runs `parser` on a body that is known to be there (a Content-Length above 0);
/// `content_type` is the raw header.
pub fn parse(
    parser: Parser,
    body: Memory,
    content_type: &[u8],
    context: &ParserContext,
) -> Result<Data, ParseFailure> {
    let ParserContext { limits, versions, .. } = context;
    // `request.body`, which a multipart body does not pass: its fields are counted one by one.
    let in_memory = parser != Parser::MultiPart && versions.bodies_are_bounded();
    if in_memory && limits.max_memory_size.is_some_and(|most| body.bytes().len() > most) {
        return Err(ParseFailure::RequestDataTooBig);
    }
    let content_type = text_of_header(content_type);
    let charset = get_encoding(&content_type, *versions)?;
    match parser {
        Parser::Form => form::parse(body, charset, context),
        Parser::MultiPart => multipart::parse(body, &content_type, charset, context),
        Parser::Json => json::parse(body, charset, context),
    }
}

/// `get_encoding`: the charset of the Content-Type, UTF-8 where it names none that Python knows.
fn get_encoding(content_type: &str, versions: Versions) -> Result<Charset, ParseFailure> {
    let Some(label) = charset_of(content_type, versions) else {
        return Ok(Charset::Utf8);
    };
    match lookup(&label) {
        Lookup::Text(charset) => Ok(charset),
        Lookup::Unknown => Ok(Charset::Utf8),
        Lookup::Binary(_) | Lookup::Unsupported => Err(ParseFailure::Parse(format!(
            "Unsupported charset \"{label}\" in request Content-Type header."
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Parser; 3] = [Parser::Form, Parser::MultiPart, Parser::Json];

    fn json(content_type: &str, body: &[u8]) -> Result<Data, ParseFailure> {
        let context = ParserContext { fields: vec!["a"], ..ParserContext::default() };
        parse(Parser::Json, Memory::of(&[body]), content_type.as_bytes(), &context)
    }

    fn selected(content_type: &str) -> Option<Parser> {
        select_parser(&ALL, content_type, Versions::default())
    }

    fn failure(text: &str) -> Result<Data, ParseFailure> {
        Err(ParseFailure::Parse(text.to_owned()))
    }

    #[test]
    fn the_first_parser_that_a_wildcard_matches_is_taken() {
        for content_type in ["*/*", "application/*", "APPLICATION/x-www-form-urlencoded;a=b"] {
            assert_eq!(selected(content_type), Some(Parser::Form), "{content_type}");
        }
        assert_eq!(selected("multipart/*; boundary=x"), Some(Parser::MultiPart));
        assert_eq!(selected("*/json"), Some(Parser::Json));
        assert_eq!(selected("application/json; anything"), Some(Parser::Json));
    }

    #[test]
    fn other_media_types_and_long_ones_have_no_parser() {
        let others =
            ["", "json", "text/json", "application/json,text/plain", "application/vnd.api+json"];
        for content_type in others {
            assert_eq!(selected(content_type), None, "{content_type}");
        }
        let of_length = |length| format!("{:é<length$}", "application/json;");
        assert_eq!(selected(&of_length(256)), Some(Parser::Json));
        assert_eq!(selected(&of_length(257)), None);
    }

    #[test]
    fn the_charset_decides_how_a_body_is_read() {
        let name = |outcome: Result<Data, _>| outcome.unwrap().take("a");
        let latin = json("application/json; charset=latin-1", b"{\"a\":\"\xe9\"}");
        assert_eq!(name(latin), Some(Value::Str("é".into())));
        let unknown = json("application/json; charset=bogus", "{\"a\":\"é\"}".as_bytes());
        assert_eq!(name(unknown), Some(Value::Str("é".into())));
    }

    #[test]
    fn a_charset_that_is_none_of_text_is_refused_by_its_name() {
        let text = "Unsupported charset \"Hex\" in request Content-Type header.";
        assert_eq!(json("application/json; charset=Hex", b"{}"), failure(text));
    }

    #[test]
    fn bytes_that_are_not_in_the_charset_are_a_json_parse_error() {
        let text = "JSON parse error - 'utf-8' codec can't decode byte 0xff in position 1: \
                    invalid start byte";
        assert_eq!(json("application/json", b"{\xff"), failure(text));
    }

    #[test]
    fn a_body_over_the_memory_limit_is_too_big_but_for_multipart() {
        let limits = Limits { max_memory_size: Some(2), ..Limits::default() };
        let context = ParserContext { limits, ..ParserContext::default() };
        let outcome = |parser, body: &[u8]| {
            parse(parser, Memory::of(&[body]), b"multipart/x; boundary=b", &context)
        };
        assert_eq!(outcome(Parser::Json, b"[ ]"), Err(ParseFailure::RequestDataTooBig));
        assert_eq!(outcome(Parser::Form, b"a=b"), Err(ParseFailure::RequestDataTooBig));
        assert!(outcome(Parser::Json, b"[]").is_ok());
        assert!(outcome(Parser::MultiPart, b"abc").is_ok());
    }

    #[test]
    fn a_file_wins_over_a_field_of_its_name() {
        let body = b"--b\r\nContent-Disposition: form-data; name=a; filename=f\r\n\r\n\r\n\
            --b\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--b--";
        let context = ParserContext { fields: vec!["a"], ..ParserContext::default() };
        let body = Memory::of(&[body]);
        let data = parse(Parser::MultiPart, body, b"multipart/x; boundary=b", &context);
        assert_eq!(data.unwrap().take("a"), Some(Value::File("f".to_owned())));
    }
}
