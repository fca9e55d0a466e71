//! `demo`: the main job on a SQLite file, with a user to try it.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use poem::Addr;

use super::{CommandError, createsuperuser, migrate, serve};
use crate::db::{Database, Missing};
use crate::django::auth::hashers::Password;
use crate::django::auth::models::Credentials;
use crate::django::utils::crypto::get_random_string;
use crate::rest_framework::authtoken::models::generate_key;
use crate::settings::{DatabaseUrl, Settings};
use crate::state::State;

const USERNAME: &str = "demo";
const PASSWORD_LENGTH: usize = 16;

/// Makes what is missing of the file and the user, and serves.
pub async fn run(
    settings: Settings,
    reload: impl FnMut() + Send + 'static,
    out: &mut impl Write,
) -> Result<(), CommandError> {
    let DatabaseUrl::Sqlite(file) = settings.database_url.clone() else {
        return Err(CommandError::new("demo works on a SQLite file; take `serve` for PostgreSQL"));
    };
    let database = Database::connect(&settings, Missing::Create).await?;
    let shown = show(settings, &file, database.clone(), reload, out);
    database.closing(Box::pin(shown)).await
}

async fn show(
    settings: Settings,
    file: &str,
    database: Database,
    reload: impl FnMut() + Send + 'static,
    out: &mut impl Write,
) -> Result<(), CommandError> {
    migrate::run(&database, &mut std::io::sink()).await?;
    let state = State::new(settings.clone(), database.clone()).map_err(CommandError::new)?;
    let password =
        if has_users(&database).await? { None } else { Some(create_user(&state).await?) };
    let user = state.users.get_by_natural_key(&database, USERNAME).await?.ok_or_else(|| {
        CommandError::new(format_args!(
            "{file} has users, but not {USERNAME:?}: it is not a demo's file. Name another one: \
             --database FILE"
        ))
    })?;
    let token = token_of(&state, &user).await?;
    drop(state);
    let mut told = Ok(());
    serve::run(settings.clone(), database, reload, |address| {
        told = tell(out, &settings, file, address, password.as_deref(), &token);
    })
    .await?;
    Ok(told?)
}

async fn has_users(database: &Database) -> Result<bool, CommandError> {
    Ok(database.query_one(r#"SELECT 1 FROM "auth_user" LIMIT 1"#, []).await?.is_some())
}

/// A superuser with a fresh password, which is returned.
async fn create_user(state: &State) -> Result<String, CommandError> {
    let password = get_random_string(PASSWORD_LENGTH, state.random).map_err(CommandError::new)?;
    createsuperuser::create(state, USERNAME, "demo@example.com", Password::from(password.clone()))
        .await?;
    Ok(password)
}

async fn token_of(state: &State, user: &Credentials) -> Result<String, CommandError> {
    let key = generate_key(state.random).map_err(CommandError::new)?;
    let created = (state.now)();
    let token = state.tokens.get_or_create(&state.database, user, &key, created).await?;
    token.ok_or_else(|| CommandError::new(format_args!("the user {USERNAME:?} is not active")))
}

/// What to paste into a shell.
fn tell(
    out: &mut impl Write,
    settings: &Settings,
    file: &str,
    address: &Addr,
    password: Option<&str>,
    token: &str,
) -> std::io::Result<()> {
    let site = reachable(address);
    let Settings { secret_path, schema_path, swagger_ui_path, .. } = settings;
    let login_path = settings.login_path.first().map_or("/", String::as_str);
    let keyword = settings.token_keywords.first().map_or("Token", String::as_str);
    match password {
        Some(password) => {
            writeln!(out, "Made {file} with the user {USERNAME:?}. Log in:\n")?;
            writeln!(
                out,
                "  curl -d username={USERNAME} -d password={password} {site}{login_path}\n"
            )?;
        }
        None => writeln!(
            out,
            "Found {file}, made by an earlier start: the user {USERNAME:?} keeps the password that \
             was printed then.\nFor a new one: DATABASE_URL=sqlite:///{file} drf-authtoken \
             changepassword {USERNAME}\n"
        )?,
    }
    if let Some(path) = secret_path {
        writeln!(out, "Open the protected view with the token:\n")?;
        writeln!(out, "  curl -H 'Authorization: {keyword} {token}' {site}{path}\n")?;
    }
    if let Some(path) = schema_path {
        writeln!(out, "Read the API's document:\n\n  curl {site}{path}\n")?;
    }
    if let (Some(_), Some(path)) = (schema_path, swagger_ui_path) {
        writeln!(out, "Or look at it in a browser: {site}{path}\n")?;
    }
    writeln!(out, "Stop with Ctrl-C.")?;
    out.flush()
}

/// The site's URL as curl takes it. The address that stands for all is none to connect to.
fn reachable(address: &Addr) -> String {
    let Some(mut address) = address.as_socket_addr().copied() else {
        return format!(
            "--unix-socket {} http://localhost",
            serve::shown(address).replacen("unix:", "", 1)
        );
    };
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    format!("http://{address}")
}
