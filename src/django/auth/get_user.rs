//! `django.contrib.auth.get_user`: whose session it is.

use chrono::{DateTime, Utc};
use subtle::ConstantTimeEq;

use super::models::{Credentials, User, UserModel};
use crate::db::{Database, DatabaseError};
use crate::django::sessions::{self, Session};
use crate::django::utils::crypto::salted_hmac;
use crate::settings::Settings;

/// `AbstractBaseUser._get_session_auth_hash`
const KEY_SALT: &str = "django.contrib.auth.models.AbstractBaseUser.get_session_auth_hash";

/// What came of a session.
pub enum Found {
    /// `request.user`
    User(User),
    /// `AnonymousUser`: the session is nobody's.
    Anonymous,
    /// `AnonymousUser`, and there is no such session, or Django would have ended it now.
    Nothing,
}

/// `get_user`. Where Django ends a session, because the user has another password since, this leaves its row alone;
/// and where a fallback key has made the session's hash it leaves the session's key.
pub async fn get_user(
    database: &Database,
    settings: &Settings,
    users: &UserModel,
    session_key: Option<&str>,
    now: DateTime<Utc>,
) -> Result<Found, DatabaseError> {
    let Some(session) = sessions::load(database, settings, session_key, now).await? else {
        return Ok(Found::Nothing);
    };
    let Session { user_id: Some(user_id), backend: Some(backend), hash } = session else {
        return Ok(Found::Anonymous);
    };
    if !settings.authentication_backends.contains(&backend) {
        return Ok(Found::Anonymous);
    }
    let found = users.get_by_pk(database, &user_id).await?;
    // `ModelBackend.get_user`
    let Some(credentials) = found.filter(|found| found.user.is_active) else {
        return Ok(Found::Anonymous);
    };
    let is_verified = hash.is_some_and(|hash| is_hash_of(&credentials, &hash, settings));
    Ok(if is_verified { Found::User(credentials.user) } else { Found::Nothing })
}

/// `get_session_auth_hash`, and `get_session_auth_fallback_hash`.
fn is_hash_of(credentials: &Credentials, hash: &str, settings: &Settings) -> bool {
    let password = credentials.password.as_str();
    settings.secret_keys().any(|secret| {
        let sum = salted_hmac(KEY_SALT, password, secret).map(|byte| format!("{byte:02x}"));
        bool::from(sum.concat().as_bytes().ct_eq(hash.as_bytes()))
    })
}
