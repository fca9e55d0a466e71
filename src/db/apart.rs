//! Statements behind a pooler that gives each transaction another server, as `PgBouncer` does with
//! `pool_mode = transaction`.
//!
//! A statement that was prepared with one server is unknown to the next. So each one is prepared anew, without a name,
//! within a transaction of its own: four round trips in place of one.

use std::sync::Arc;
use std::time::Duration;

use sea_orm::sqlx::postgres::{PgQueryResult, PgRow};
use sea_orm::sqlx::{
    self, AssertSqlSafe, Connection, IntoArguments, PgConnection, Postgres, SqlSafeStr,
};

/// How statements are sent, each by itself.
#[derive(Debug, Clone)]
pub(super) struct Apart {
    begin: Arc<str>,
}

impl Apart {
    /// No statement is to take longer than `timeout`. The pooler takes no such option when it is connected to, so each
    /// transaction says so itself, in the message that begins it.
    pub(super) fn new(timeout: Duration) -> Self {
        let begin = format!("BEGIN; SET LOCAL statement_timeout = {}", timeout.as_millis());
        Self { begin: begin.into() }
    }

    /// All rows of a query.
    pub(super) async fn query<'q>(
        &self,
        connection: &mut PgConnection,
        sql: impl SqlSafeStr,
        values: impl IntoArguments<Postgres> + 'q,
    ) -> Result<Vec<PgRow>, sqlx::Error> {
        let mut transaction = connection.begin_with(self.begin()).await?;
        let query = sqlx::query_with(sql, values).persistent(false);
        let rows = query.fetch_all(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(rows)
    }

    /// A statement that returns nothing.
    pub(super) async fn execute<'q>(
        &self,
        connection: &mut PgConnection,
        sql: impl SqlSafeStr,
        values: impl IntoArguments<Postgres> + 'q,
    ) -> Result<PgQueryResult, sqlx::Error> {
        let mut transaction = connection.begin_with(self.begin()).await?;
        let query = sqlx::query_with(sql, values).persistent(false);
        let done = query.execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(done)
    }

    fn begin(&self) -> AssertSqlSafe<Arc<str>> {
        AssertSqlSafe(Arc::clone(&self.begin))
    }
}
