//! `parse_boundary_stream` and `sanitize_file_name`: what the headers of a part say.

use super::error::{MultiPartError, parser_error};
use super::stream::Part;
use crate::django::utils::html::unescape;
use crate::django::utils::http::{Parameters, parse_header_parameters};
use crate::django::utils::text::strip;
use crate::versions::Versions;

/// `MAX_TOTAL_HEADER_SIZE`: so many bytes of a part are searched for the end of its headers.
const MAX_TOTAL_HEADER_SIZE: usize = 1024;

/// What the headers of a part say.
#[derive(Default)]
pub(super) struct PartHeaders {
    disposition: Option<Parameters>,
    transfer_encoding: Option<String>,
}

impl PartHeaders {
    /// `parse_boundary_stream`; a part without the end of headers has none.
    pub(super) fn read(
        part: &mut Part<'_, '_>,
        versions: Versions,
    ) -> Result<Self, MultiPartError> {
        let chunk = part.read(MAX_TOTAL_HEADER_SIZE);
        let chunk = part.bytes(chunk);
        let Some(end) = chunk.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
            if chunk.len() < MAX_TOTAL_HEADER_SIZE || !versions.long_part_headers_are_refused() {
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
            headers.read_line(line, versions);
            rest = tail.strip_prefix(b"\r\n").unwrap_or_default();
        }
        Ok(headers)
    }

    /// A line that cannot be read is no header; of a repeated header the last counts.
    pub(super) fn read_line(&mut self, line: &[u8], versions: Versions) {
        let Some((name, value, parameters)) =
            str::from_utf8(line).ok().and_then(|line| split_line(line, versions))
        else {
            return;
        };
        match name.as_str() {
            "content-disposition" => self.disposition = Some(parameters),
            "content-transfer-encoding" => self.transfer_encoding = Some(value),
            _ => {}
        }
    }

    pub(super) fn name(&self) -> Option<&str> {
        self.disposition.as_ref()?.get("name")
    }

    /// An empty file name makes an ordinary field.
    pub(super) fn filename(&self) -> Option<&str> {
        self.disposition.as_ref()?.get("filename").filter(|name| !name.is_empty())
    }

    pub(super) fn is_base64(&self) -> bool {
        self.transfer_encoding.as_deref().is_some_and(|value| strip(value) == "base64")
    }
}

/// Name in lower case, value and parameters.
fn split_line(line: &str, versions: Versions) -> Option<(String, String, Parameters)> {
    let parse = |text| parse_header_parameters(text, versions).ok();
    if versions.part_headers_are_split_first() {
        let (name, value) = line.split_once(':')?;
        let (value, parameters) = parse(value.trim_start_matches(' '))?;
        return Some((name.to_lowercase().trim_end_matches(' ').to_owned(), value, parameters));
    }
    let (whole, parameters) = parse(line)?;
    let (name, value) = whole.split_once(':')?;
    Some((name.to_owned(), value.to_owned(), parameters))
}

/// `sanitize_file_name`; `None` for a name that is none.
pub(super) fn sanitize_file_name(name: &str) -> Option<String> {
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
