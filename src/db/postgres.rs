//! How connections to PostgreSQL are made, and what is done before one of the pool is used again.

use std::time::Duration;

use futures_util::future::BoxFuture;
use sea_orm::sqlx::pool::PoolConnectionMetadata;
use sea_orm::sqlx::postgres::PgConnectOptions;
use sea_orm::sqlx::{self, ConnectOptions as _, Connection, PgConnection};
use sea_orm::{ConnectOptions, DbErr, RuntimeErr};

use super::suspicion::Suspicion;

/// The pool's options for a site's URL. Connects once, and says why it cannot.
pub(super) async fn set_up(
    options: &mut ConnectOptions,
    url: &str,
    timeout: Duration,
    suspicion: &Suspicion,
) -> Result<(), DbErr> {
    let site: PgConnectOptions = url.parse().map_err(unconnected)?;
    let mut site = site.disable_statement_logging();
    // Even no option would be sent, as an empty text.
    if let Some(limit) = statement_timeout(&site, timeout).await? {
        site = site.options([limit]);
    }
    options
        .map_sqlx_postgres_before_acquire(renewed(suspicion.clone(), site.clone(), timeout / 3))
        .map_sqlx_postgres_opts(move |_| site.clone())
        // sqlx would close old ones, and by TLS wait for the farewell of those that are dead.
        .idle_timeout(None)
        .max_lifetime(None);
    Ok(())
}

/// The option that ends a statement at the server too when nobody waits for it any more: behind a
/// lock of a migration the statements that were given up would pile up, each with a connection of the server's.
/// None where the site has one of its own, and behind a `PgBouncer`, which lets none through.
///
/// Found by one connection outside the pool, also for the sake of its error: the pool goes on
/// trying, and says at last only that it took too long.
pub(super) async fn statement_timeout(
    site: &PgConnectOptions,
    timeout: Duration,
) -> Result<Option<(&'static str, u128)>, DbErr> {
    let connect =
        async |options: &PgConnectOptions| PgConnection::connect_with(options).await?.close().await;
    if !site.get_options().is_some_and(|options| options.contains("statement_timeout")) {
        let limit = ("statement_timeout", timeout.as_millis());
        match connect(&site.clone().options([limit])).await {
            // "unsupported startup parameter", under one code or another; whatever else it is comes again.
            Err(sqlx::Error::Database(_)) => {}
            connected => return connected.map(|()| Some(limit)).map_err(unconnected),
        }
    }
    connect(site).await.map(|()| None).map_err(unconnected)
}

/// What is done before a connection of the pool is used again: a new one is put in the place of one that is not to be
/// trusted, if there can be one. Refused, the old one would be closed by sqlx, which by TLS waits for the other side's
/// farewell.
fn renewed(
    suspicion: Suspicion,
    site: PgConnectOptions,
    patience: Duration,
) -> impl for<'c> Fn(
    &'c mut PgConnection,
    PoolConnectionMetadata,
) -> BoxFuture<'c, Result<bool, sqlx::Error>>
+ Send
+ Sync
+ 'static {
    move |connection, known| {
        let (suspicion, site) = (suspicion.clone(), site.clone());
        Box::pin(async move {
            if !suspicion.trusts(connection, known.idle_for, patience).await
                && let Ok(renewed) = site.connect().await
            {
                *connection = renewed;
            }
            Ok(true)
        })
    }
}

pub(super) fn unconnected(error: sqlx::Error) -> DbErr {
    DbErr::Conn(RuntimeErr::SqlxError(error.into()))
}
