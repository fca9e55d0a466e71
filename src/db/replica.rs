//! `DATABASE_REPLICA_URL`: a standby that is asked for tokens before the primary is.
//!
//! It is never waited for: whatever goes wrong there, a look-up goes on to the primary at once, and
//! the replica is left alone until a task beside has a connection that answers the same query.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use sea_orm::QueryResult;
use sea_orm::sqlx::postgres::PgConnectOptions;
use sea_orm::sqlx::{self, ConnectOptions, PgConnection};
use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;

use super::apart::Apart;
use super::kept::query_postgres;
use super::postgres::{statement_timeout, unconnected};
use super::{ByTexts, DatabaseError};
use crate::settings::{DatabaseUrl, Settings};

/// Between two attempts to connect.
const RETRY: Duration = Duration::from_secs(1);

/// How the replica is reached and asked.
struct Access {
    /// Read once: an option that sqlx does not know is told to the log each time, with its value.
    options: PgConnectOptions,
    query: ByTexts,
    apart: Option<Apart>,
    /// For a connection.
    timeout: Duration,
}

/// A connection to the replica, or the hope for one.
pub struct Replica {
    access: Arc<Access>,
    /// Seconds that a look-up may take there.
    patience: Duration,
    connection: Option<PgConnection>,
    opening: oneshot::Receiver<PgConnection>,
}

impl Replica {
    /// The replica for this query, if there is one; a task of this runtime connects to it.
    #[must_use]
    pub fn start(settings: &Settings, query: ByTexts) -> Option<Self> {
        let options = options(settings)?.inspect_err(|error| {
            tracing::error!(%error, "DATABASE_REPLICA_URL cannot be read");
        });
        let (options, timeout) = (options.ok()?, settings.database_timeout);
        let apart = settings.database_transaction_pooling.then(|| Apart::new(timeout));
        let access = Arc::new(Access { options, query, apart, timeout });
        let opening = open(&access, Duration::ZERO);
        let patience = settings.database_replica_timeout;
        Some(Self { access, patience, connection: None, opening })
    }

    /// The rows that the replica has for these texts; `None` if it cannot be asked now.
    pub async fn query_texts(&mut self, texts: &[&str]) -> Option<Vec<QueryResult>> {
        // Taken out, so that a query which is given up takes its connection with it.
        let mut connection = self.connection.take().or_else(|| self.opened())?;
        let Access { query, apart, .. } = self.access.as_ref();
        let rows = query_postgres(&mut connection, query, texts, apart.as_ref());
        let why = match tokio::time::timeout(self.patience, rows).await {
            Ok(Ok(rows)) => {
                self.connection = Some(connection);
                return Some(rows);
            }
            Ok(Err(error)) => failed(error),
            Err(_) => DatabaseError::TimedOut,
        };
        tracing::warn!(error = %why, "the replica is not used: the primary is asked");
        // What answers the first question at once may still fail at the others.
        self.opening = open(&self.access, RETRY);
        None
    }

    /// The connection that the task has opened meanwhile.
    fn opened(&mut self) -> Option<PgConnection> {
        match self.opening.try_recv() {
            Ok(connection) => Some(connection),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Closed) => {
                // The task broke off.
                self.opening = open(&self.access, RETRY);
                None
            }
        }
    }
}

/// Opens a connection in the background, after a pause; the task ends when nobody waits for it any more.
fn open(access: &Arc<Access>, pause: Duration) -> oneshot::Receiver<PgConnection> {
    let (mut opened, opening) = oneshot::channel();
    let access = Arc::clone(access);
    tokio::spawn(async move {
        let until_it_works = async {
            let mut told = false;
            tokio::time::sleep(pause).await;
            loop {
                let error = match tokio::time::timeout(access.timeout, access.connect()).await {
                    Ok(Ok(connection)) => return connection,
                    Ok(Err(error)) => error,
                    Err(_) => DatabaseError::TimedOut,
                };
                if !std::mem::replace(&mut told, true) {
                    tracing::warn!(%error, "the replica cannot be used");
                }
                tokio::time::sleep(RETRY).await;
            }
        };
        tokio::select! {
            connection = until_it_works => {
                tracing::info!("the replica is used");
                let _ = opened.send(connection);
            }
            () = opened.closed() => {}
        }
    });
    opening
}

impl Access {
    /// A connection that answers the query.
    async fn connect(&self) -> Result<PgConnection, DatabaseError> {
        let mut options = self.options.clone();
        // Even no option would be sent, as an empty text.
        if let Some(limit) = statement_timeout(&options, self.timeout).await? {
            options = options.options([limit]);
        }
        let mut connection = options.connect().await.map_err(failed)?;
        // Both forms of it.
        for texts in [&[""][..], &["", "-"]] {
            let asked = query_postgres(&mut connection, &self.query, texts, self.apart.as_ref());
            asked.await.map_err(failed)?;
        }
        Ok(connection)
    }
}

/// How to reach it; `None` if there is no replica. Statements are not logged, as the pool's are not.
fn options(settings: &Settings) -> Option<Result<PgConnectOptions, DatabaseError>> {
    let Some(DatabaseUrl::Postgres(url)) = &settings.database_replica_url else { return None };
    let options = PgConnectOptions::from_str(url).map_err(failed);
    Some(options.map(PgConnectOptions::disable_statement_logging))
}

fn failed(error: sqlx::Error) -> DatabaseError {
    unconnected(error).into()
}

/// Whether the replica follows a primary, for `check`; `None` if there is none.
pub async fn is_standby(settings: &Settings) -> Option<Result<bool, DatabaseError>> {
    let options = match options(settings)? {
        Ok(options) => options,
        Err(error) => return Some(Err(error)),
    };
    let asked = async {
        let mut connection = options.connect().await?;
        let query = sqlx::query_scalar("SELECT pg_is_in_recovery()").persistent(false);
        query.fetch_one(&mut connection).await
    };
    let asked = tokio::time::timeout(settings.database_timeout, asked).await;
    Some(asked.map_or(Err(DatabaseError::TimedOut), |asked| asked.map_err(failed)))
}

/// Why a URL cannot be used, whatever listens there.
#[must_use]
pub fn mistake(url: &DatabaseUrl) -> Option<String> {
    let DatabaseUrl::Postgres(url) = url else { return None };
    let read = url.parse::<PgConnectOptions>();
    read.err().map(|error| format!("the URL cannot be used: {error}"))
}
