//! `django.contrib.auth.models`: the user table, as data.
//!
//! A custom user model is another table, login column and key type, so the statements are
//! made from the names in the settings, once, and the key travels as text.

use std::sync::Arc;

use sea_orm::{DbErr, QueryResult};

use super::hashers::EncodedPassword;
use crate::db::{Database, DatabaseError};
use crate::settings::{DatabaseUrl, KeyType, Settings, TableName};

/// The columns of a user that authentication needs.
#[derive(Debug, Clone)]
pub struct User {
    /// The primary key as text.
    pub pk: String,
    /// `get_username()`.
    pub username: String,
    /// `User.is_active`.
    pub is_active: bool,
    /// What else was asked for: see [`Fetch`].
    pub profile: Option<Arc<Profile>>,
}

/// What a proxy may be told of a user beside the name.
#[derive(Debug, Clone)]
pub struct Profile {
    /// `User.email`.
    pub email: String,
    /// `User.is_staff`.
    pub is_staff: bool,
    /// The names of `User.groups`, sorted; empty where they are not fetched.
    pub groups: Vec<String>,
}

/// How much of a user a look-up fetches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fetch {
    /// What authentication needs.
    User,
    /// The profile too, without the groups.
    Profile,
    /// The profile and the groups, which are a subquery; of `auth.User` only.
    Groups,
}

/// A user and the stored hash that a login is checked against.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// Who it is.
    pub user: User,
    /// `User.password`.
    pub password: EncodedPassword,
}

/// `AUTH_USER_MODEL`: names, quoted as statements need them, and the statements made from them.
#[derive(Debug, Clone)]
pub struct UserModel {
    /// `db_table`.
    pub table: TableName,
    /// The primary key's column.
    pub pk: String,
    /// `USERNAME_FIELD`'s column.
    pub username_field: String,
    /// `password`'s column.
    pub password: String,
    is_active: Option<String>,
    pk_type: KeyType,
    hex: bool,
    by_username: String,
    by_pk: String,
    set_password: String,
}

/// A name that is longer is nobody's, and no database is asked for it: the question would hold the name four times.
/// Django's own column ends at 150 signs, though SQLite does not see to it.
const LONGEST_USERNAME: usize = 64 * 1024;

impl UserModel {
    /// The model that the settings name.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        let quoted = |name: &String| format!("\"{name}\"");
        let mut model = Self {
            table: settings.auth_user_table.clone(),
            pk: quoted(&settings.auth_user_pk_column),
            username_field: quoted(&settings.auth_user_username_column),
            password: quoted(&settings.auth_user_password_column),
            is_active: settings.auth_user_is_active_column.as_ref().map(quoted),
            pk_type: settings.auth_user_pk_type,
            // A database without a type of its own for them: `UUIDField.get_db_prep_value`.
            hex: matches!(settings.database_url, DatabaseUrl::Sqlite(_)),
            by_username: String::new(),
            by_pk: String::new(),
            set_password: String::new(),
        };
        let Self { table, username_field, password, .. } = &model;
        let (pk, is_active) = (model.select_pk("u"), model.select_is_active("u"));
        let select = format!(
            "SELECT {pk} AS pk, CAST(u.{username_field} AS text) AS username, CAST(u.{password} AS text) AS password, {is_active} AS is_active FROM {table} u WHERE u."
        );
        let by_username = format!("{select}{username_field} = $1");
        let by_pk = format!("{select}{} = {}", model.pk, model.key("$1"));
        let (column, key) = (&model.pk, model.key("$2"));
        let set_password = format!(
            "UPDATE {table} SET {password} = $1 WHERE {column} = {key} AND CAST({password} AS text) = $3"
        );
        (model.by_username, model.by_pk, model.set_password) = (by_username, by_pk, set_password);
        model
    }

    /// The primary key of the user `alias` as a text, as `str(user.pk)` is.
    pub(crate) fn select_pk(&self, alias: &str) -> String {
        let pk = format!("{alias}.{}", self.pk);
        if self.pk_type != KeyType::Uuid || !self.hex {
            return format!("CAST({pk} AS text)");
        }
        let groups = [(1, 8), (9, 4), (13, 4), (17, 4), (21, 12)];
        let groups = groups.map(|(from, length)| format!("substr({pk}, {from}, {length})"));
        format!("({})", groups.join(" || '-' || "))
    }

    /// The value of the primary key's column that a text stands for.
    pub(crate) fn key(&self, text: &str) -> String {
        match self.pk_type {
            // It finds an `integer` by its index too.
            KeyType::Int | KeyType::Bigint => format!("CAST({text} AS bigint)"),
            KeyType::Uuid if self.hex => format!("replace({text}, '-', '')"),
            KeyType::Uuid => format!("CAST({text} AS uuid)"),
            KeyType::Text => format!("CAST({text} AS text)"),
        }
    }

    /// `AbstractBaseUser.is_active` is true where a model has no such column.
    pub(crate) fn select_is_active(&self, alias: &str) -> String {
        let column = self.is_active.as_ref().map(|column| format!("{alias}.{column}"));
        column.unwrap_or_else(|| "TRUE".to_owned())
    }

    /// `UserManager.get_by_natural_key`.
    pub async fn get_by_natural_key(
        &self,
        database: &Database,
        username: &str,
    ) -> Result<Option<Credentials>, DatabaseError> {
        // PostgreSQL has no text with a NUL; of a login its validator has said so before.
        if username.len() > LONGEST_USERNAME || username.contains('\0') {
            return Ok(None);
        }
        let row = database.query_one_to_begin(&self.by_username, [username.into()]).await?;
        Ok(row.as_ref().map(Credentials::from_row).transpose()?)
    }

    /// The user whose primary key this text is, as `value_to_string` writes it; nobody, if it can be no key.
    pub async fn get_by_pk(
        &self,
        database: &Database,
        pk: &str,
    ) -> Result<Option<Credentials>, DatabaseError> {
        let is_key = match self.pk_type {
            KeyType::Int | KeyType::Bigint => pk.parse::<i64>().is_ok(),
            KeyType::Uuid => {
                let is_hex = |part: &str| part.bytes().all(|sign| sign.is_ascii_hexdigit());
                pk.split('-').map(str::len).eq([8, 4, 4, 4, 12]) && pk.split('-').all(is_hex)
            }
            KeyType::Text => pk.len() <= LONGEST_USERNAME && !pk.contains('\0'),
        };
        if !is_key {
            return Ok(None);
        }
        let row = database.query_one(&self.by_pk, [pk.into()]).await?;
        Ok(row.as_ref().map(Credentials::from_row).transpose()?)
    }

    /// Stores a fresh hash in place of the one that was verified. `false` if it is no longer
    /// there: someone changed the password meanwhile, and that change stands.
    pub async fn set_password(
        &self,
        database: &Database,
        verified: &Credentials,
        fresh: &EncodedPassword,
    ) -> Result<bool, DatabaseError> {
        let values = [
            fresh.as_str().into(),
            verified.user.pk.as_str().into(),
            verified.password.as_str().into(),
        ];
        Ok(database.execute(&self.set_password, values).await? == 1)
    }
}

impl User {
    /// From a row with the columns `pk`, `username` and `is_active`.
    pub(crate) fn from_row(row: &QueryResult) -> Result<Self, DbErr> {
        Ok(Self {
            pk: row.try_get("", "pk")?,
            username: row.try_get("", "username")?,
            is_active: row.try_get("", "is_active")?,
            profile: None,
        })
    }
}

impl Fetch {
    /// The columns to add to those of the user `u`, each with a comma before it.
    pub(crate) fn columns(self, users: &UserModel, database: &Database) -> String {
        let profile = r#", CAST(u."email" AS text) AS email, u."is_staff" AS is_staff"#;
        let UserModel { pk, .. } = users;
        let groups = database.json_list(
            r#"g."name""#,
            &format!(
                r#""auth_group" g INNER JOIN "auth_user_groups" m ON m."group_id" = g."id" WHERE m."user_id" = u.{pk}"#
            ),
        );
        match self {
            Self::User => String::new(),
            Self::Profile => profile.to_owned(),
            Self::Groups => format!("{profile}, {groups} AS groups"),
        }
    }

    /// The profile in a row with these columns.
    pub(crate) fn profile(self, row: &QueryResult) -> Result<Option<Arc<Profile>>, DbErr> {
        let groups = match self {
            Self::User => return Ok(None),
            Self::Profile => Vec::new(),
            Self::Groups => {
                let list: String = row.try_get("", "groups")?;
                let mut names: Vec<String> = serde_json::from_str(&list)
                    .map_err(|_| DbErr::Type("the groups are no list of texts".to_owned()))?;
                names.sort();
                names
            }
        };
        let email = row.try_get("", "email")?;
        Ok(Some(Arc::new(Profile { email, is_staff: row.try_get("", "is_staff")?, groups })))
    }
}

impl Credentials {
    fn from_row(row: &QueryResult) -> Result<Self, DbErr> {
        Ok(Self {
            user: User::from_row(row)?,
            // SQLite stores bytes of any kind; what is no text is a hash that nobody can read.
            password: row
                .try_get("", "password")
                .map_or(EncodedPassword::unreadable(), From::<String>::from),
        })
    }
}
