//! `openapi`: prints a document, without server or database, as `manage.py spectacular` does.

use std::io::Write;

use clap::ValueEnum;

use super::CommandError;
use crate::openapi::{self, Dialect, Schema};
use crate::rest_framework::renderers::{render_json, render_yaml};
use crate::settings::Settings;

/// How the document is written.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Format {
    /// YAML.
    Yaml,
    /// JSON, indented.
    Json,
}

/// Writes the document, with a last line end.
pub fn run(
    settings: &Settings,
    dialect: Dialect,
    format: Format,
    out: &mut impl Write,
) -> Result<(), CommandError> {
    let Schema { own, spectacular } = openapi::schema(settings).map_err(CommandError::new)?;
    let document = match dialect {
        Dialect::DrfAuthtoken => own,
        Dialect::DrfSpectacular => spectacular,
    };
    let mut text = match format {
        Format::Yaml => render_yaml(&document),
        Format::Json => render_json(&document, 2),
    };
    if !text.ends_with(b"\n") {
        text.push(b'\n');
    }
    Ok(out.write_all(&text)?)
}
