//! `MultiPartParserError`, and what else ends the reading of a body.

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

/// The error with this text.
pub(super) fn parser_error<T>(text: impl Into<String>) -> Result<T, MultiPartError> {
    Err(MultiPartError::Parser(text.into()))
}
