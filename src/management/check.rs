//! `django.core.management.commands.check`: the live tables against what the service needs.
//!
//! More columns and tables than these do no harm. An error keeps the service from starting; a
//! warning concerns the commands only, or the Django beside.

use std::fmt::Write as _;
use std::io::Write;

use sea_orm::DbErr;

use super::CommandError;
use super::introspection::{self, Column};
use crate::db::{Database, replica};
use crate::django::auth::hashers::default_iterations;
use crate::django::auth::models::UserModel;
use crate::settings::{DjangoVersion, KeyType, SettingValue, Settings, TableName};
use crate::versions::Version;

/// What a column must be, whatever its exact type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Number,
    Text,
    Uuid,
    Boolean,
    Moment,
}

/// A column and what it must be; whether the service reads or writes it, or only a command.
type Needed<'a> = (&'a str, Kind, bool);

/// What may be NULL in Django's own tables.
const NULL_OK: &str = "last_login";

/// What the commands write beside.
const AUTH_USER: &[(&str, Kind)] = &[
    ("last_login", Kind::Moment),
    ("is_superuser", Kind::Boolean),
    ("first_name", Kind::Text),
    ("last_name", Kind::Text),
    ("email", Kind::Text),
    ("is_staff", Kind::Boolean),
    ("date_joined", Kind::Moment),
];

const MIGRATE: &str = "Run `python manage.py migrate` in the Django project, with 'django.contrib.auth' and 'rest_framework.authtoken' in INSTALLED_APPS. On an empty database this program's own `migrate` will do.";
const CUSTOM_USER: &str = "If the project has an AUTH_USER_MODEL of its own: scripts/export_settings.py writes the settings AUTH_USER_… for it.";

/// `django.core.checks.CheckMessage`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Issue {
    object: String,
    id: &'static str,
    message: String,
    hint: String,
}

/// What `run_checks` found, by level.
#[derive(Debug, Default)]
struct Issues {
    errors: Vec<Issue>,
    warnings: Vec<Issue>,
}

/// Prints the settings, compares, and reports as Django's `check` does: all well on standard
/// output, warnings on standard error, and an error ends the command.
pub async fn run(
    settings: &Settings,
    database: &Database,
    out: &mut impl Write,
) -> Result<(), CommandError> {
    for (name, value) in settings.printed() {
        writeln!(out, "{name} = {value}")?;
    }
    out.flush()?;
    let mut issues = check_tables(settings, database).await.map_err(CommandError::new)?;
    if issues.errors.is_empty() {
        issues.warnings.extend(check_iterations(database, settings).await?);
    }
    issues.warnings.extend(check_replica(settings).await);
    if !issues.errors.is_empty() {
        return Err(issues.into_error());
    }
    if issues.warnings.is_empty() {
        writeln!(out, "{}", issues.text())?;
    } else {
        writeln!(std::io::stderr(), "{}", issues.text())?;
    }
    Ok(())
}

/// What must hold before the service starts. Of the warnings only the one that concerns a
/// running service is logged; the others are left to the command.
pub async fn require_tables(settings: &Settings, database: &Database) -> Result<(), CommandError> {
    let issues = check_tables(settings, database).await.map_err(CommandError::new)?;
    if !issues.errors.is_empty() {
        return Err(issues.into_error());
    }
    if let Some(issue) = check_iterations(database, settings).await? {
        tracing::warn!("{} {}", issue.message, issue.hint);
    }
    Ok(())
}

/// What is unique in the token table, into which log-ins write.
const TOKEN_UNIQUE: [&str; 2] = ["key", "user_id"];

async fn check_tables(settings: &Settings, database: &Database) -> Result<Issues, DbErr> {
    let mut issues = Issues::default();
    let (users, tokens) = (&settings.auth_user_table, &settings.authtoken_table);
    let username = settings.auth_user_username_column.as_str();
    check_table(database, users, &of_users(settings), &[username], &mut issues).await?;
    let pk = Kind::from(settings.auth_user_pk_type);
    let needed =
        [("key", Kind::Text, true), ("created", Kind::Moment, true), ("user_id", pk, true)];
    check_table(database, tokens, &needed, &TOKEN_UNIQUE, &mut issues).await?;
    let strays = introspection::stray_references(database, tokens, users).await?;
    for (column, table) in strays {
        if column == "user_id" {
            let message = format!(
                "tokens belong to the users of the table {table}, not of {}.",
                users.print()
            );
            let object = format!("{}.user_id", tokens.print());
            issues.errors.push(Issue::new(&object, "E006", message, CUSTOM_USER));
        }
    }
    if settings.has_sessions() {
        let needed = [
            ("session_key", Kind::Text, true),
            ("session_data", Kind::Text, true),
            ("expire_date", Kind::Moment, true),
        ];
        let sessions = TableName::new("django_session");
        check_table(database, &sessions, &needed, &["session_key"], &mut issues).await?;
    }
    if !settings.has_djangos_tables() {
        // Who makes a user there knows the columns.
        issues.warnings.retain(|issue| issue.id != "E007");
    }
    Ok(issues)
}

/// The columns of the user's table: those of the settings, those that forward auth tells of, and of `auth.User`
/// the ones that the commands write.
fn of_users(settings: &Settings) -> Vec<Needed<'_>> {
    let mut needed = vec![
        (settings.auth_user_pk_column.as_str(), Kind::from(settings.auth_user_pk_type), true),
        (settings.auth_user_password_column.as_str(), Kind::Text, true),
        (settings.auth_user_username_column.as_str(), Kind::Text, true),
    ];
    needed.extend(
        settings.auth_user_is_active_column.iter().map(|name| (name.as_str(), Kind::Boolean, true)),
    );
    let named: Vec<&str> = needed.iter().map(|(name, ..)| *name).collect();
    for (name, kind) in AUTH_USER.iter().filter(|(name, _)| !named.contains(name)) {
        let is_told = settings.forward_auth && ["email", "is_staff"].contains(name);
        if is_told || settings.has_djangos_tables() {
            needed.push((name, *kind, is_told));
        }
    }
    needed
}

async fn check_table(
    database: &Database,
    name: &TableName,
    needed: &[Needed<'_>],
    unique: &[&str],
    issues: &mut Issues,
) -> Result<(), DbErr> {
    let columns = introspection::columns(database, name).await?;
    let table = &name.print();
    if columns.is_empty() {
        let message = "the table does not exist, or not in the search path.".to_owned();
        issues.errors.push(Issue::new(table, "E001", message, &format!("{MIGRATE} {CUSTOM_USER}")));
        return Ok(());
    }
    for (name, kind, serves) in needed {
        let found = columns.iter().find(|column| column.name == *name);
        let issue = check_column(&format!("{table}.{name}"), *kind, found);
        let level = if *serves { &mut issues.errors } else { &mut issues.warnings };
        level.extend(issue);
    }
    for column in &columns {
        let known = needed.iter().any(|(name, ..)| column.name == *name);
        if !known && !column.has_default {
            let serves = unique == TOKEN_UNIQUE;
            issues.add_obstacle(table, &column.name, serves);
        }
    }
    let found = introspection::unique_columns(database, name).await?;
    for name in unique.iter().filter(|name| !found.iter().any(|column| column == *name)) {
        let message =
            "two rows may have the same value; logins at the same time rely on it.".to_owned();
        let hint = format!("Add a UNIQUE constraint on {table} ({name}), as Django's tables have.");
        issues.errors.push(Issue::new(&format!("{table}.{name}"), "E005", message, &hint));
    }
    Ok(())
}

fn check_column(object: &str, kind: Kind, found: Option<&Column>) -> Option<Issue> {
    let Some(column) = found else {
        let message = "the column does not exist.".to_owned();
        return Some(Issue::new(object, "E002", message, MIGRATE));
    };
    if !kind.is(&column.data_type) {
        let message = format!("the column is of type {}, not {}.", column.data_type, kind.types());
        let hint = format!("Give the column the type that Django gives it. {CUSTOM_USER}");
        return Some(Issue::new(object, "E003", message, &hint));
    }
    if column.null_ok && column.name != NULL_OK {
        let message = "the column may be NULL, which Django's may not.".to_owned();
        let hint = "Give the rows without a value one, then set the column NOT NULL.";
        return Some(Issue::new(object, "E004", message, hint));
    }
    None
}

/// Looks at the user made last: the Django beside hashed that password with its own default.
async fn check_iterations(
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

/// The service starts without its replica, and asks the primary instead.
async fn check_replica(settings: &Settings) -> Option<Issue> {
    let (id, message, hint) = match replica::is_standby(settings).await? {
        Ok(true) => return None,
        Ok(false) => (
            "W004",
            "the database follows no primary: what it says of tokens may be of the past for ever."
                .to_owned(),
            "Name a standby of the server of DATABASE_URL, or None. A subscriber of logical replication may be one, if it has both tables whole.",
        ),
        Err(error) => (
            "W003",
            format!("the replica cannot be used: {error}."),
            "Until it can, DATABASE_URL answers for it.",
        ),
    };
    Some(Issue::new("DATABASE_REPLICA_URL", id, message, hint))
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

impl Kind {
    /// Whether the database's type is one that Django's fields have; a UUID in SQLite is `char(32)`.
    fn is(self, data_type: &str) -> bool {
        let types: &[&str] = match self {
            Self::Number => &["int2", "int4", "int8", "integer", "bigint", "smallint", "int"],
            Self::Text => &["varchar", "text", "bpchar", "citext", "char"],
            Self::Uuid => &["uuid", "char"],
            Self::Boolean => &["bool", "boolean"],
            Self::Moment => &["timestamptz", "datetime"],
        };
        types.contains(&data_type)
    }

    fn types(self) -> &'static str {
        match self {
            Self::Number => "an integer",
            Self::Text => "a text",
            Self::Uuid => "a UUID (SQLite: char(32))",
            Self::Boolean => "a boolean",
            Self::Moment => "a timestamp with time zone (SQLite: datetime)",
        }
    }
}

impl From<KeyType> for Kind {
    fn from(key: KeyType) -> Self {
        match key {
            KeyType::Int | KeyType::Bigint => Self::Number,
            KeyType::Uuid => Self::Uuid,
            KeyType::Text => Self::Text,
        }
    }
}

impl Issue {
    fn new(object: &str, id: &'static str, message: String, hint: &str) -> Self {
        Self { object: object.to_owned(), id, message, hint: hint.to_owned() }
    }

    /// `CheckMessage.__str__`.
    fn text(&self) -> String {
        let Self { object, id, message, hint } = self;
        format!("{object}: (drf_authtoken.{id}) {message}\n\tHINT: {hint}")
    }
}

impl Issues {
    /// A column that no INSERT of ours fills and that demands a value.
    fn add_obstacle(&mut self, table: &str, column: &str, serves: bool) {
        let message = "the column is not Django's, demands a value and has no default.".to_owned();
        let hint = "Give the column a default in the database, or let it be NULL.";
        let issue = Issue::new(&format!("{table}.{column}"), "E007", message, hint);
        // Users are inserted by `createsuperuser` only, tokens by logins.
        let level = if serves { &mut self.errors } else { &mut self.warnings };
        level.push(issue);
    }

    /// `BaseCommand.check`.
    fn text(&self) -> String {
        let mut text = String::new();
        for (title, issues) in [("ERRORS", &self.errors), ("WARNINGS", &self.warnings)] {
            if !issues.is_empty() {
                let mut lines: Vec<String> = issues.iter().map(Issue::text).collect();
                lines.sort_unstable();
                // Writing to a String cannot fail.
                let _ = write!(text, "\n{title}:\n{}\n", lines.join("\n"));
            }
        }
        match self.errors.len() + self.warnings.len() {
            0 => "System check identified no issues (0 silenced).".to_owned(),
            count => {
                let counted =
                    if count == 1 { "1 issue".to_owned() } else { format!("{count} issues") };
                format!(
                    "System check identified some issues:\n{text}\nSystem check identified {counted} (0 silenced)."
                )
            }
        }
    }

    /// `SystemCheckError`, which says its own name.
    fn into_error(self) -> CommandError {
        CommandError { message: format!("SystemCheckError: {}", self.text()), exit_code: 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::super::migrate::tests::Site;
    use super::*;

    /// What is said after the settings, or the error.
    async fn check(site: &Site) -> Result<String, String> {
        let mut out = Vec::new();
        let done = run(&site.state.settings, &site.state.database, &mut out).await;
        let told = String::from_utf8(out).unwrap();
        assert!(told.starts_with("DATABASE_URL = "), "{told}");
        done.map_err(|error| error.to_string())?;
        Ok(told.lines().last().unwrap().to_owned())
    }

    #[tokio::test]
    async fn our_own_tables_have_no_issues() {
        let site = Site::migrated().await;
        let told = check(&site).await;
        assert_eq!(told.as_deref(), Ok("System check identified no issues (0 silenced)."));
        require_tables(&site.state.settings, &site.state.database).await.unwrap();
    }

    #[tokio::test]
    async fn more_columns_and_tables_do_no_harm() {
        let site = Site::migrated().await;
        site.sql("ALTER TABLE auth_user ADD shoe_size integer; ALTER TABLE authtoken_token ADD note text NOT NULL DEFAULT ''; CREATE TABLE shop (id integer)").await;
        assert!(check(&site).await.is_ok());
    }

    #[tokio::test]
    async fn a_missing_table_is_named_with_its_remedy() {
        let site = Site::migrated().await;
        site.sql("DROP TABLE authtoken_token").await;
        let error = check(&site).await.unwrap_err();
        assert!(error.starts_with("SystemCheckError: System check identified some issues:\n\nERRORS:\nauthtoken_token: (drf_authtoken.E001) "), "{error}");
        assert!(error.contains("\n\tHINT: Run `python manage.py migrate`"), "{error}");
        assert!(error.ends_with("\n\nSystem check identified 1 issue (0 silenced)."), "{error}");
        assert!(require_tables(&site.state.settings, &site.state.database).await.is_err());
    }

    #[tokio::test]
    async fn each_difference_of_a_column_is_named() {
        let site = Site::migrated().await;
        site.sql("DROP TABLE authtoken_token; CREATE TABLE authtoken_token (key varchar(40) NOT NULL, created text NOT NULL, user_id integer REFERENCES people (id), scope text NOT NULL)").await;
        let error = check(&site).await.unwrap_err();
        for said in [
            "authtoken_token.created: (drf_authtoken.E003) the column is of type text, not a timestamp",
            "authtoken_token.key: (drf_authtoken.E005)",
            "authtoken_token.scope: (drf_authtoken.E007)",
            "authtoken_token.user_id: (drf_authtoken.E004)",
            "authtoken_token.user_id: (drf_authtoken.E005)",
            "authtoken_token.user_id: (drf_authtoken.E006) tokens belong to the users of the table people",
            "identified 6 issues",
        ] {
            assert!(error.contains(said), "{said}: {error}");
        }
    }

    #[tokio::test]
    async fn what_only_a_command_needs_is_a_warning() {
        let site = Site::migrated().await;
        site.sql("ALTER TABLE auth_user DROP COLUMN first_name").await;
        assert!(require_tables(&site.state.settings, &site.state.database).await.is_ok());
        let issues = check_tables(&site.state.settings, &site.state.database).await.unwrap();
        assert!(issues.text().contains("\nWARNINGS:\nauth_user.first_name: (drf_authtoken.E002)"));
    }

    #[tokio::test]
    async fn iterations_of_another_django_are_a_warning_with_its_version() {
        let site = Site::migrated().await;
        let insert = |id: u32, password: &str| {
            format!(
                "INSERT INTO auth_user VALUES ({id}, '{password}', NULL, 0, 'u{id}', '', '', 0, 1, '2026-01-01', '')"
            )
        };
        for (id, password, said) in [
            (1, "!unusable", None),
            (2, "pbkdf2_sha256$1000$s$h", None),
            (3, "pbkdf2_sha256$600000$s$h", Some("set DJANGO_VERSION to 4.2")),
            (4, "pbkdf2_sha256$7$s$h", Some("set PBKDF2_ITERATIONS to 7")),
        ] {
            site.sql(&insert(id, password)).await;
            let issue = check_iterations(&site.state.database, &site.state.settings).await.unwrap();
            let hint = issue.map(|issue| issue.hint);
            assert_eq!(hint.is_some(), said.is_some(), "{password}");
            assert!(hint.unwrap_or_default().contains(said.unwrap_or_default()), "{password}");
        }
    }
}
