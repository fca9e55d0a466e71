//! `django.core.checks.messages`: what was found, and how it is told.

use std::fmt::Write as _;

use crate::management::CommandError;

/// `django.core.checks.CheckMessage`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Issue {
    pub(super) object: String,
    pub(super) id: &'static str,
    pub(super) message: String,
    pub(super) hint: String,
}

/// What `run_checks` found, by level.
#[derive(Debug, Default)]
pub(super) struct Issues {
    pub(super) errors: Vec<Issue>,
    pub(super) warnings: Vec<Issue>,
}

impl Issue {
    pub(super) fn new(object: &str, id: &'static str, message: String, hint: &str) -> Self {
        Self { object: object.to_owned(), id, message, hint: hint.to_owned() }
    }

    /// `CheckMessage.__str__`.
    fn text(&self) -> String {
        let Self { object, id, message, hint } = self;
        format!("{object}: (drf_authtoken.{id}) {message}\n\tHINT: {hint}")
    }
}

impl Issues {
    /// A column that no INSERT of ours fills and that demands a value.
    pub(super) fn add_obstacle(&mut self, table: &str, column: &str, serves: bool) {
        let message = "the column is not Django's, demands a value and has no default.".to_owned();
        let hint = "Give the column a default in the database, or let it be NULL.";
        let issue = Issue::new(&format!("{table}.{column}"), "E007", message, hint);
        // Users are inserted by `createsuperuser` only, tokens by logins.
        let level = if serves { &mut self.errors } else { &mut self.warnings };
        level.push(issue);
    }

    /// `BaseCommand.check`.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for (title, issues) in [("ERRORS", &self.errors), ("WARNINGS", &self.warnings)] {
            if !issues.is_empty() {
                let mut lines: Vec<String> = issues.iter().map(Issue::text).collect();
                lines.sort_unstable();
                // Writing to a String cannot fail.
                let _ = write!(text, "\n{title}:\n{}\n", lines.join("\n"));
            }
        }
        match self.errors.len() + self.warnings.len() {
            0 => "System check identified no issues (0 silenced).".to_owned(),
            count => {
                let counted =
                    if count == 1 { "1 issue".to_owned() } else { format!("{count} issues") };
                format!(
                    "System check identified some issues:\n{text}\nSystem check identified {counted} (0 silenced)."
                )
            }
        }
    }

    /// `SystemCheckError`, which says its own name.
    pub(super) fn into_error(self) -> CommandError {
        CommandError { message: format!("SystemCheckError: {}", self.text()), exit_code: 1 }
    }
}
