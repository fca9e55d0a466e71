//! `django.contrib.auth.backends.ModelBackend`: username and password to a user.

use std::fmt;

use super::hashers::{Check, Password, Reason};
use super::hashing_pool::{HashingError, HashingPool};
use super::models::{Credentials, UserModel};
use crate::db::{Database, DatabaseError};

/// Why nobody could be asked.
#[derive(Debug)]
pub enum BackendError {
    /// The database failed.
    Database(DatabaseError),
    /// The hashing pool is full, or failed.
    Hashing(HashingError),
}

impl fmt::Display for BackendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Database(error) => write!(f, "{error}"),
            Self::Hashing(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for BackendError {}

impl From<DatabaseError> for BackendError {
    fn from(error: DatabaseError) -> Self {
        Self::Database(error)
    }
}

impl From<HashingError> for BackendError {
    fn from(error: HashingError) -> Self {
        Self::Hashing(error)
    }
}

/// Why nobody was let in: for the log and the metrics, never for the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The primary key of the user, if there is one. A username is not told: people type their
    /// passwords there.
    pub user: Option<String>,
    /// The reason, one of a few words.
    pub reason: &'static str,
}

impl Refused {
    fn new(found: Option<&Credentials>, reason: &'static str) -> Self {
        Self { user: found.map(|found| found.user.pk.clone()), reason }
    }
}

/// `authenticate`: the user, with the hash that is stored now, or why not.
///
/// As in Django an outdated hash is replaced before `is_active` is looked at. Unlike Django a
/// hash that changed since it was read is left alone: the credentials then still hold the hash
/// that was verified, and whoever issues something for them must compare it again.
pub async fn authenticate(
    database: &Database,
    users: &UserModel,
    pool: &HashingPool,
    username: &str,
    password: &Password,
) -> Result<Result<Credentials, Refused>, BackendError> {
    if pool.is_full() {
        return Err(HashingError::Overloaded.into());
    }
    let found = users.get_by_natural_key(database, username).await?;
    let encoded = found.as_ref().map(|found| found.password.clone());
    let check = pool.check_password(password.clone(), encoded).await?;
    let credentials = match (check, found) {
        (Check::Valid { must_update }, Some(credentials)) => {
            if must_update {
                upgrade(database, users, pool, password, credentials).await
            } else {
                credentials
            }
        }
        (Check::Invalid(reason), found) => {
            return Ok(Err(refused(reason, found.as_ref())));
        }
        (Check::Valid { .. }, None) => return Ok(Err(Refused::new(None, "no_such_user"))),
    };
    // `user_can_authenticate`.
    if !credentials.user.is_active {
        return Ok(Err(Refused::new(Some(&credentials), "inactive")));
    }
    Ok(Ok(credentials))
}

/// The setter of `User.check_password`, as a compare-and-swap on the verified hash. A right password is let in
/// whatever becomes of this; its next login tries again.
async fn upgrade(
    database: &Database,
    users: &UserModel,
    pool: &HashingPool,
    password: &Password,
    verified: Credentials,
) -> Credentials {
    let fresh = match pool.make_password(password.clone()).await {
        Ok(fresh) => fresh,
        // Django fails where plain bcrypt does not take the password.
        Err(error) => {
            tracing::warn!(user_id = verified.user.pk, %error, "an outdated hash stays");
            return verified;
        }
    };
    match users.set_password(database, &verified, &fresh).await {
        Ok(true) => return Credentials { password: fresh, ..verified },
        Ok(false) => {
            tracing::info!(user_id = verified.user.pk, "a password changed while it was verified");
        }
        // A database that is read-only, locked or full; if it wrote after all, the hash that was
        // verified is no longer the user's, and the login starts over.
        Err(error) => {
            tracing::warn!(user_id = verified.user.pk, %error, "an outdated hash stays");
        }
    }
    verified
}

/// A stored hash that cannot be used is somebody's to mend.
fn refused(reason: Reason, found: Option<&Credentials>) -> Refused {
    let user_id = found.map(|found| found.user.pk.as_str());
    let reason = match reason {
        Reason::Corrupt => {
            tracing::warn!(user_id, "login refused: the stored password hash is corrupt");
            "corrupt_hash"
        }
        Reason::UnknownAlgorithm => {
            tracing::warn!(user_id, "login refused: no hasher for the stored password hash");
            "unknown_hasher"
        }
        Reason::NoSuchUser => "no_such_user",
        Reason::WrongPassword => "wrong_password",
        Reason::Unusable => "unusable_password",
    };
    Refused::new(found, reason)
}
