//! `django.contrib.sessions.backends.db`: the sessions that Django made. None is ever written here.

use chrono::{DateTime, Utc};
use serde::Deserialize;

use crate::db::{Database, DatabaseError};
use crate::django::core::signing;
use crate::settings::Settings;

/// `SessionBase.key_salt`
const KEY_SALT: &str = "django.contrib.sessions.SessionStore";

/// `SessionBase._validate_session_key`: a shorter one is none.
pub const SHORTEST_KEY: usize = 8;
/// Django's own have 32 characters, and the column 40: a longer one is nobody's.
const LONGEST_KEY: usize = 255;

/// Longer data is read where no request waits: unpacked it may be thousands of times as long. A log-in alone has some
/// 300 bytes.
const LONG: usize = 1024;

/// Data that is longer than this is not read, and counts as corrupt.
const SELECT: &str = r#"SELECT CASE WHEN length("session_data") <= 1048576 THEN CAST("session_data" AS text) END AS data FROM "django_session" WHERE "session_key" = $1 AND "expire_date" > $2"#;

/// What `django.contrib.auth.login` wrote into a session. It has no Debug: whoever knows it is the user.
#[derive(Default, Deserialize)]
pub struct Session {
    /// `SESSION_KEY`: the user's primary key.
    #[serde(rename = "_auth_user_id")]
    pub user_id: Option<String>,
    /// `BACKEND_SESSION_KEY`: the Python path of who let the user in.
    #[serde(rename = "_auth_user_backend")]
    pub backend: Option<String>,
    /// `HASH_SESSION_KEY`: made of the password's hash.
    #[serde(rename = "_auth_user_hash")]
    pub hash: Option<String>,
}

/// `SessionStore(session_key).load()`: `None` if there is no such session, or no more. What cannot be read is a
/// session with nothing in it.
pub async fn load(
    database: &Database,
    settings: &Settings,
    session_key: Option<&str>,
    now: DateTime<Utc>,
) -> Result<Option<Session>, DatabaseError> {
    let Some(key) = session_key.filter(|key| is_key(key)) else { return Ok(None) };
    let values = [key.into(), database.datetime(now)];
    let Some(row) = database.query_one(SELECT, values).await? else { return Ok(None) };
    let session = match row.try_get("", "data")? {
        Some(data) => decode(data, settings).await,
        None => None,
    };
    Ok(Some(session.unwrap_or_else(|| {
        tracing::warn!("a session's data is corrupt, or too long");
        Session::default()
    })))
}

/// Whether a text could be the key of a session.
fn is_key(text: &str) -> bool {
    (SHORTEST_KEY..=LONGEST_KEY).contains(&text.chars().count()) && !text.contains('\0')
}

/// [`read`], where no other request waits for it.
async fn decode(data: String, settings: &Settings) -> Option<Session> {
    if data.len() <= LONG {
        return read(&data, settings.secret_keys());
    }
    let keys: Vec<String> = settings.secret_keys().map(str::to_owned).collect();
    let reading = tokio::task::spawn_blocking(move || read(&data, keys.iter().map(String::as_str)));
    reading.await.ok().flatten()
}

/// `SessionBase.decode`, with the JSON serializer.
fn read<'a>(data: &str, keys: impl Iterator<Item = &'a str>) -> Option<Session> {
    let data = signing::unsign_object(data, KEY_SALT, keys)?;
    let json: String = data.into_iter().map(char::from).collect();
    serde_json::from_str(&json).ok()
}
