//! `rest_framework.parsers.FormParser`: `application/x-www-form-urlencoded`.

use super::{Data, ParseFailure, ParserContext};
use crate::django::http::multipartparser::UploadedFiles;
use crate::django::http::querydict::{Post, TooManyFieldsSent};
use crate::django::utils::encoding::Charset;
use crate::memory::Memory;

/// `FormParser.parse`
pub(super) fn parse(
    body: Memory,
    charset: Charset,
    context: &ParserContext,
) -> Result<Data, ParseFailure> {
    let fields = Post::from_form(body, charset, context.limits.number_fields, &context.fields)
        .map_err(|TooManyFieldsSent| ParseFailure::TooManyFields)?;
    Ok(Data::of_form(fields, UploadedFiles::default()))
}
