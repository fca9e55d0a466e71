//! Where settings are written, and how a mistake in them is told.

use std::path::Path;

use super::{Raw, SettingError, TABLE};

/// The setting that a mistyped name was meant to be.
pub(super) fn nearest(name: &str) -> Option<&'static str> {
    let alike = |known: &'static str| (strsim::jaro_winkler(&name.to_uppercase(), known), known);
    let best =
        TABLE.iter().map(|row| alike(row.name)).max_by(|one, other| one.0.total_cmp(&other.0));
    best.filter(|(likeness, _)| *likeness > 0.9).map(|(_, known)| known)
}

/// As it is told in an error, if it is no secret.
pub(super) fn shown(raw: &Raw) -> String {
    match raw {
        Raw::Text(text) => format!("{text:?}"),
        Raw::List(items) => format!("{items:?}"),
        Raw::Table(_) => "(a table)".to_owned(),
    }
}

/// The settings of a TOML file, each with its source.
pub(super) fn read_file(path: &Path) -> Result<Vec<(String, Raw, String)>, SettingError> {
    let fail = |why: String| SettingError(format!("settings file {}: {why}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| fail(error.to_string()))?;
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        // Its Display quotes the line, which may hold a password.
        let line = error.span().map_or(1, |span| {
            1 + text.bytes().take(span.start).filter(|byte| *byte == b'\n').count()
        });
        fail(format!("line {line}: {}", error.message()))
    })?;
    Ok(table
        .into_iter()
        .map(|(name, value)| (name, raw_of(value), path.display().to_string()))
        .collect())
}

fn raw_of(value: toml::Value) -> Raw {
    match value {
        toml::Value::String(text) => Raw::Text(text),
        toml::Value::Array(items) => Raw::List(
            items
                .into_iter()
                .map(|item| match item {
                    toml::Value::String(text) => text,
                    other => other.to_string(),
                })
                .collect(),
        ),
        toml::Value::Table(table) => Raw::Table(table),
        other => Raw::Text(other.to_string()),
    }
}
