//! `django.contrib.auth.management.commands.changepassword`.
//!
//! Differences from Django: passwords are not looked up in Django's list of common ones;
//! Ctrl-C and the end of the input cancel the command, where Django prints a traceback.

use std::io::Write;

use super::CommandError;
use super::console::{Console, Terminal};
use super::createsuperuser::make_password;
use super::getuser::getuser;
use crate::django::auth::hashers::Password;
use crate::django::auth::password_validation::validate_password;
use crate::settings::variable;
use crate::state::State;

const MAX_TRIES: usize = 3;

/// What a new password is compared with.
struct User {
    first_name: String,
    last_name: String,
    email: String,
}

/// Asks for a new password of `username`, or of the user that is called as whoever runs this.
pub async fn run(
    state: &State,
    username: Option<String>,
    out: &mut impl Write,
) -> Result<(), CommandError> {
    // An empty name counts as none, as in Django.
    let username = username.filter(|name| !name.is_empty()).or_else(|| getuser(variable));
    handle(state, &username.unwrap_or_default(), &mut Terminal::new(out)?).await
}

/// `Command.handle`.
async fn handle(
    state: &State,
    username: &str,
    console: &mut impl Console,
) -> Result<(), CommandError> {
    let user = User::get(state, username).await?.ok_or_else(|| no_such_user(username))?;
    console.stdout(&format!("Changing password for user '{username}'"));
    let password = user.ask_password(username, console).await?;
    let encoded = make_password(state, Some(&password))?;
    // Whatever stood there, as in Django: this password is the latest word.
    let (table, field) = (state.users.table, state.users.username_field);
    let sql = format!(r#"UPDATE "{table}" SET "password" = $1 WHERE "{field}" = $2"#);
    let values = [encoded.as_str().into(), username.into()];
    if state.database.execute(&sql, values).await? == 0 {
        return Err(no_such_user(username));
    }
    console.stdout(&format!("Password changed successfully for user '{username}'"));
    Ok(())
}

fn no_such_user(username: &str) -> CommandError {
    CommandError::new(format_args!("user '{username}' does not exist"))
}

impl User {
    async fn get(state: &State, username: &str) -> Result<Option<Self>, CommandError> {
        let (table, field) = (state.users.table, state.users.username_field);
        let sql = format!(
            r#"SELECT "first_name" AS first_name, "last_name" AS last_name, "email" AS email FROM "{table}" WHERE "{field}" = $1"#
        );
        let Some(row) = state.database.query_one(&sql, [username.into()]).await? else {
            return Ok(None);
        };
        let text = |column| row.try_get("", column).map_err(CommandError::new);
        Ok(Some(Self {
            first_name: text("first_name")?,
            last_name: text("last_name")?,
            email: text("email")?,
        }))
    }

    /// Three tries to type a good password twice.
    async fn ask_password(
        &self,
        username: &str,
        console: &mut impl Console,
    ) -> Result<Password, CommandError> {
        for _ in 0..MAX_TRIES {
            let password = console.getpass("Password: ").await?;
            refuse_empty(&password)?;
            let again = console.getpass("Password (again): ").await?;
            refuse_empty(&again)?;
            let messages = self.complaints(username, &password);
            if password != again {
                console.stdout("Passwords do not match. Please try again.");
            } else if messages.is_empty() {
                return Ok(Password::from(password.to_string()));
            } else {
                console.stderr(&messages.join("\n"));
            }
        }
        Err(CommandError::new(format_args!(
            "Aborting password change for user '{username}' after {MAX_TRIES} attempts"
        )))
    }

    fn complaints(&self, username: &str, password: &str) -> Vec<String> {
        let attributes = [
            ("username", username),
            ("first name", &self.first_name),
            ("last name", &self.last_name),
            ("email address", &self.email),
        ];
        validate_password(password, &attributes)
    }
}

fn refuse_empty(password: &str) -> Result<(), CommandError> {
    if password.is_empty() { Err(CommandError::new("aborted")) } else { Ok(()) }
}
