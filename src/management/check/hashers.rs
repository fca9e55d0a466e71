//! The newest password's hash against new ones.

use super::issues::Issue;
use crate::db::Database;
use crate::django::auth::hashers::{EncodedPassword, Hashers, Outdated, default_iterations};
use crate::django::auth::models::UserModel;
use crate::management::CommandError;
use crate::settings::{DjangoVersion, KeyType, SettingValue, Settings};
use crate::state;
use crate::versions::Version;

/// Looks at the user who was made last, whose password the Django beside has hashed, if nobody has logged in here since.
/// Where the keys do not tell who that is, at the one with the newest token.
pub(super) async fn check_hashers(
    database: &Database,
    settings: &Settings,
) -> Result<Option<Issue>, CommandError> {
    let hashers = state::hashers(settings).map_err(CommandError::new)?;
    let UserModel { table, pk, password, .. } = UserModel::new(settings);
    let (join, newest) = if are_counted(settings) {
        (String::new(), format!("u.{pk}"))
    } else {
        let tokens = &settings.authtoken_table;
        (format!("JOIN {tokens} t ON t.user_id = u.{pk}"), "t.created".to_owned())
    };
    let sql = format!(
        "SELECT CAST(u.{password} AS text) AS password FROM {table} u {join} \
         WHERE u.{password} <> '' AND u.{password} NOT LIKE '!%' ORDER BY {newest} DESC LIMIT 1"
    );
    let row = match database.query_one(&sql, []).await {
        // A role need not read `created`: nothing else does.
        Err(_) if !are_counted(settings) => None,
        row => row?,
    };
    let Some(row) = row else { return Ok(None) };
    let encoded: String = row.try_get("", "password").map_err(CommandError::new)?;
    let object =
        format!("{}.{}", settings.auth_user_table.print(), settings.auth_user_password_column);
    let outdated = hashers.outdated(&EncodedPassword::from(encoded));
    Ok(outdated.map(|outdated| differs(&object, outdated, &hashers)))
}

/// Whether the keys of users are numbers, whose order an index has.
pub(super) fn are_counted(settings: &Settings) -> bool {
    matches!(settings.auth_user_pk_type, KeyType::Int | KeyType::Bigint)
}

fn differs(object: &str, outdated: Outdated, hashers: &Hashers) -> Issue {
    let (ours, iterations) = hashers.preferred();
    let (what, hint) = match outdated {
        Outdated::Hasher(theirs) => (
            format!("is of {}, new ones are of {}", theirs.name(), ours.name()),
            format!(
                "If the site's newest hashes are of {0}, name {1} first in PASSWORD_HASHERS.",
                theirs.name(),
                theirs.path()
            ),
        ),
        Outdated::Iterations(stored) => {
            (format!("has {stored} iterations, new ones get {iterations}"), remedy(stored))
        }
        Outdated::Parameters => (
            format!("has other parameters of {} than new ones get", ours.name()),
            "If DJANGO_VERSION is the site's, its hasher has parameters of its own, which are not supported."
                .to_owned(),
        ),
    };
    let message = format!(
        "the newest user's hash {what}. This service and Django would rewrite each other's hashes at \
         every login."
    );
    Issue::new(object, "W002", message, &hint)
}

/// For another number of iterations.
fn remedy(stored: u32) -> String {
    let is_default_of = |line: &&str| {
        let version = Version::parse(line);
        version.and_then(|version| default_iterations((version.0, version.1))) == Some(stored)
    };
    match DjangoVersion::KNOWN.split(", ").find(is_default_of) {
        Some(line) => format!("If the site runs Django {line}, set DJANGO_VERSION to {line}."),
        None => format!(
            "If the site's hasher makes {stored} iterations, set PBKDF2_ITERATIONS to {stored}."
        ),
    }
}
