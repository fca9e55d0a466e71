//! `rest_framework.authtoken.models.Token`: the token table.

use std::fmt::Write;

use chrono::{DateTime, Utc};
use sea_orm::{DbErr, QueryResult};

use crate::db::replica::Replica;
use crate::db::{ByTexts, Database, DatabaseError, Kept, Selected};
use crate::django::auth::models::{Credentials, Fetch, User, UserModel};
use crate::django::utils::crypto::RandomSource;
use crate::settings::{Settings, TableName};

/// How often `get_or_create` looks again after another login took the place of its row.
const ATTEMPTS: usize = 3;

/// The statements of the token table, made once for the user model.
#[derive(Debug, Clone)]
pub struct TokenModel {
    for_keys: ByTexts,
    fetch: Fetch,
    for_user: String,
    insert: String,
    delete: String,
}

impl TokenModel {
    /// For the tokens of `users` in `tokens`; a look-up answers as much of a user as `fetch` says.
    #[must_use]
    pub fn new(tokens: &TableName, users: &UserModel, fetch: Fetch, database: &Database) -> Self {
        let UserModel { table, pk, username_field, password, .. } = users;
        let (select_pk, is_active, key) =
            (users.select_pk("u"), users.select_is_active("u"), users.key("$1"));
        // Columns are cast, so that a migration which makes one longer does not change the type of
        // a statement that PostgreSQL has prepared.
        // The user must still be the one whose password was verified.
        let verified =
            format!("u.{pk} = {key} AND CAST(u.{password} AS text) = $2 AND {is_active}");
        let further = fetch.columns(users, database);
        Self {
            fetch,
            for_keys: database.by_texts(&Selected {
                columns: &format!(
                    r#"CAST(t."key" AS text) AS key, {select_pk} AS pk, CAST(u.{username_field} AS text) AS username, {is_active} AS is_active{further}"#
                ),
                from: &format!(r#"{tokens} t INNER JOIN {table} u ON t."user_id" = u.{pk}"#),
                tables: ["t", "u"],
                text: r#"t."key""#,
            }),
            for_user: format!(
                r#"SELECT CAST(t."key" AS text) AS key FROM {table} u LEFT JOIN {tokens} t ON t."user_id" = u.{pk} WHERE {verified}"#
            ),
            insert: format!(
                r#"INSERT INTO {tokens} ("key", "created", "user_id") SELECT $3, $4, u.{pk} FROM {table} u WHERE {verified} ON CONFLICT DO NOTHING"#
            ),
            delete: format!(r#"DELETE FROM {tokens} WHERE "user_id" = {key}"#),
        }
    }

    /// The users that these keys stand for, each with its key: one look-up. A row that cannot be read
    /// is its own error.
    pub async fn for_keys(
        &self,
        connection: &mut Kept,
        keys: &[&str],
    ) -> Result<Vec<(String, Result<User, DatabaseError>)>, DatabaseError> {
        Ok(self.users(&connection.query_texts(&self.for_keys, keys).await?))
    }

    /// The replica, if there is one; it is asked for nothing but [`Self::opened_by`].
    #[must_use]
    pub fn replica(&self, settings: &Settings) -> Option<Replica> {
        Replica::start(settings, self.for_keys.clone())
    }

    /// The same by the replica, of whom only a yes counts: a user who is inactive there may be active
    /// by now. `None` if it cannot be asked now.
    pub async fn opened_by(
        &self,
        replica: &mut Replica,
        keys: &[&str],
    ) -> Option<Vec<(String, User)>> {
        let found = self.users(&replica.query_texts(keys).await?).into_iter();
        Some(
            found
                .filter_map(|(key, user)| Some((key, user.ok().filter(|user| user.is_active)?)))
                .collect(),
        )
    }

    fn users(&self, rows: &[QueryResult]) -> Vec<(String, Result<User, DatabaseError>)> {
        let read = |row: &QueryResult| {
            // A key that is no text is nobody's in this look-up.
            let key = row.try_get_by_index(0).ok()?;
            Some((key, self.user(row).map_err(DatabaseError::from)))
        };
        rows.iter().filter_map(read).collect()
    }

    /// The user that one key stands for.
    pub async fn for_key(
        &self,
        database: &Database,
        key: &str,
    ) -> Result<Option<User>, DatabaseError> {
        let row = database.query_one(self.for_keys.one(), [key.into()]).await?;
        Ok(row.as_ref().map(|row| self.user(row)).transpose()?)
    }

    fn user(&self, row: &QueryResult) -> Result<User, DbErr> {
        // By their places: to find a column by its name costs as much as to read it.
        let (pk, username) = (row.try_get_by_index(1)?, row.try_get_by_index(2)?);
        let (is_active, profile) = (row.try_get_by_index(3)?, self.fetch.profile(row)?);
        Ok(User { pk, username, is_active, profile })
    }

    /// `Token.objects.get_or_create(user=…)`: one token a user, whoever asks at the same time.
    ///
    /// `None` if the user is gone, inactive or has another password hash than the verified
    /// one. `generated` is the key of a new row.
    pub async fn get_or_create(
        &self,
        database: &Database,
        verified: &Credentials,
        generated: &str,
        created: DateTime<Utc>,
    ) -> Result<Option<String>, DatabaseError> {
        let pk = verified.user.pk.as_str();
        let password = verified.password.as_str();
        let mut stray = None;
        for _ in 0..ATTEMPTS {
            let found = database.query_one(&self.for_user, [pk.into(), password.into()]).await?;
            let Some(row) = found else { return Ok(None) };
            if let Some(key) = row.try_get::<Option<String>>("", "key")? {
                return Ok(Some(key));
            }
            let created = database.datetime(created);
            let values = [pk.into(), password.into(), generated.into(), created];
            match database.execute(&self.insert, values).await {
                Ok(1) => return Ok(Some(generated.to_owned())),
                Ok(_) => {}
                // The user was deleted while the row was written: the next look finds nobody.
                Err(error) if error.is_foreign_key_violation() => stray = Some(error),
                Err(error) => return Err(error),
            }
        }
        stray.map_or(Ok(None), Err)
    }

    /// Deletes the user's token: `drf_create_token --reset`. Done twice it could delete one that a login made meanwhile.
    pub async fn delete(&self, database: &Database, user: &User) -> Result<(), DatabaseError> {
        database.execute_once(&self.delete, [user.pk.as_str().into()]).await?;
        Ok(())
    }
}

/// `Token.generate_key`: 20 random bytes in lower-case hex.
pub fn generate_key(random: RandomSource) -> Result<String, getrandom::Error> {
    let mut bytes = [0; 20];
    random(&mut bytes)?;
    Ok(bytes.iter().fold(String::with_capacity(40), |mut key, byte| {
        // Writing to a String cannot fail.
        let _ = write!(key, "{byte:02x}");
        key
    }))
}
