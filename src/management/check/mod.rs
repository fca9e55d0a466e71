//! `django.core.management.commands.check`: whether this service fits the site as it is.
//!
//! The live tables against what is needed, and what this role may do with them; the newest password, the clock, the
//! replica, and with `--against` the answers of a running Django. An error of the tables keeps the service from
//! starting; a warning concerns the commands only, the Django beside, or what a role that only reads cannot do.

pub mod against;
mod clock;
mod hashers;
mod issues;
mod replica;
mod tables;
#[cfg(test)]
mod tests;

use std::io::Write;

use chrono::{DateTime, Utc};

use self::against::Site;
use self::clock::check_clock;
use self::hashers::{are_counted, check_hashers};
use self::replica::check_replica;
use self::tables::check_tables;
use super::CommandError;
use crate::db::Database;
use crate::settings::Settings;

/// `--fail-level`: from which level on the command fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "UPPER")]
pub enum FailLevel {
    /// An error: this service would not do.
    Error,
    /// A warning too.
    Warning,
}

/// Prints the settings, compares, and reports as Django's `check` does: all well on standard
/// output, warnings on standard error, and what is of `fail_level` ends the command.
pub async fn run(
    settings: &Settings,
    database: &Database,
    site: Option<&Site>,
    fail_level: FailLevel,
    now: fn() -> DateTime<Utc>,
    out: &mut impl Write,
) -> Result<(), CommandError> {
    for (name, value) in settings.printed() {
        writeln!(out, "{name} = {value}")?;
    }
    out.flush()?;
    let mut issues = check_tables(settings, database).await.map_err(CommandError::new)?;
    if issues.errors.is_empty() {
        issues.warnings.extend(check_hashers(database, settings).await?);
    }
    issues.warnings.extend(check_clock(database, now).await?);
    issues.warnings.extend(check_replica(settings).await);
    // Without its tables this service would not answer as it will.
    if let Some(site) = site.filter(|_| issues.errors.is_empty()) {
        let asked = against::check_answers(settings, database, site, &mut issues).await?;
        writeln!(out, "{asked}")?;
    }
    let warns = fail_level == FailLevel::Warning && !issues.warnings.is_empty();
    if warns || !issues.errors.is_empty() {
        return Err(issues.into_error());
    }
    if issues.warnings.is_empty() {
        writeln!(out, "{}", issues.text())?;
    } else {
        writeln!(std::io::stderr(), "{}", issues.text())?;
    }
    Ok(())
}

/// What must hold before the service starts. Of the warnings only the one that concerns a
/// running service is logged; the others are left to the command.
pub async fn require_tables(settings: &Settings, database: &Database) -> Result<(), CommandError> {
    let issues = check_tables(settings, database).await.map_err(CommandError::new)?;
    if !issues.errors.is_empty() {
        return Err(issues.into_error());
    }
    // Without an index to the newest one it would be a look at all of them.
    if are_counted(settings)
        && let Some(issue) = check_hashers(database, settings).await?
    {
        tracing::warn!("{} {}", issue.message, issue.hint);
    }
    Ok(())
}
