//! The live tables against what the service needs. More columns and tables than these do no harm.

use sea_orm::DbErr;

use super::issues::{Issue, Issues};
use crate::db::Database;
use crate::management::introspection::{self, Column, Privilege};
use crate::settings::{KeyType, SettingValue, Settings, TableName};

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

/// What forward auth tells of groups.
const GROUPS: [(&str, &[Needed<'_>]); 2] = [
    ("auth_group", &[("id", Kind::Number, true), ("name", Kind::Text, true)]),
    ("auth_user_groups", &[("user_id", Kind::Number, true), ("group_id", Kind::Number, true)]),
];

const OWN_MIGRATE: &str = "On an empty database this program's own `migrate` will do.";
const GRANT: &str = "README has the GRANTs that this service needs, under Scale.";
const CUSTOM_USER: &str = "If the project has an AUTH_USER_MODEL of its own: scripts/export_settings.py writes the settings AUTH_USER_… for it.";

/// A table as the service needs it.
struct Wanted<'a> {
    name: &'a TableName,
    columns: Vec<Needed<'a>>,
    unique: &'a [&'a str],
    /// As README's GRANTs have it. Only reading does without the last two.
    selected: Vec<&'a str>,
    inserted: &'a [&'a str],
    updated: &'a [&'a str],
    /// How Django makes it.
    migrate: String,
}

impl Wanted<'_> {
    /// The hint where it is missing, or a part of it.
    fn migrated_by(migration: &str, app: &str) -> String {
        let label = migration.split('.').next().unwrap_or_default();
        format!(
            "The migration {migration} makes it: run `python manage.py migrate {label}` in the Django project, with \
             '{app}' in INSTALLED_APPS."
        )
    }
}

pub(super) async fn check_tables(
    settings: &Settings,
    database: &Database,
) -> Result<Issues, DbErr> {
    let mut issues = Issues::default();
    let (users, tokens) = (&settings.auth_user_table, &settings.authtoken_table);
    let columns = of_users(settings);
    let wanted = Wanted {
        name: users,
        selected: columns.iter().filter(|(_, _, serves)| *serves).map(|(name, ..)| *name).collect(),
        columns,
        unique: &[&settings.auth_user_username_column],
        inserted: &[],
        updated: &[&settings.auth_user_password_column],
        migrate: if settings.has_djangos_tables() {
            let by = Wanted::migrated_by("auth.0001_initial", "django.contrib.auth");
            format!("{by} {OWN_MIGRATE} {CUSTOM_USER}")
        } else {
            format!(
                "The migrations of the app with the AUTH_USER_MODEL make it: run `python manage.py migrate` in the \
                 Django project. {CUSTOM_USER}"
            )
        },
    };
    check_table(database, &wanted, &mut issues).await?;
    let pk = Kind::from(settings.auth_user_pk_type);
    let by = Wanted::migrated_by("authtoken.0001_initial", "rest_framework.authtoken");
    let wanted = Wanted {
        name: tokens,
        columns: vec![
            ("key", Kind::Text, true),
            ("created", Kind::Moment, true),
            ("user_id", pk, true),
        ],
        unique: &["key", "user_id"],
        selected: vec!["key", "user_id"],
        inserted: &["key", "created", "user_id"],
        updated: &[],
        migrate: if settings.has_djangos_tables() { format!("{by} {OWN_MIGRATE}") } else { by },
    };
    check_table(database, &wanted, &mut issues).await?;
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
    if settings.forward_auth && settings.forward_auth_groups_header.is_some() {
        for (name, columns) in GROUPS {
            let wanted = Wanted {
                name: &TableName::new(name),
                columns: columns.to_vec(),
                unique: &[],
                selected: columns.iter().map(|(name, ..)| *name).collect(),
                inserted: &[],
                updated: &[],
                migrate: Wanted::migrated_by("auth.0001_initial", "django.contrib.auth"),
            };
            check_table(database, &wanted, &mut issues).await?;
        }
    }
    if settings.has_sessions() {
        let wanted = Wanted {
            name: &TableName::new("django_session"),
            columns: vec![
                ("session_key", Kind::Text, true),
                ("session_data", Kind::Text, true),
                ("expire_date", Kind::Moment, true),
            ],
            unique: &["session_key"],
            selected: vec!["session_key", "session_data", "expire_date"],
            inserted: &[],
            updated: &[],
            migrate: Wanted::migrated_by("sessions.0001_initial", "django.contrib.sessions"),
        };
        check_table(database, &wanted, &mut issues).await?;
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
    wanted: &Wanted<'_>,
    issues: &mut Issues,
) -> Result<(), DbErr> {
    let Wanted { name, columns: needed, unique, migrate, .. } = wanted;
    let columns = introspection::columns(database, name).await?;
    let table = &name.print();
    if columns.is_empty() {
        let message = "the table does not exist, or not in the search path.".to_owned();
        issues.errors.push(Issue::new(table, "E001", message, migrate));
        return Ok(());
    }
    let named = |name: &str| columns.iter().find(|column| column.name == name);
    for (name, kind, serves) in needed {
        let object = format!("{table}.{name}");
        let issue = check_column(&object, *kind, named(name), migrate);
        let level = if *serves { &mut issues.errors } else { &mut issues.warnings };
        level.extend(issue);
    }
    check_privileges(wanted, &columns, issues);
    for column in &columns {
        let known = needed.iter().any(|(name, ..)| column.name == *name);
        if !known && !column.has_default {
            issues.add_obstacle(table, &column.name, !wanted.inserted.is_empty());
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

/// The first column of each kind that this role may not read or write.
fn check_privileges(wanted: &Wanted<'_>, columns: &[Column], issues: &mut Issues) {
    let Wanted { name, selected, inserted, updated, .. } = wanted;
    for (names, privilege, id, told) in [
        (selected.as_slice(), Privilege::Select, "E011", "this role may not read the column."),
        (
            *inserted,
            Privilege::Insert,
            "W008",
            "this role may not insert the column: a log-in that must make a token is answered 503.",
        ),
        (
            *updated,
            Privilege::Update,
            "W008",
            "this role may not update the column: an outdated hash stays.",
        ),
    ] {
        let is_refused =
            |column: &&Column| names.contains(&&*column.name) && !column.granted.has(privilege);
        if let Some(column) = columns.iter().find(is_refused) {
            let object = format!("{}.{}", name.print(), column.name);
            let level = match privilege {
                Privilege::Select => &mut issues.errors,
                Privilege::Insert | Privilege::Update => &mut issues.warnings,
            };
            level.push(Issue::new(&object, id, told.to_owned(), GRANT));
        }
    }
}

fn check_column(object: &str, kind: Kind, found: Option<&Column>, migrate: &str) -> Option<Issue> {
    let Some(column) = found else {
        let message = "the column does not exist.".to_owned();
        return Some(Issue::new(object, "E002", message, migrate));
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
        // `PositiveIntegerField` in SQLite.
        types.contains(&data_type.trim_end_matches(" unsigned"))
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
