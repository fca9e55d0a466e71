//! `rest_framework.parsers.MultiPartParser`: `multipart/form-data`.

use super::{Data, ParseFailure, ParserContext};
use crate::django::http::multipartparser::{MultiPartError, MultiPartParser};
use crate::django::utils::encoding::Charset;
use crate::memory::Memory;

/// `MultiPartParser.parse`; `content_type` is the header read as latin-1.
pub(super) fn parse(
    body: Memory,
    content_type: &str,
    charset: Charset,
    context: &ParserContext,
) -> Result<Data, ParseFailure> {
    let ParserContext { limits, versions, fields } = context;
    let parser = MultiPartParser::new(content_type, charset, limits, *versions, fields)?;
    let (fields, files) = parser.parse(body)?;
    Ok(Data::of_form(fields, files))
}

impl From<MultiPartError> for ParseFailure {
    fn from(error: MultiPartError) -> Self {
        match error {
            MultiPartError::Parser(text) => {
                Self::Parse(format!("Multipart form parse error - {text}"))
            }
            MultiPartError::TooManyFields => Self::TooManyFields,
            MultiPartError::TooManyFiles => Self::TooManyFiles,
            MultiPartError::RequestDataTooBig => Self::RequestDataTooBig,
        }
    }
}
