//! `demo`: the main job on a SQLite file, with a user to try it.

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use super::{CommandError, createsuperuser, migrate, serve};
use crate::db::{Database, Missing};
use crate::django::auth::hashers::{Password, get_random_string};
use crate::django::auth::models::Credentials;
use crate::rest_framework::authtoken::models::generate_key;
use crate::settings::{DatabaseUrl, Settings};
use crate::state::State;

const USERNAME: &str = "demo";
const PASSWORD_LENGTH: usize = 16;

/// Makes the file and the user unless they are there, and serves.
pub async fn run(settings: Settings, out: &mut impl Write) -> Result<(), CommandError> {
    let DatabaseUrl::Sqlite(file) = settings.database_url.clone() else {
        return Err(CommandError::new("demo works on a SQLite file; take `serve` for PostgreSQL"));
    };
    let found = Path::new(&file).exists();
    let database = Database::connect(&settings, Missing::Create).await?;
    let state =
        Arc::new(State::new(settings.clone(), database.clone()).map_err(CommandError::new)?);
    let password = if found {
        None
    } else {
        migrate::run(&database, &mut std::io::sink()).await?;
        Some(create_user(&state).await?)
    };
    let user = state.users.get_by_natural_key(&database, USERNAME).await?.ok_or_else(|| {
        CommandError::new(format_args!(
            "{file} is there, but without the user {USERNAME:?}; it is not a demo's file. \
             Name another one: --database FILE"
        ))
    })?;
    let token = token_of(&state, &user).await?;
    drop(state);
    let mut told = Ok(());
    serve::run(settings, database, |address| {
        told = tell(out, &file, address, password.as_deref(), &token);
    })
    .await?;
    Ok(told?)
}

/// A superuser with a fresh password, which is returned.
async fn create_user(state: &State) -> Result<String, CommandError> {
    let password = get_random_string(PASSWORD_LENGTH, state.random).map_err(CommandError::new)?;
    createsuperuser::create(state, USERNAME, "demo@example.com", Password::from(password.clone()))
        .await?;
    Ok(password)
}

async fn token_of(state: &State, user: &Credentials) -> Result<String, CommandError> {
    let mut random = [0; 20];
    (state.random)(&mut random).map_err(CommandError::new)?;
    let (key, created) = (generate_key(random), (state.now)());
    let token = state.tokens.get_or_create(&state.database, user, &key, created).await?;
    token.ok_or_else(|| CommandError::new(format_args!("the user {USERNAME:?} is not active")))
}

/// What to paste into a shell.
fn tell(
    out: &mut impl Write,
    file: &str,
    address: SocketAddr,
    password: Option<&str>,
    token: &str,
) -> std::io::Result<()> {
    let site = format!("http://{address}");
    match password {
        Some(password) => {
            writeln!(out, "Made {file} with the user {USERNAME:?}. Log in:\n")?;
            writeln!(
                out,
                "  curl -d username={USERNAME} -d password={password} {site}/api-token-auth/\n"
            )?;
        }
        None => writeln!(
            out,
            "Found {file}, made by an earlier start: the user {USERNAME:?} keeps the password that \
             was printed then.\nFor a new one: DATABASE_URL=sqlite:///{file} drf-authtoken \
             changepassword {USERNAME}\n"
        )?,
    }
    writeln!(out, "Open the protected view with the token:\n")?;
    writeln!(out, "  curl -H 'Authorization: Token {token}' {site}/secret/\n")?;
    writeln!(out, "Read the API's document:\n")?;
    writeln!(out, "  curl {site}/api/schema/\n")?;
    writeln!(out, "Stop with Ctrl-C.")?;
    out.flush()
}
