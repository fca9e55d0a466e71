//! A connection of PostgreSQL's pool while somebody uses it.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use sea_orm::sqlx::pool::PoolConnection;
use sea_orm::sqlx::{PgConnection, Postgres};
use tokio::runtime::Handle;
use tokio::time::Instant;

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
    /// Whether statements are transactions of their own. One that is cut off while it begins may begin later: its
    /// connection is not used again, as it would keep a server of the pooler.
    apart: bool,
    is_done: bool,
}

impl Lent {
    pub(super) fn new(
        connection: PoolConnection<Postgres>,
        suspicion: Suspicion,
        apart: bool,
    ) -> Self {
        Self { connection, suspicion, apart, is_done: false }
    }

    /// The statement is not given up: it has ended, with rows or an error.
    pub(super) fn done(mut self) {
        self.is_done = true;
    }
}

impl Deref for Lent {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for Lent {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        // What sqlx does itself. Dropped, it leaves the place in the pool free and the connection cut off.
        let returned = self.connection.return_to_pool();
        let (is_done, is_cut_off) = (self.is_done, self.apart && !self.is_done);
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
