//! A connection of PostgreSQL's pool, lent for one statement.

use std::time::Duration;

use sea_orm::sqlx::pool::PoolConnection;
use sea_orm::sqlx::postgres::{PgQueryResult, PgRow};
use sea_orm::sqlx::{self, AssertSqlSafe, Postgres};
use sea_orm::{Statement, Values};
use sea_query_sqlx::SqlxValues;
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::apart::Apart;
use super::suspicion::Suspicion;

/// How long a connection that goes back to the pool may take to show that it works, and if it does not, to be closed;
/// and how long the server may still be at work for one that was given up.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(2);

/// Goes back to the pool when it is dropped, after a statement or while one is given up.
///
/// Why not in sqlx's own way? It would wait for ever for a server that has vanished without a word, with the
/// connection's place in the pool still taken: for the answer to its ping, and by TLS for the other side's farewell.
pub(super) struct Lent {
    connection: PoolConnection<Postgres>,
    suspicion: Suspicion,
    /// Behind a pooler by transactions. A statement that is cut off while its transaction begins may begin later: its
    /// connection is not used again, as it would keep a server of the pooler.
    apart: Option<Apart>,
    /// Whether the statement has ended, with rows or an error, and was not given up.
    is_done: bool,
}

impl Lent {
    pub(super) fn new(
        connection: PoolConnection<Postgres>,
        suspicion: Suspicion,
        apart: Option<Apart>,
    ) -> Self {
        Self { connection, suspicion, apart, is_done: false }
    }

    /// All rows of a query.
    pub(super) async fn query(mut self, statement: Statement) -> Result<Vec<PgRow>, sqlx::Error> {
        let (sql, values) = parts(statement);
        let rows = match &self.apart {
            Some(apart) => apart.query(&mut self.connection, sql, values).await,
            None => sqlx::query_with(sql, values).fetch_all(&mut *self.connection).await,
        };
        self.is_done = true;
        rows
    }

    /// A statement that returns nothing.
    pub(super) async fn execute(
        mut self,
        statement: Statement,
    ) -> Result<PgQueryResult, sqlx::Error> {
        let (sql, values) = parts(statement);
        let done = match &self.apart {
            Some(apart) => apart.execute(&mut self.connection, sql, values).await,
            None => sqlx::query_with(sql, values).execute(&mut *self.connection).await,
        };
        self.is_done = true;
        done
    }
}

fn parts(statement: Statement) -> (AssertSqlSafe<String>, SqlxValues) {
    // Made of names in this program and in its settings only.
    let sql = AssertSqlSafe(statement.sql);
    (sql, SqlxValues(statement.values.unwrap_or_else(|| Values(Vec::new()))))
}

impl Drop for Lent {
    fn drop(&mut self) {
        // What sqlx does itself. Dropped, it leaves the place in the pool free and the connection cut off.
        let returned = self.connection.return_to_pool();
        let (is_done, is_cut_off) = (self.is_done, self.apart.is_some() && !self.is_done);
        let Ok(runtime) = Handle::try_current() else { return };
        let (suspicion, began) = (self.suspicion.clone(), Instant::now());
        runtime.spawn(async move {
            if is_cut_off {
                tokio::time::sleep(RELEASE_TIMEOUT).await;
                drop(returned);
                return;
            }
            let returned = tokio::time::timeout(RELEASE_TIMEOUT, returned).await;
            // A statement that was given up may be at work yet.
            if returned.is_err() && is_done {
                suspicion.falls_on_those_idle_since(began);
            }
        });
    }
}
