//! `openapi`: prints the document, without server or database.

use std::io::Write;

use super::CommandError;
use crate::openapi;
use crate::settings::Settings;

/// Writes the document, indented, with a last line end.
pub fn run(settings: &Settings, out: &mut impl Write) -> Result<(), CommandError> {
    let document = openapi::document(settings).map_err(CommandError::new)?;
    let text = serde_json::to_string_pretty(&document).map_err(CommandError::new)?;
    Ok(writeln!(out, "{text}")?)
}
