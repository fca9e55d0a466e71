//! `django.core.management`: the commands, named as Django names them.

use std::fmt;

use crate::db::DatabaseError;
use crate::settings::Settings;

pub mod changepassword;
pub mod check;
pub mod console;
pub mod createsuperuser;
pub mod demo;
pub mod drf_create_token;
mod getuser;
mod introspection;
pub mod log;
pub mod migrate;
pub mod openapi;
mod operations;
pub mod serve;

/// `CommandError`: a command ends with a message on standard error and an exit code.
#[derive(Debug)]
pub struct CommandError {
    /// The message, as it is printed.
    pub message: String,
    /// The exit code: Django's is 1, and 2 for a command line or settings that cannot be read.
    pub exit_code: u8,
}

impl CommandError {
    /// As Django prints it, with exit code 1.
    pub fn new(message: impl fmt::Display) -> Self {
        Self { message: format!("CommandError: {message}"), exit_code: 1 }
    }

    /// The database could not be reached. `database` is its printed URL, without password.
    #[must_use]
    pub fn unreachable(database: &str, error: &DatabaseError) -> Self {
        Self::new(format_args!(
            "cannot use the database {database}: {error}. Check DATABASE_URL and that the server is up."
        ))
    }
}

/// Refuses a command that writes the columns of `auth.User` where the site's users are others.
pub fn require_djangos_tables(settings: &Settings, command: &str) -> Result<(), CommandError> {
    if settings.has_djangos_tables() {
        return Ok(());
    }
    Err(CommandError::new(format_args!(
        "{command} knows the tables of Django's own auth.User only, and AUTH_USER_… or AUTHTOKEN_TABLE name \
         others. Run `python manage.py {command}` in the Django project."
    )))
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for CommandError {}

impl From<DatabaseError> for CommandError {
    fn from(error: DatabaseError) -> Self {
        Self::new(error)
    }
}

impl From<std::io::Error> for CommandError {
    fn from(error: std::io::Error) -> Self {
        Self::new(error)
    }
}
