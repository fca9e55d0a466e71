//! `django.http.multipartparser.MultiPartParser`, on a body that is in memory already.
//!
//! Django reads in chunks, and what it makes of a broken body depends on where a chunk ends: a part
//! that it skips is left half read, and its rest is taken for a part again. So the chunks are kept.

use std::ops::Range;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::querydict::QueryDict;
use crate::django::utils::encoding::Charset;
use crate::django::utils::html::unescape;
use crate::django::utils::http::{Parameters, parse_header_parameters};
use crate::django::utils::text::strip;

/// `FileUploadHandler.chunk_size`
const CHUNK_SIZE: usize = 64 * 1024;

/// `MAX_TOTAL_HEADER_SIZE`: so many bytes of a part are searched for the end of its headers.
const MAX_TOTAL_HEADER_SIZE: usize = 1024;

/// The longest boundary that `boundary_re` takes.
const MAX_BOUNDARY_LENGTH: usize = 201;

/// The settings `DATA_UPLOAD_*`; `None` is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `DATA_UPLOAD_MAX_MEMORY_SIZE`, in bytes
    pub max_memory_size: Option<usize>,
    /// `DATA_UPLOAD_MAX_NUMBER_FIELDS`
    pub number_fields: Option<usize>,
    /// `DATA_UPLOAD_MAX_NUMBER_FILES`
    pub number_files: Option<usize>,
}

/// Django's default settings.
impl Default for Limits {
    fn default() -> Self {
        Self {
            max_memory_size: Some(2_621_440),
            number_fields: Some(1000),
            number_files: Some(100),
        }
    }
}

/// Why a body is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MultiPartError {
    /// `MultiPartParserError`, with its text.
    Parser(String),
    /// `TooManyFieldsSent`
    TooManyFields,
    /// `TooManyFilesSent`
    TooManyFiles,
    /// `RequestDataTooBig`
    RequestDataTooBig,
}

fn parser_error<T>(text: impl Into<String>) -> Result<T, MultiPartError> {
    Err(MultiPartError::Parser(text.into()))
}

/// `request.FILES`, by field name and file name. Contents are not kept: nobody asks for them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UploadedFiles(Vec<(String, String)>);

impl UploadedFiles {
    /// The file name of the last file sent as `name`.
    #[must_use]
    pub fn get_last(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().rfind(|(key, _)| key == name);
        found.map(|(_, file)| file.as_str())
    }
}

/// Parses one body.
#[derive(Debug)]
pub struct MultiPartParser<'a> {
    charset: Charset,
    limits: &'a Limits,
    separator: Separator,
    fields: QueryDict,
    files: UploadedFiles,
    bytes_read: usize,
    keys_read: usize,
    files_read: usize,
}

impl<'a> MultiPartParser<'a> {
    /// Checks the Content-Type (read as latin-1) and takes the boundary from it.
    pub fn new(
        content_type: &str,
        charset: Charset,
        limits: &'a Limits,
    ) -> Result<Self, MultiPartError> {
        Ok(Self {
            charset,
            limits,
            separator: Separator::new(format!("--{}", boundary_of(content_type)?).into_bytes()),
            fields: QueryDict::default(),
            files: UploadedFiles::default(),
            bytes_read: 0,
            keys_read: 0,
            files_read: 0,
        })
    }

    /// `MultiPartParser.parse`
    pub fn parse(mut self, body: &[u8]) -> Result<(QueryDict, UploadedFiles), MultiPartError> {
        let separator = self.separator.clone();
        let mut stream = Stream { body, position: 0, fetched: 0 };
        let mut unfinished = None;
        while stream.has_more() {
            let mut part = Part::new(&mut stream, &separator);
            let headers = PartHeaders::read(&mut part)?;
            // A file is complete once something follows it; the last one in a cut body is lost.
            self.files.0.extend(unfinished.take());
            unfinished = self.handle_part(&headers, &mut part)?;
        }
        Ok((self.fields, self.files))
    }

    /// One turn of the loop in `_parse`; returns a file that the next turn completes.
    fn handle_part(
        &mut self,
        headers: &PartHeaders,
        part: &mut Part<'_, '_>,
    ) -> Result<Option<(String, String)>, MultiPartError> {
        let filename = headers.filename();
        if filename.is_none() {
            self.count_key()?;
        }
        let Some(name) = headers.name() else {
            return Ok(None);
        };
        let name = self.charset.decode_replacing(strip_bytes(name).as_bytes()).into_owned();
        match filename {
            Some(filename) => self.handle_file(name, filename, headers.is_base64(), part),
            None => self.handle_field(name, headers.is_base64(), part).map(|()| None),
        }
    }

    /// A file without a usable name counts, but its content is left unread.
    fn handle_file(
        &mut self,
        name: String,
        filename: &str,
        base64: bool,
        part: &mut Part<'_, '_>,
    ) -> Result<Option<(String, String)>, MultiPartError> {
        self.files_read += 1;
        if self.limits.number_files.is_some_and(|most| self.files_read > most) {
            return Err(MultiPartError::TooManyFiles);
        }
        let filename = self.charset.decode_replacing(filename.as_bytes());
        let Some(filename) = sanitize_file_name(&filename) else {
            return Ok(None);
        };
        part.exhaust_file(base64)?;
        Ok((!name.is_empty()).then_some((name, filename)))
    }

    /// Two more than the limit are fine, for what stands before the first and after the last boundary.
    fn count_key(&mut self) -> Result<(), MultiPartError> {
        self.keys_read += 1;
        match self.limits.number_fields {
            Some(most) if self.keys_read > most.saturating_add(2) => {
                Err(MultiPartError::TooManyFields)
            }
            _ => Ok(()),
        }
    }

    fn handle_field(
        &mut self,
        name: String,
        base64: bool,
        part: &mut Part<'_, '_>,
    ) -> Result<(), MultiPartError> {
        let most = self.limits.max_memory_size;
        let raw = part.read(most.map_or(usize::MAX, |most| most.saturating_sub(self.bytes_read)));
        // Two for the `&` and `=` of a form.
        self.bytes_read += raw.len() + name.chars().count() + 2;
        if most.is_some_and(|most| self.bytes_read > most) {
            return Err(MultiPartError::RequestDataTooBig);
        }
        let decoded = if base64 { b64decode(raw) } else { None };
        let data = decoded.as_deref().unwrap_or(raw);
        self.fields.append(name, self.charset.decode_replacing(data).into_owned());
        Ok(())
    }
}

/// The checks of `MultiPartParser.__init__`.
fn boundary_of(content_type: &str) -> Result<String, MultiPartError> {
    if !content_type.starts_with("multipart/") {
        return parser_error(format!("Invalid Content-Type: {content_type}"));
    }
    if !content_type.is_ascii() {
        return parser_error(format!(
            "Invalid non-ASCII Content-Type in multipart: {content_type}"
        ));
    }
    let (_, parameters) = parse_header_parameters(content_type).unwrap_or_default();
    match parameters.get("boundary") {
        Some(boundary) if is_boundary(boundary) => Ok(boundary.to_owned()),
        other => {
            let text = other.unwrap_or("None");
            parser_error(format!("Invalid boundary in multipart: {text}"))
        }
    }
}

/// `boundary_re`: printable ASCII, no blank at the end.
fn is_boundary(text: &str) -> bool {
    text.len() <= MAX_BOUNDARY_LENGTH
        && text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
        && text.bytes().last().is_some_and(|byte| byte != b' ')
}

/// `LazyStream` over `ChunkIter`: of the body, `fetched` bytes were read, `position` were used up.
struct Stream<'b> {
    body: &'b [u8],
    position: usize,
    fetched: usize,
}

impl Stream<'_> {
    fn has_more(&mut self) -> bool {
        if self.position == self.fetched {
            self.fetched = self.body.len().min(self.fetched.saturating_add(CHUNK_SIZE));
        }
        self.position < self.fetched
    }

    /// Uses up what is left of the chunk, or the next chunk.
    fn advance(&mut self) -> bool {
        let more = self.has_more();
        self.position = self.fetched;
        more
    }
}

/// One part: `LazyStream` over `BoundaryIter`. `unread` was taken from the stream and not used yet.
struct Part<'s, 'b> {
    stream: &'s mut Stream<'b>,
    separator: &'s Separator,
    unread: Range<usize>,
    done: bool,
}

impl<'s, 'b> Part<'s, 'b> {
    fn new(stream: &'s mut Stream<'b>, separator: &'s Separator) -> Self {
        let start = stream.position;
        Self { stream, separator, unread: start..start, done: false }
    }

    /// `BoundaryIter.__next__`: takes more of the part; false at its end.
    fn fetch(&mut self) -> bool {
        if self.done {
            return false;
        }
        let start = self.stream.position;
        // `CRLF`, the separator, `--CRLF`; the six are Django's.
        let rollback = self.separator.bytes.len() + 6;
        while self.stream.position - start <= rollback {
            if !self.stream.advance() {
                self.done = true;
                break;
            }
        }
        if self.stream.position == start {
            return false;
        }
        self.unread.end = self.take_until_boundary(start, rollback);
        true
    }

    /// Gives back to the stream what may belong to the next part; returns where this one ends.
    fn take_until_boundary(&mut self, start: usize, rollback: usize) -> usize {
        let chunk = self.stream.body.get(start..self.stream.position).unwrap_or_default();
        if let Some(index) = self.separator.find(chunk) {
            self.done = true;
            self.stream.position = start + index + self.separator.bytes.len();
            let data = chunk.get(..index).unwrap_or_default();
            let data = data.strip_suffix(b"\n").unwrap_or(data);
            let data = data.strip_suffix(b"\r").unwrap_or(data);
            return start + data.len();
        }
        if chunk.len() <= rollback {
            self.done = true;
        } else {
            self.stream.position -= rollback;
        }
        self.stream.position
    }

    /// `read(size)`
    fn read(&mut self, size: usize) -> &'b [u8] {
        while self.unread.len() < size && self.fetch() {}
        let end = self.unread.end.min(self.unread.start.saturating_add(size));
        let taken = self.unread.start..end;
        self.unread.start = end;
        self.stream.body.get(taken).unwrap_or_default()
    }

    /// `unget`
    fn unget(&mut self, bytes: usize) {
        self.unread.start -= bytes;
    }

    /// Reads a file to its end. Base64 is decoded chunk by chunk in whole quads, only to see whether it can be.
    fn exhaust_file(&mut self, base64: bool) -> Result<(), MultiPartError> {
        let mut pending: Vec<u8> = Vec::new();
        while !self.unread.is_empty() || self.fetch() {
            let chunk = self.read(self.unread.len());
            if base64 {
                pending.extend(chunk.iter().filter(|byte| !is_bytes_space(**byte)));
                let rest = pending.split_off(pending.len() / 4 * 4);
                if !pending.is_empty() && b64decode(&pending).is_none() {
                    return parser_error("Could not decode base64 data.");
                }
                pending = rest;
            }
        }
        if pending.is_empty() { Ok(()) } else { parser_error("Could not decode base64 data.") }
    }
}

/// What the headers of a part say.
#[derive(Default)]
struct PartHeaders {
    disposition: Option<Parameters>,
    transfer_encoding: Option<String>,
}

impl PartHeaders {
    /// `parse_boundary_stream`; a part without the end of headers has none.
    fn read(part: &mut Part<'_, '_>) -> Result<Self, MultiPartError> {
        let chunk = part.read(MAX_TOTAL_HEADER_SIZE);
        let Some(end) = chunk.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
            if chunk.len() < MAX_TOTAL_HEADER_SIZE {
                return Ok(Self::default());
            }
            return parser_error("Request max total header size exceeded.");
        };
        part.unget(chunk.len() - end - 4);
        let mut headers = Self::default();
        let mut rest = chunk.get(..end).unwrap_or_default();
        while !rest.is_empty() {
            let line_end = rest.windows(2).position(|bytes| bytes == b"\r\n");
            let (line, tail) = rest.split_at(line_end.unwrap_or(rest.len()));
            headers.read_line(line);
            rest = tail.strip_prefix(b"\r\n").unwrap_or_default();
        }
        Ok(headers)
    }

    /// A line that cannot be read is no header; of a repeated header the last counts.
    fn read_line(&mut self, line: &[u8]) {
        let line = str::from_utf8(line).ok().and_then(|line| line.split_once(':'));
        let Some((name, value)) = line else {
            return;
        };
        let Ok((value, parameters)) = parse_header_parameters(value.trim_start_matches(' ')) else {
            return;
        };
        match name.to_lowercase().trim_end_matches(' ') {
            "content-disposition" => self.disposition = Some(parameters),
            "content-transfer-encoding" => self.transfer_encoding = Some(value),
            _ => {}
        }
    }

    fn name(&self) -> Option<&str> {
        self.disposition.as_ref()?.get("name")
    }

    /// An empty file name makes an ordinary field.
    fn filename(&self) -> Option<&str> {
        self.disposition.as_ref()?.get("filename").filter(|name| !name.is_empty())
    }

    fn is_base64(&self) -> bool {
        self.transfer_encoding.as_deref().is_some_and(|value| strip(value) == "base64")
    }
}

/// `sanitize_file_name`; `None` for a name that is none.
fn sanitize_file_name(name: &str) -> Option<String> {
    let name = unescape(name);
    let name = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let name: String = name.chars().filter(|c| is_printable(*c)).collect();
    (!matches!(name.as_str(), "" | "." | "..")).then_some(name)
}

/// `str.isprintable` of one character. The standard library's escaping has the same rule; behind
/// another character it does not escape combining ones.
fn is_printable(c: char) -> bool {
    matches!(c, '"' | '\'' | '\\') || format!("a{c}").escape_debug().eq(['a', c])
}

/// `bytes.strip`
fn strip_bytes(text: &str) -> &str {
    text.trim_matches(|c| u8::try_from(c).is_ok_and(is_bytes_space))
}

/// `bytes.isspace` of one byte
fn is_bytes_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// `base64.b64decode(data, validate=True)`. Python wants exact padding only where some is needed:
/// after a whole quad any number of `=` is fine.
fn b64decode(data: &[u8]) -> Option<Vec<u8>> {
    const CONFIG: GeneralPurposeConfig = GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone);
    let digits = data.iter().rposition(|byte| *byte != b'=').map_or(0, |last| last + 1);
    let (digits, padding) = data.split_at_checked(digits)?;
    let padded = match digits.len() % 4 {
        0 => padding.is_empty() || !digits.is_empty(),
        2 => padding.len() == 2,
        3 => padding.len() == 1,
        _ => false,
    };
    let engine = GeneralPurpose::new(&STANDARD, CONFIG);
    if padded { engine.decode(digits).ok() } else { None }
}

/// A boundary with its dashes, and the table by which Knuth, Morris and Pratt find it in linear
/// time: a body of dashes would be slow otherwise.
#[derive(Clone, Debug)]
struct Separator {
    bytes: Vec<u8>,
    fallback: Vec<usize>,
}

impl Separator {
    fn new(bytes: Vec<u8>) -> Self {
        let mut separator = Self { bytes, fallback: vec![0] };
        let mut matched = 0;
        for position in 1..separator.bytes.len() {
            let byte = separator.bytes.get(position).copied().unwrap_or_default();
            matched = separator.step(matched, byte);
            separator.fallback.push(matched);
        }
        separator
    }

    /// How much is matched after `byte`, when `matched` bytes were before it.
    fn step(&self, mut matched: usize, byte: u8) -> usize {
        while matched > 0 && self.bytes.get(matched) != Some(&byte) {
            matched = self.fallback.get(matched - 1).copied().unwrap_or(0);
        }
        matched + usize::from(self.bytes.get(matched) == Some(&byte))
    }

    fn find(&self, data: &[u8]) -> Option<usize> {
        let mut matched = 0;
        for (position, byte) in data.iter().enumerate() {
            matched = self.step(matched, *byte);
            if matched == self.bytes.len() {
                return Some(position + 1 - matched);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPE: &str = "multipart/form-data; boundary=BBB";

    fn parse_with(
        limits: Limits,
        body: &[u8],
    ) -> Result<(QueryDict, UploadedFiles), MultiPartError> {
        MultiPartParser::new(TYPE, Charset::Utf8, &limits)?.parse(body)
    }

    fn parse(body: &str) -> (QueryDict, UploadedFiles) {
        parse_with(Limits::default(), body.as_bytes()).unwrap()
    }

    fn part(headers: &str, data: &str) -> String {
        format!("--BBB\r\nContent-Disposition: form-data; {headers}\r\n\r\n{data}\r\n")
    }

    fn error_of(content_type: &str) -> String {
        let limits = Limits::default();
        match MultiPartParser::new(content_type, Charset::Utf8, &limits) {
            Err(MultiPartError::Parser(text)) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn fields_are_read_and_the_last_value_counts() {
        let body = part("name=a", "1")
            + &part("name=\"b\"", "x\r\ny")
            + &part("name=a", "2")
            + "--BBB--\r\n";
        let (fields, _) = parse(&body);
        assert_eq!(fields.get_last("a"), Some("2"));
        assert_eq!(fields.get_last("b"), Some("x\r\ny"));
    }

    #[test]
    fn without_a_final_boundary_the_last_value_keeps_its_line_end() {
        assert_eq!(parse(&part("name=a", "1")).0.get_last("a"), Some("1\r\n"));
    }

    #[test]
    fn a_file_is_known_by_its_name_and_lost_when_nothing_follows() {
        let file = part("name=a; filename=f", "data");
        assert_eq!(parse(&(file.clone() + "--BBB--")).1.get_last("a"), Some("f"));
        assert_eq!(parse(&file).1.get_last("a"), None);
        assert_eq!(parse(&(file + "--BBB")).1.get_last("a"), None);
    }

    #[test]
    fn an_empty_file_name_makes_a_field_and_a_name_of_folders_nothing() {
        let (fields, files) = parse(&(part("name=a; filename=\"\"", "1") + "--BBB--"));
        assert_eq!((fields.get_last("a"), files.get_last("a")), (Some("1"), None));
        for name in ["x/", "..", "a\\\\", "&#47;"] {
            let headers = format!("name=a; filename=\"{name}\"");
            let (fields, files) = parse(&(part(&headers, "1") + "--BBB--"));
            assert_eq!((fields.get_last("a"), files.get_last("a")), (None, None), "{name}");
        }
    }

    #[test]
    fn rfc_2231_names_count() {
        let (fields, files) = parse(&(part("name*=utf-8''a; filename*=''%66", "1") + "--BBB--"));
        assert_eq!(fields.get_last("a"), None);
        assert_eq!(files.get_last("a"), Some("f"));
    }

    #[test]
    fn base64_is_decoded_and_a_broken_value_stays_as_it_is() {
        let body = |data| part("name=a\r\nContent-Transfer-Encoding: BASE64 ", data) + "--BBB--";
        assert_eq!(parse(&body("YWI=")).0.get_last("a"), Some("ab"));
        assert_eq!(parse(&body("YWI")).0.get_last("a"), Some("YWI"));
        let file =
            part("name=a; filename=f\r\nContent-Transfer-Encoding: base64", "YWI") + "--BBB--";
        let outcome = parse_with(Limits::default(), file.as_bytes());
        assert_eq!(outcome, parser_error("Could not decode base64 data."));
    }

    #[test]
    fn padding_is_checked_as_in_python() {
        for good in ["", "YWJj", "YWI=", "YQ==", "YR==", "YWJj=", "YWJj====="] {
            assert!(b64decode(good.as_bytes()).is_some(), "{good}");
        }
        for bad in ["=", "YWI", "YQ=", "YQ===", "Y===", "YQ==YWJj", "YW Jj", "YWJ-"] {
            assert!(b64decode(bad.as_bytes()).is_none(), "{bad}");
        }
    }

    #[test]
    fn headers_longer_than_the_limit_are_refused() {
        let too_long = part(&format!("name=a; x={}", "y".repeat(1024)), "1") + "--BBB--";
        let outcome = parse_with(Limits::default(), too_long.as_bytes());
        assert_eq!(outcome, parser_error("Request max total header size exceeded."));
        assert_eq!(parse(&"x".repeat(1023)).0, QueryDict::default());
    }

    #[test]
    fn limits_are_those_of_django() {
        let fields = |count| part("name=a", "1").repeat(count) + "--BBB--\r\n";
        let outcome = |body: String| parse_with(Limits::default(), body.as_bytes()).map(drop);
        assert_eq!(outcome(fields(1000)), Ok(()));
        assert_eq!(outcome(fields(1001)), Err(MultiPartError::TooManyFields));
        let files = |count| part("name=a; filename=f", "1").repeat(count) + "--BBB--\r\n";
        assert_eq!(outcome(files(100)), Ok(()));
        assert_eq!(outcome(files(101)), Err(MultiPartError::TooManyFiles));
        let long = "x".repeat(2_621_437);
        assert_eq!(outcome(part("name=a", &long) + "--BBB--"), Ok(()));
        let outcome_of_longer = outcome(part("name=ab", &long) + "--BBB--");
        assert_eq!(outcome_of_longer, Err(MultiPartError::RequestDataTooBig));
    }

    #[test]
    fn a_file_may_be_longer_than_the_memory_limit_and_hide_half_a_boundary() {
        let data = "\r\n--BB".repeat(400_000);
        let body = part("name=a; filename=f", &data) + &part("name=b", "1") + "--BBB--";
        let (fields, files) = parse(&body);
        assert_eq!((fields.get_last("b"), files.get_last("a")), (Some("1"), Some("f")));
    }

    #[test]
    fn content_types_without_a_usable_boundary_are_refused() {
        let long = format!("multipart/form-data; boundary={}", "B".repeat(202));
        let cases = [
            ("multipart/form-data", "Invalid boundary in multipart: None"),
            ("multipart/form-data; boundary=", "Invalid boundary in multipart: "),
            ("multipart/form-data; boundary=\"a \"", "Invalid boundary in multipart: a "),
            (
                "Multipart/Form-Data; boundary=BBB",
                "Invalid Content-Type: Multipart/Form-Data; boundary=BBB",
            ),
            (
                "multipart/form-data; boundary=é",
                "Invalid non-ASCII Content-Type in multipart: multipart/form-data; boundary=é",
            ),
        ];
        for (content_type, text) in cases {
            assert_eq!(error_of(content_type), text);
        }
        assert!(error_of(&long).starts_with("Invalid boundary in multipart: BBB"));
    }

    #[test]
    fn the_separator_is_found_wherever_it_stands() {
        let separator = Separator::new(b"--a--ab".to_vec());
        assert_eq!(separator.find(b"--a--a--ab"), Some(3));
        assert_eq!(separator.find(b"--a--a--a"), None);
    }
}
