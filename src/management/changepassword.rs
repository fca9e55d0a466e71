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
use crate::django::auth::models::UserModel;
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
    // Whatever stood there, as in Django: this password is the latest word. Said twice it could not be the latest.
    let UserModel { table, username_field: field, password, .. } = &state.users;
    let sql = format!("UPDATE {table} SET {password} = $1 WHERE {field} = $2");
    let values = [encoded.as_str().into(), username.into()];
    if state.database.execute_once(&sql, values).await? == 0 {
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
        let UserModel { table, username_field: field, .. } = &state.users;
        let sql = format!(
            r#"SELECT "first_name" AS first_name, "last_name" AS last_name, "email" AS email FROM {table} WHERE {field} = $1"#
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

#[cfg(test)]
mod tests {
    use super::super::console::tests::Script;
    use super::super::createsuperuser;
    use super::super::migrate::tests::Site;
    use super::*;

    const BEGIN: &str = "out: Changing password for user 'walter'";

    async fn site() -> Site {
        let site = Site::migrated().await;
        createsuperuser::create(&site.state, "walter", "", None).await.unwrap();
        site
    }

    /// What is said besides the prompts.
    async fn said(site: &Site, username: &str, answers: &[&'static str]) -> Vec<String> {
        let mut console = Script::new(answers);
        let done = handle(&site.state, username, &mut console).await;
        console.said.extend(done.err().map(|error| error.to_string()));
        console.said.retain(|line| !line.starts_with("Password"));
        console.said
    }

    #[tokio::test]
    async fn the_third_try_may_succeed() {
        let site = site().await;
        let answers = ["a", "b", "1234", "1234", "correct-horse", "correct-horse"];
        assert_eq!(
            said(&site, "walter", &answers).await,
            [
                BEGIN,
                "out: Passwords do not match. Please try again.",
                "err: This password is too short. It must contain at least 8 characters.\nThis password is entirely numeric.",
                "out: Password changed successfully for user 'walter'",
            ]
        );
        let stored = site.value("SELECT password FROM auth_user").await.unwrap();
        assert!(stored.starts_with("pbkdf2_sha256$1000$"), "{stored}");
    }

    #[tokio::test]
    async fn after_three_tries_the_old_password_stays() {
        let site = site().await;
        let answers = ["a", "b", "a", "b", "a", "b"];
        let said = said(&site, "walter", &answers).await;
        let aborted = "CommandError: Aborting password change for user 'walter' after 3 attempts";
        assert_eq!(said.last().unwrap(), aborted);
        assert!(site.value("SELECT password FROM auth_user").await.unwrap().starts_with('!'));
    }

    #[tokio::test]
    async fn an_empty_password_aborts() {
        assert_eq!(said(&site().await, "walter", &[""]).await, [BEGIN, "CommandError: aborted"]);
        let at_the_second = said(&site().await, "walter", &["a", ""]).await;
        assert_eq!(at_the_second, [BEGIN, "CommandError: aborted"]);
    }

    #[tokio::test]
    async fn the_users_own_attributes_are_compared() {
        let site = site().await;
        site.sql("UPDATE auth_user SET last_name = 'Heisenberg'").await;
        let said = said(&site, "walter", &["heisenberg1", "heisenberg1"]).await;
        assert_eq!(said[1], "err: The password is too similar to the last name.");
    }

    #[tokio::test]
    async fn an_unknown_user_is_named() {
        let said = said(&site().await, "eve", &[]).await;
        assert_eq!(said, ["CommandError: user 'eve' does not exist"]);
    }
}
