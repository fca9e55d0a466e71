//! The newest password's iterations against those of new ones.

use super::issues::Issue;
use crate::db::Database;
use crate::django::auth::hashers::default_iterations;
use crate::django::auth::models::UserModel;
use crate::management::CommandError;
use crate::settings::{DjangoVersion, KeyType, SettingValue, Settings};
use crate::versions::Version;

/// Looks at the user made last: the Django beside hashed that password with its own default.
pub(super) async fn check_iterations(
    database: &Database,
    settings: &Settings,
) -> Result<Option<Issue>, CommandError> {
    let version = settings.versions().django;
    let default = default_iterations((version.0, version.1));
    let ours = settings.pbkdf2_iterations.or(default).unwrap_or_default();
    if !matches!(settings.auth_user_pk_type, KeyType::Int | KeyType::Bigint) {
        // These keys do not tell who was made last.
        return Ok(None);
    }
    let UserModel { table, pk, password, .. } = UserModel::new(settings);
    let sql = format!(
        "SELECT CAST({password} AS text) AS password FROM {table} WHERE {password} LIKE 'pbkdf2_sha256$%' ORDER BY {pk} DESC LIMIT 1"
    );
    let Some(row) = database.query_one(&sql, []).await? else {
        return Ok(None);
    };
    let encoded: String = row.try_get("", "password").map_err(CommandError::new)?;
    let stored = encoded.split('$').nth(1).and_then(|count| count.parse::<u32>().ok());
    let object =
        format!("{}.{}", settings.auth_user_table.print(), settings.auth_user_password_column);
    Ok(stored
        .filter(|stored| *stored != ours)
        .map(|stored| iterations_differ(&object, stored, ours)))
}

fn iterations_differ(object: &str, stored: u32, ours: u32) -> Issue {
    let message = format!(
        "the newest user's hash has {stored} iterations, new ones get {ours}. This service and \
         Django would rewrite each other's hashes at every login."
    );
    let is_default_of = |line: &&str| {
        let version = Version::parse(line);
        version.and_then(|version| default_iterations((version.0, version.1))) == Some(stored)
    };
    let hint = match DjangoVersion::KNOWN.split(", ").find(is_default_of) {
        Some(line) => {
            format!("If the site runs Django {line}, set DJANGO_VERSION to {line}.")
        }
        None => format!(
            "If the site's hasher makes {stored} iterations, set PBKDF2_ITERATIONS to {stored}."
        ),
    };
    Issue::new(object, "W002", message, &hint)
}
