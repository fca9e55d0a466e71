//! `rest_framework.parsers.FormParser`: `application/x-www-form-urlencoded`.

use super::{Data, ParseFailure};
use crate::django::http::multipartparser::UploadedFiles;
use crate::django::http::querydict::{QueryDict, TooManyFieldsSent};
use crate::django::utils::encoding::Charset;

/// `FormParser.parse`
pub(super) fn parse(
    body: &[u8],
    charset: Charset,
    number_fields: Option<usize>,
) -> Result<Data, ParseFailure> {
    let fields = QueryDict::from_form(body, charset, number_fields)
        .map_err(|TooManyFieldsSent| ParseFailure::TooManyFields)?;
    Ok(Data::Form(fields, UploadedFiles::default()))
}
