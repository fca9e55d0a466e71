//! `rest_framework.authtoken.management.commands.drf_create_token`.

use std::io::Write;

use super::CommandError;
use crate::django::auth::models::UserModel;
use crate::rest_framework::authtoken::models::generate_key;
use crate::state::State;

/// Prints the token of `username`, made if there is none; with `reset` always a fresh one.
pub async fn run(
    state: &State,
    username: &str,
    reset: bool,
    out: &mut impl Write,
) -> Result<(), CommandError> {
    let found = state.users.get_by_natural_key(&state.database, username).await?;
    let user = found.ok_or_else(|| no_such_user(username))?.user;
    if reset {
        state.tokens.delete(&state.database, &user).await?;
    }
    let key = get_or_create(state, username).await?.ok_or_else(|| no_such_user(username))?;
    writeln!(out, "Generated token {key} for user {username}")?;
    Ok(out.flush()?)
}

/// Why not the `get_or_create` of the login? That one serves a verified password only, and an
/// active user; this command makes a token for anybody, as Django's does.
async fn get_or_create(state: &State, username: &str) -> Result<Option<String>, CommandError> {
    let key = generate_key(state.random).map_err(CommandError::new)?;
    let UserModel { table, pk, username_field: field, .. } = &state.users;
    let tokens = &state.settings.authtoken_table;
    let insert = format!(
        r#"INSERT INTO {tokens} ("key", "created", "user_id") SELECT $1, $2, u.{pk} FROM {table} u WHERE u.{field} = $3 ON CONFLICT DO NOTHING"#
    );
    let created = state.database.datetime((state.now)());
    let values = [key.into(), created, username.into()];
    state.database.execute(&insert, values).await?;
    let select = format!(
        r#"SELECT CAST(t."key" AS text) AS key FROM {tokens} t INNER JOIN {table} u ON t."user_id" = u.{pk} WHERE u.{field} = $1"#
    );
    let row = state.database.query_one(&select, [username.into()]).await?;
    row.map(|row| row.try_get("", "key").map_err(CommandError::new)).transpose()
}

fn no_such_user(username: &str) -> CommandError {
    CommandError::new(format_args!("Cannot create the Token: user {username} does not exist"))
}

#[cfg(test)]
mod tests {
    use super::super::createsuperuser;
    use super::super::migrate::tests::Site;
    use super::*;

    async fn site() -> Site {
        let site = Site::migrated().await;
        createsuperuser::create(&site.state, "bob", "", None).await.unwrap();
        site
    }

    async fn said(site: &Site, username: &str, reset: bool) -> String {
        let mut out = Vec::new();
        match run(&site.state, username, reset, &mut out).await {
            Ok(()) => String::from_utf8(out).unwrap(),
            Err(error) => error.to_string(),
        }
    }

    #[tokio::test]
    async fn a_token_is_made_once_and_printed_again() {
        let site = site().await;
        let first = said(&site, "bob", false).await;
        let key = site.value("SELECT key FROM authtoken_token").await.unwrap();
        assert_eq!(first, format!("Generated token {key} for user bob\n"));
        assert_eq!(said(&site, "bob", false).await, first);
    }

    #[tokio::test]
    async fn reset_makes_a_new_one() {
        let site = site().await;
        let first = said(&site, "bob", true).await;
        assert_ne!(said(&site, "bob", true).await, first);
        let count = site.value("SELECT count(*) || '' FROM authtoken_token").await;
        assert_eq!(count.as_deref(), Some("1"));
    }

    #[tokio::test]
    async fn an_inactive_user_gets_one_too_as_in_django() {
        let site = site().await;
        site.sql("UPDATE auth_user SET is_active = 0").await;
        assert!(said(&site, "bob", false).await.starts_with("Generated token "));
    }

    #[tokio::test]
    async fn an_unknown_user_is_named() {
        let said = said(&site().await, "x", false).await;
        assert_eq!(said, "CommandError: Cannot create the Token: user x does not exist");
    }
}
