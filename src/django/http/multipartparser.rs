//! `django.http.multipartparser.MultiPartParser`, on a body that is in memory already.
//!
//! Django reads in chunks, and what it makes of a broken body depends on where a chunk ends: a part
//! that it skips is left half read, and its rest is taken for a part again. So the chunks are kept.

pub(crate) mod base64;
mod error;
mod headers;
mod stream;

use std::ops::Range;

use self::base64::{FileCheck, b64decode};
pub use error::MultiPartError;
use error::parser_error;
use headers::{PartHeaders, sanitize_file_name};
use stream::{Part, Separator, Stream, strip_bytes};

use super::querydict::Post;
use crate::django::utils::encoding::Charset;
use crate::django::utils::http::parse_header_parameters;
use crate::memory::Memory;
use crate::versions::Versions;

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

/// `request.FILES`, by the names that a view reads and file name. Contents are not kept: nobody asks for them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UploadedFiles(Vec<(&'static str, String)>);

impl UploadedFiles {
    /// The file name of the last file sent as `name`.
    #[must_use]
    pub fn get_last(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().rfind(|(key, _)| *key == name);
        found.map(|(_, file)| file.as_str())
    }

    /// All of them, in the order in which they were sent.
    pub fn into_names(self) -> impl Iterator<Item = (&'static str, String)> {
        self.0.into_iter()
    }
}

/// The last value of a name, as it was sent.
#[derive(Debug)]
struct Field {
    name: &'static str,
    raw: Range<usize>,
    base64: bool,
}

/// Parses one body.
#[derive(Debug)]
pub struct MultiPartParser<'a> {
    charset: Charset,
    limits: &'a Limits,
    versions: Versions,
    /// The names that the view reads: of others nothing is kept.
    names: &'a [&'static str],
    separator: Separator,
    /// In the order of their places.
    fields: Vec<Field>,
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
        versions: Versions,
        names: &'a [&'static str],
    ) -> Result<Self, MultiPartError> {
        Ok(Self {
            names,
            charset,
            limits,
            versions,
            separator: Separator::new(
                format!("--{}", boundary_of(content_type, versions)?).into_bytes(),
            ),
            fields: Vec::new(),
            files: UploadedFiles::default(),
            bytes_read: 0,
            keys_read: 0,
            files_read: 0,
        })
    }

    /// `MultiPartParser.parse`
    pub fn parse(mut self, memory: Memory) -> Result<(Post, UploadedFiles), MultiPartError> {
        let separator = self.separator.clone();
        let mut stream = Stream::new(memory.bytes());
        let mut unfinished = None;
        while stream.has_more() {
            let mut part = Part::new(&mut stream, &separator);
            let headers = PartHeaders::read(&mut part, self.versions)?;
            // A file is complete once something follows it; the last one in a cut body is lost.
            self.files.0.extend(unfinished.take());
            unfinished = self.handle_part(&headers, &mut part)?;
        }
        let (charset, versions, files) = (self.charset, self.versions, self.files);
        Ok((decoded(self.fields, memory, charset, versions), files))
    }

    /// One turn of the loop in `_parse`; returns a file that the next turn completes.
    fn handle_part(
        &mut self,
        headers: &PartHeaders,
        part: &mut Part<'_, '_>,
    ) -> Result<Option<(&'static str, String)>, MultiPartError> {
        let filename = headers.filename();
        if filename.is_none() {
            self.count_key()?;
        }
        let Some(name) = headers.name() else {
            return Ok(None);
        };
        let name = self.charset.decode_replacing(strip_bytes(name).as_bytes());
        match filename {
            Some(filename) => self.handle_file(&name, filename, headers.is_base64(), part),
            None => self.handle_field(&name, headers.is_base64(), part).map(|()| None),
        }
    }

    /// A file without a usable name counts, but its content is left unread.
    fn handle_file(
        &mut self,
        name: &str,
        filename: &str,
        base64: bool,
        part: &mut Part<'_, '_>,
    ) -> Result<Option<(&'static str, String)>, MultiPartError> {
        self.files_read += 1;
        if self.limits.number_files.is_some_and(|most| self.files_read > most) {
            return Err(MultiPartError::TooManyFiles);
        }
        let filename = self.charset.decode_replacing(filename.as_bytes());
        let Some(filename) = sanitize_file_name(&filename) else {
            return Ok(None);
        };
        part.exhaust_file(base64.then(|| FileCheck::new(self.versions)))?;
        Ok(self.known(name).map(|name| (name, filename)))
    }

    fn known(&self, name: &str) -> Option<&'static str> {
        self.names.iter().copied().find(|known| *known == name)
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
        name: &str,
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
        if let Some(name) = self.known(name) {
            self.fields.retain(|field| field.name != name);
            self.fields.push(Field { name, raw, base64 });
        }
        Ok(())
    }
}

/// The values as text. The body goes before they grow.
fn decoded(fields: Vec<Field>, body: Memory, charset: Charset, versions: Versions) -> Post {
    let raw = body.bytes();
    let raw: Vec<_> =
        fields.iter().map(|field| raw.get(field.raw.clone()).unwrap_or_default()).collect();
    let mut memory = Memory::of(&raw);
    drop(body);
    let (mut start, mut to) = (memory.content().start, memory.first());
    let mut places = Vec::new();
    for Field { name, raw, base64 } in fields {
        let mut place = start..start + raw.len();
        start = place.end;
        if base64 {
            place = b64decode(&mut memory, &place, to, versions);
        }
        let end = charset.replace(&mut memory, &place, to);
        places.push((name, to..end));
        to = end;
    }
    Post::new(places.into_iter(), memory)
}

/// The checks of `MultiPartParser.__init__`.
fn boundary_of(content_type: &str, versions: Versions) -> Result<String, MultiPartError> {
    if !content_type.starts_with("multipart/") {
        return parser_error(format!("Invalid Content-Type: {content_type}"));
    }
    if !content_type.is_ascii() {
        return parser_error(format!(
            "Invalid non-ASCII Content-Type in multipart: {content_type}"
        ));
    }
    let (_, parameters) = parse_header_parameters(content_type, versions).unwrap_or_default();
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

#[cfg(test)]
mod tests {
    use super::*;

    const TYPE: &str = "multipart/form-data; boundary=BBB";

    fn parse_with(limits: Limits, body: &[u8]) -> Result<(Post, UploadedFiles), MultiPartError> {
        let names = &["a", "b"];
        let parser =
            MultiPartParser::new(TYPE, Charset::Utf8, &limits, Versions::default(), names)?;
        parser.parse(Memory::of(&[body]))
    }

    fn parse(body: &str) -> (Post, UploadedFiles) {
        parse_with(Limits::default(), body.as_bytes()).unwrap()
    }

    fn part(headers: &str, data: &str) -> String {
        format!("--BBB\r\nContent-Disposition: form-data; {headers}\r\n\r\n{data}\r\n")
    }

    fn error_of(content_type: &str) -> String {
        let limits = Limits::default();
        match MultiPartParser::new(content_type, Charset::Utf8, &limits, Versions::default(), &[]) {
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
    fn headers_longer_than_the_limit_are_refused() {
        let too_long = part(&format!("name=a; x={}", "y".repeat(1024)), "1") + "--BBB--";
        let outcome = parse_with(Limits::default(), too_long.as_bytes());
        assert_eq!(outcome, parser_error("Request max total header size exceeded."));
        assert_eq!(parse(&"x".repeat(1023)).0, Post::default());
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
