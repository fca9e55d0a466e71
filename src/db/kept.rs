//! A connection outside the pool, for the look-ups of tokens.

use std::time::Duration;

use futures_executor::block_on;
use sea_orm::sqlx::postgres::PgArguments;
use sea_orm::sqlx::{self, Arguments, Connection, PgConnection, SqliteConnection};
use sea_orm::{DbBackend, DbErr, QueryResult, RuntimeErr};
use tokio::time::Instant;

use super::apart::Apart;
use super::by_texts::{ByTexts, as_json, sql_of};
use super::ctid::{self, Ctids};
use super::{Database, DatabaseError, is_broken};

/// How long a connection may have been idle: one that something on the way has forgotten meanwhile would be waited for
/// until `DATABASE_TIMEOUT`.
const MAX_IDLE: Duration = Duration::from_secs(10);

/// After how long an idle one is asked whether it works, so that it need not be given up.
const ASK_AFTER: Duration = Duration::from_secs(4);

/// How often [`Kept::keep`] is to be called at least.
pub const KEEP_EVERY: Duration = Duration::from_secs(5);

/// A connection outside the pool, made when it is needed and kept while it works.
///
/// Why not the pool's? After each use sqlx's pool asks the server whether the connection is
/// still there: a second round trip for every look-up.
pub struct Kept {
    database: Database,
    /// With the moment of its last answer.
    connection: Option<(Instant, KeptConnection)>,
    /// Whether a connection may be told what [`Ctids`] need; without that it has none.
    takes_option: bool,
}

/// An idle connection lets go of SQLite's file before this returns, not at some time later: the pool, which closes after
/// the threads for requests have ended, is the last one then, and puts what the write-ahead log holds into the file.
/// PostgreSQL needs no farewell.
impl Drop for Kept {
    fn drop(&mut self) {
        if let Some((_, KeptConnection::Sqlite(connection))) = self.connection.take() {
            let _ = block_on(connection.close());
        }
    }
}

enum KeptConnection {
    /// With the places of rows that were found by it, unless they are of no use there.
    Postgres(Box<PgConnection>, Option<Ctids>),
    Sqlite(Box<SqliteConnection>),
}

impl Kept {
    /// To the same database as the pool; nothing is connected to yet.
    #[must_use]
    pub fn new(database: Database) -> Self {
        // A statement that is prepared anew each time costs more than the way through an index.
        let takes_option = !database.is_pooled_by_transactions();
        Self { database, connection: None, takes_option }
    }

    /// Has a connection before somebody needs it, and asks an idle one whether it works: to connect and then to look up
    /// takes longer than a request may wait where the database answers late. To be called while nothing is asked, and
    /// given up when something is. SQLite's is a file that is opened at once.
    pub async fn keep(&mut self) {
        let timeout = self.database.timeout;
        let pool = self.database.connection();
        if pool.get_database_backend() == DbBackend::Sqlite {
            return;
        }
        let keeping = async {
            if let Some((used, KeptConnection::Postgres(connection, _))) = &mut self.connection {
                if used.elapsed() < ASK_AFTER {
                    return Ok(());
                }
                if connection.ping().await.is_ok() {
                    *used = Instant::now();
                    return Ok(());
                }
            }
            self.connection = None;
            self.connection = Some((Instant::now(), self.open().await?));
            Ok::<_, sqlx::Error>(())
        };
        if !tokio::time::timeout(timeout, keeping).await.is_ok_and(|kept| kept.is_ok()) {
            self.connection = None;
        }
    }

    /// The rows of these texts, by a query whose only value is a list of them; of several rows of a text one at least.
    ///
    /// A connection that fails is not used again. If it was an old one, the server may only have
    /// closed it, and the query is sent once more on a new one.
    pub async fn query_texts(
        &mut self,
        query: &ByTexts,
        texts: &[&str],
    ) -> Result<Vec<QueryResult>, DatabaseError> {
        let timeout = self.database.timeout;
        let answer = async {
            let apart = self.database.apart.clone();
            // Taken out, so that a query which is given up takes its connection with it.
            let kept = self.connection.take().filter(|(used, _)| used.elapsed() < MAX_IDLE);
            if let Some((_, mut connection)) = kept {
                let answer = connection.query_texts(query, texts, apart.as_ref()).await;
                if !answer.as_ref().is_err_and(is_broken) {
                    self.connection = Some((Instant::now(), connection));
                    return answer;
                }
            }
            let mut connection = self.open().await?;
            let rows = connection.query_texts(query, texts, apart.as_ref()).await?;
            self.connection = Some((Instant::now(), connection));
            Ok::<_, sqlx::Error>(rows)
        };
        let answer = tokio::time::timeout(timeout, answer).await;
        let rows = answer.map_err(|_| DatabaseError::TimedOut)?;
        rows.map_err(|error| DbErr::Query(RuntimeErr::SqlxError(error.into())).into())
    }

    async fn open(&mut self) -> Result<KeptConnection, sqlx::Error> {
        let pool = self.database.connection();
        if pool.get_database_backend() == DbBackend::Sqlite {
            let options = pool.get_sqlite_connection_pool().connect_options();
            let connection = SqliteConnection::connect_with(&options).await?;
            return Ok(KeptConnection::Sqlite(Box::new(connection)));
        }
        let options = pool.get_postgres_connection_pool().connect_options();
        let mut refused = None;
        if self.takes_option {
            let by_ctid = (*options).clone().options([ctid::OPTION]);
            match PgConnection::connect_with(&by_ctid).await {
                // Most poolers refuse options, and what only speaks as PostgreSQL does may not know this one.
                Err(sqlx::Error::Database(error)) if !is_passing(&*error) => refused = Some(error),
                connected => {
                    let ctids = Some(Ctids::default());
                    return Ok(KeptConnection::Postgres(Box::new(connected?), ctids));
                }
            }
        }
        let connection = PgConnection::connect_with(&options).await?;
        if let Some(error) = refused {
            tracing::info!(%error, "token look-ups go by the indexes: an option is refused");
            self.takes_option = false;
        }
        Ok(KeptConnection::Postgres(Box::new(connection), None))
    }
}

/// A server that has no room, or that starts or ends.
fn is_passing(error: &dyn sqlx::error::DatabaseError) -> bool {
    error.code().is_some_and(|code| code.starts_with("53") || code.starts_with("57"))
}

impl KeptConnection {
    async fn query_texts(
        &mut self,
        query: &ByTexts,
        texts: &[&str],
        apart: Option<&Apart>,
    ) -> Result<Vec<QueryResult>, sqlx::Error> {
        match (self, texts) {
            (Self::Postgres(connection, ctids), texts) => {
                query_by_ctid(connection, ctids, query, texts, apart).await
            }
            (Self::Sqlite(connection), [text]) => results(
                sqlx::query(sql_of(&query.one)).bind(text).fetch_all(&mut **connection).await,
            ),
            (Self::Sqlite(connection), texts) => {
                let list = as_json(texts)?;
                results(
                    sqlx::query(sql_of(&query.many)).bind(list).fetch_all(&mut **connection).await,
                )
            }
        }
    }
}

/// All rows of a query whose only value is a list of texts.
pub(super) async fn query_postgres(
    connection: &mut PgConnection,
    query: &ByTexts,
    texts: &[&str],
    apart: Option<&Apart>,
) -> Result<Vec<QueryResult>, sqlx::Error> {
    let mut values = PgArguments::default();
    let sql = if let [text] = texts {
        values.add(*text).map_err(sqlx::Error::Encode)?;
        sql_of(&query.one)
    } else {
        values.add(as_json(texts)?).map_err(sqlx::Error::Encode)?;
        sql_of(&query.many)
    };
    results(match apart {
        Some(apart) => apart.query(connection, sql, values).await,
        None => sqlx::query_with(sql, values).fetch_all(connection).await,
    })
}

/// The same with hints where there are some to be had, and without them from now on if it is those that the server
/// refuses.
async fn query_by_ctid(
    connection: &mut PgConnection,
    ctids: &mut Option<Ctids>,
    query: &ByTexts,
    texts: &[&str],
    apart: Option<&Apart>,
) -> Result<Vec<QueryResult>, sqlx::Error> {
    let Some(known) = ctids else {
        return query_postgres(connection, query, texts, apart).await;
    };
    match known.query(connection, &query.by_ctid, texts).await {
        Err(error) if ctid::may_be_refused(&error) => {
            let rows = query_postgres(connection, query, texts, apart).await?;
            tracing::info!(%error, "token look-ups go by the indexes until the next connection");
            *ctids = None;
            Ok(rows)
        }
        rows => results(rows),
    }
}

fn results<R: Into<QueryResult>>(
    rows: Result<Vec<R>, sqlx::Error>,
) -> Result<Vec<QueryResult>, sqlx::Error> {
    Ok(rows?.into_iter().map(R::into).collect())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::db::{Missing, Selected};
    use crate::settings::Settings;

    /// A file that there may not have been; it is not made again.
    async fn database(name: &str) -> (PathBuf, Database) {
        let name = format!("drf-authtoken-{name}-{}.sqlite3", std::process::id());
        let file: PathBuf = std::env::temp_dir().join(name);
        let flags = [("DATABASE_URL", format!("sqlite:///{}", file.display()))];
        let settings = Settings::load(None, &flags, |_| Vec::new()).unwrap();
        Database::connect(&settings, Missing::Create).await.unwrap();
        (file, Database::connect(&settings, Missing::Refuse).await.unwrap())
    }

    #[tokio::test]
    async fn what_is_kept_lets_go_of_the_file_at_once() {
        let (file, database) = database("end").await;
        let log = PathBuf::from(format!("{}-wal", file.display()));
        database.execute("PRAGMA journal_mode = WAL", []).await.unwrap();
        database.closing(async {}).await;
        let query = database.by_texts(&Selected {
            columns: "count(*)",
            from: "sqlite_master",
            tables: ["", ""],
            text: "''",
        });
        for _ in 0..50 {
            let mut kept = Kept::new(database.clone());
            kept.query_texts(&query, &[""]).await.unwrap();
            assert!(log.exists());
            drop(kept);
            assert!(!log.exists());
        }
        std::fs::remove_file(&file).unwrap();
    }

    #[tokio::test]
    async fn a_connection_that_was_idle_for_long_is_not_used_again() {
        let (file, database) = database("kept").await;
        let query = database.by_texts(&Selected {
            columns: "1",
            from: "sqlite_master",
            tables: ["", ""],
            text: "''",
        });
        let mut kept = Kept::new(database);
        kept.query_texts(&query, &[""]).await.unwrap();
        // A connection that is there works on; no other one can be opened.
        std::fs::remove_file(&file).unwrap();
        kept.query_texts(&query, &[""]).await.unwrap();
        if let Some((used, _)) = &mut kept.connection {
            *used -= MAX_IDLE;
        }
        assert!(kept.query_texts(&query, &[""]).await.is_err());
    }
}
