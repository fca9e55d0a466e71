//! The database behind SeaORM: one pool, and a bound on every wait.
//!
//! A fault here is a [`DatabaseError`]; a request answers it with 503, never with a 401 for a
//! token that may be good. Statements are written once for both databases: `$1` is a
//! parameter in PostgreSQL and in SQLite.

mod apart;
mod by_texts;
mod ctid;
mod entrance;
mod kept;
mod lent;
mod postgres;
pub mod replica;
mod suspicion;

use std::fmt;
use std::pin::pin;
use std::time::Duration;

use chrono::{DateTime, Timelike, Utc};
use sea_orm::prelude::async_trait::async_trait;
use sea_orm::sqlx;
use sea_orm::{
    ConnectOptions, ConnectionTrait, DatabaseConnection, DbBackend, DbErr, ExecResult, QueryResult,
    RuntimeErr, SqlErr, Statement, Value,
};
use tokio::time::Instant;

use self::apart::Apart;
pub use self::by_texts::{ByTexts, Selected};
use self::entrance::Entrance;
pub use self::kept::{KEEP_EVERY, Kept};
use self::lent::Lent;
use self::suspicion::Suspicion;
use crate::settings::{DatabaseUrl, Settings};

/// How long the end of a command waits for connections that are in use.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(200);

/// Why the database gave no answer. Its text names no value of a statement.
#[derive(Debug)]
pub enum DatabaseError {
    /// The driver's or the server's own fault.
    Failed(DbErr),
    /// No answer within `DATABASE_TIMEOUT`.
    TimedOut,
    /// The connection or the time ended under a statement that must not be done twice.
    Unknown,
}

impl fmt::Display for DatabaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(error) => write!(f, "{error}"),
            Self::TimedOut => f.write_str("the database did not answer in time"),
            Self::Unknown => f.write_str(
                "the database was lost or did not answer, and it is not known whether the change was made; look, and try \
                 again",
            ),
        }
    }
}

impl std::error::Error for DatabaseError {}

impl DatabaseError {
    /// Whether a row was refused because that to which it refers is not there.
    #[must_use]
    pub fn is_foreign_key_violation(&self) -> bool {
        let Self::Failed(error) = self else { return false };
        matches!(error.sql_err(), Some(SqlErr::ForeignKeyConstraintViolation(_)))
    }
}

impl From<DbErr> for DatabaseError {
    fn from(error: DbErr) -> Self {
        Self::Failed(error)
    }
}

/// What to do with a SQLite file that does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// Fail: a service on a mistyped path must not start with an empty database.
    Refuse,
    /// Make it: `migrate` and `demo`.
    Create,
}

/// The pool, and how long a request may wait for it.
#[derive(Debug, Clone)]
pub struct Database {
    connection: DatabaseConnection,
    /// How many there can be in the pool.
    connections: u32,
    /// One place for each four connections, so that those who have begun can go on.
    entrance: Entrance,
    suspicion: Suspicion,
    timeout: Duration,
    /// Behind a pooler by transactions.
    apart: Option<Apart>,
}

impl Database {
    /// Connects, or says why not; nothing is connected to lazily.
    pub async fn connect(settings: &Settings, missing: Missing) -> Result<Self, DatabaseError> {
        let mut options = match &settings.database_url {
            DatabaseUrl::Postgres(url) => ConnectOptions::new(url),
            DatabaseUrl::Sqlite(path) => sqlite_options(path, settings.database_timeout, missing),
        };
        let suspicion = Suspicion::default();
        options
            .max_connections(settings.database_connections.max(1))
            .acquire_timeout(settings.database_timeout)
            .connect_timeout(settings.database_timeout)
            // A ping before each use costs a fifth of the throughput.
            .test_before_acquire(false)
            .sqlx_logging(false);
        let apart = settings.database_transaction_pooling
            && matches!(settings.database_url, DatabaseUrl::Postgres(_));
        let connecting = async {
            if let DatabaseUrl::Postgres(url) = &settings.database_url {
                postgres::set_up(&mut options, url, settings.database_timeout, &suspicion).await?;
            }
            sea_orm::Database::connect(options).await
        };
        let connection = tokio::time::timeout(settings.database_timeout, connecting)
            .await
            .map_err(|_| DatabaseError::TimedOut)??;
        Ok(Self {
            connection,
            connections: settings.database_connections,
            suspicion,
            entrance: Entrance::new(
                (settings.database_connections as usize / 4).max(1),
                settings.database_timeout / 2,
            ),
            timeout: settings.database_timeout,
            apart: apart.then(|| Apart::new(settings.database_timeout)),
        })
    }

    /// `DATABASE_TIMEOUT`.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// A command, whatever becomes of it, and then the end of the pool: what SQLite's write-ahead log holds is in the
    /// file then, if nobody else has that open. PostgreSQL needs no farewell.
    pub async fn closing<T>(&self, command: impl Future<Output = T>) -> T {
        let done = command.await;
        if self.connection.get_database_backend() == DbBackend::Sqlite {
            let _ = tokio::time::timeout(CLOSE_TIMEOUT, self.connection.close_by_ref()).await;
        }
        done
    }

    /// SeaORM's own connection, for the commands.
    #[must_use]
    pub fn connection(&self) -> &DatabaseConnection {
        &self.connection
    }

    /// `DATABASE_TRANSACTION_POOLING`, where there can be such a pooler.
    #[must_use]
    pub fn is_pooled_by_transactions(&self) -> bool {
        self.apart.is_some()
    }

    /// How many connections the pool has, and how many of them are idle.
    #[must_use]
    pub fn pool(&self) -> (usize, usize) {
        let (size, idle) = if self.connection.get_database_backend() == DbBackend::Sqlite {
            let pool = self.connection.get_sqlite_connection_pool();
            (pool.size(), pool.num_idle())
        } else {
            let pool = self.connection.get_postgres_connection_pool();
            (pool.size(), pool.num_idle())
        };
        (usize::try_from(size).unwrap_or(usize::MAX), idle)
    }

    /// The first row of a query.
    pub async fn query_one(
        &self,
        sql: &str,
        values: impl IntoIterator<Item = Value>,
    ) -> Result<Option<QueryResult>, DatabaseError> {
        let statement = self.statement(sql, values);
        self.in_time(|| self.query_one_raw(statement.clone())).await
    }

    /// The same for the first statement of several, when there is a place for it: in the time of both.
    pub async fn query_one_to_begin(
        &self,
        sql: &str,
        values: impl IntoIterator<Item = Value>,
    ) -> Result<Option<QueryResult>, DatabaseError> {
        let statement = self.statement(sql, values);
        let end = Instant::now() + self.timeout;
        let place = tokio::time::timeout_at(end, self.entrance.enter()).await;
        let place = place.map_err(|_| DatabaseError::TimedOut)?;
        let mut answer = pin!(self.before(end, || self.query_one_raw(statement.clone())));
        tokio::select! {
            biased;
            answer = &mut answer => return answer,
            // One lost connection is not to keep everybody out for all of that time.
            () = tokio::time::sleep(self.timeout / 2) => drop(place),
        }
        answer.await
    }

    /// A query by texts, for [`Kept::query_texts`].
    #[must_use]
    pub fn by_texts(&self, selected: &Selected<'_>) -> ByTexts {
        ByTexts::new(selected, self.connection.get_database_backend())
    }

    /// A subquery: the values of a column in `from`, as the text of a JSON list.
    #[must_use]
    pub fn json_list(&self, column: &str, from: &str) -> String {
        match self.connection.get_database_backend() {
            DbBackend::Sqlite => format!("(SELECT json_group_array({column}) FROM {from})"),
            _ => format!("COALESCE((SELECT CAST(json_agg({column}) AS text) FROM {from}), '[]')"),
        }
    }

    /// How many rows a statement changed. It must be one that does no harm when it is done twice.
    pub async fn execute(
        &self,
        sql: &str,
        values: impl IntoIterator<Item = Value>,
    ) -> Result<u64, DatabaseError> {
        let statement = self.statement(sql, values);
        let done = self.in_time(|| self.execute_raw(statement.clone())).await?;
        Ok(done.rows_affected())
    }

    /// The same for a statement that could undo what somebody else did between its two times.
    pub async fn execute_once(
        &self,
        sql: &str,
        values: impl IntoIterator<Item = Value>,
    ) -> Result<u64, DatabaseError> {
        let done = self.execute_raw(self.statement(sql, values));
        match tokio::time::timeout(self.timeout, done).await {
            Ok(Err(error)) if is_lost(&error) => Err(DatabaseError::Unknown),
            Ok(done) => Ok(done?.rows_affected()),
            // It may have been sent, and even done.
            Err(_) => Err(DatabaseError::Unknown),
        }
    }

    /// `DateTimeField.get_db_prep_value`: a moment in the form that Django stores.
    ///
    /// SQLite has text, in UTC without offset, and without a fraction when that is zero:
    /// Django compares and truncates these texts.
    #[must_use]
    pub fn datetime(&self, moment: DateTime<Utc>) -> Value {
        match self.connection.get_database_backend() {
            DbBackend::Sqlite if moment.nanosecond() / 1000 == 0 => {
                moment.format("%Y-%m-%d %H:%M:%S").to_string().into()
            }
            DbBackend::Sqlite => moment.format("%Y-%m-%d %H:%M:%S%.6f").to_string().into(),
            _ => moment.into(),
        }
    }

    /// A connection of PostgreSQL's pool.
    async fn lend(&self) -> Result<Lent, sqlx::Error> {
        let pool = self.connection.get_postgres_connection_pool();
        Ok(Lent::new(pool.acquire().await?, self.suspicion.clone(), self.apart.clone()))
    }

    fn statement(&self, sql: &str, values: impl IntoIterator<Item = Value>) -> Statement {
        Statement::from_sql_and_values(self.connection.get_database_backend(), sql, values)
    }

    /// Within the bound. On a lost connection it is done again: after a restart of the database
    /// each connection of the pool is one that the server has closed.
    async fn in_time<T, A: Future<Output = Result<T, DbErr>>>(
        &self,
        ask: impl Fn() -> A,
    ) -> Result<T, DatabaseError> {
        self.before(Instant::now() + self.timeout, ask).await
    }

    async fn before<T, A: Future<Output = Result<T, DbErr>>>(
        &self,
        end: Instant,
        ask: impl Fn() -> A,
    ) -> Result<T, DatabaseError> {
        let began = Instant::now();
        let answer = async {
            for _ in 0..self.connections {
                match ask().await {
                    Err(error) if is_lost(&error) => {}
                    answer => return answer,
                }
            }
            ask().await
        };
        if let Ok(answer) = tokio::time::timeout_at(end, answer).await {
            return Ok(answer?);
        }
        // One that had hardly any time says nothing of the connections.
        if began.elapsed() >= self.timeout / 2 {
            self.suspicion.falls_on_those_idle_since(began);
        }
        Err(DatabaseError::TimedOut)
    }
}

/// In the way that suits what stands between us and the database.
#[async_trait]
impl ConnectionTrait for Database {
    fn get_database_backend(&self) -> DbBackend {
        self.connection.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        if self.get_database_backend() == DbBackend::Sqlite {
            return self.connection.execute_raw(statement).await;
        }
        let done = async { self.lend().await?.execute(statement).await };
        let done = done.await.map_err(|error| DbErr::Exec(RuntimeErr::SqlxError(error.into())))?;
        Ok(done.into())
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.connection.execute_unprepared(sql).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        Ok(self.query_all_raw(statement).await?.into_iter().next())
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        if self.get_database_backend() == DbBackend::Sqlite {
            return self.connection.query_all_raw(statement).await;
        }
        let rows = async { self.lend().await?.query(statement).await };
        let rows = rows.await.map_err(|error| DbErr::Query(RuntimeErr::SqlxError(error.into())))?;
        Ok(rows.into_iter().map(QueryResult::from).collect())
    }
}

/// Whether an error says that the connection is gone, and nothing of the statement.
fn is_lost(error: &DbErr) -> bool {
    let (DbErr::Conn(error) | DbErr::Exec(error) | DbErr::Query(error)) = error else {
        return false;
    };
    let RuntimeErr::SqlxError(error) = error else { return false };
    is_broken(error)
}

/// Whether the connection that gave this error is of no more use.
fn is_broken(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) => true,
        // Class 57, operator intervention: the server shut the connection down.
        sqlx::Error::Database(error) => error.code().is_some_and(|code| code.starts_with("57P")),
        _ => false,
    }
}

fn sqlite_options(path: &str, busy: Duration, missing: Missing) -> ConnectOptions {
    let path = path.to_owned();
    let mut options = ConnectOptions::new("sqlite://file?mode=rw");
    // The path goes around the URL, which would read `?`, `#` and `%` in it. The journal mode
    // stays as it is: the file may be Django's.
    options.map_sqlx_sqlite_opts(move |sqlite| {
        sqlite.filename(&path).create_if_missing(missing == Missing::Create).busy_timeout(busy)
    });
    options
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::{has_grown, resident_bytes};

    /// Each with a connection in use, which goes back to the pool.
    #[tokio::test]
    async fn ten_thousand_panics_take_no_connection_away() {
        let name = format!("drf-authtoken-pool-{}.sqlite3", std::process::id());
        let file = std::env::temp_dir().join(name);
        let flags = [
            ("DATABASE_URL", format!("sqlite:///{}", file.display())),
            ("DATABASE_CONNECTIONS", "2".to_owned()),
        ];
        let settings = Settings::load(None, &flags, |_| Vec::new()).unwrap();
        let database = Database::connect(&settings, Missing::Create).await.unwrap();
        let mut before = 0;
        for round in 0..10_000 {
            let pool = database.connection().get_sqlite_connection_pool().clone();
            let panics = tokio::spawn(async move {
                let _held = pool.acquire().await.unwrap();
                std::panic::resume_unwind(Box::new("wanted by the test"));
            });
            assert!(panics.await.is_err());
            if round == 100 {
                before = resident_bytes();
            }
        }
        assert!(!has_grown(before));
        assert!(database.query_one("SELECT 1", []).await.unwrap().is_some());
        database.closing(async {}).await;
        std::fs::remove_file(&file).unwrap();
    }
}
