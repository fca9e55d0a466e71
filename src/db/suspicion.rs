//! Connections of the pool that may be dead.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sea_orm::sqlx::{Connection, PgConnection};
use tokio::time::Instant;

/// After how long an idle connection is asked whether it works: something on the way may have forgotten it meanwhile.
const ASK_AFTER: Duration = Duration::from_secs(10);

/// When one connection gives no answer, what has swallowed it (a firewall that forgot, a server that vanished) may have
/// swallowed all that were idle then: none of them is used again. Else they would be found out one after the other, and
/// each by somebody who waits.
#[derive(Debug, Clone, Default)]
pub(super) struct Suspicion(Arc<Mutex<Option<Instant>>>);

impl Suspicion {
    /// On all that have not been used since that moment.
    pub(super) fn falls_on_those_idle_since(&self, moment: Instant) {
        let mut since = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *since = (*since).max(Some(moment));
    }

    /// Whether a connection can be used again: one that has been idle for long is asked, with so much patience.
    pub(super) async fn trusts(
        &self,
        connection: &mut PgConnection,
        idle_for: Duration,
        patience: Duration,
    ) -> bool {
        if self.is_on(idle_for) {
            return false;
        }
        if idle_for < ASK_AFTER {
            return true;
        }
        let asked = Instant::now();
        let Ok(answer) = tokio::time::timeout(patience, connection.ping()).await else {
            self.falls_on_those_idle_since(asked);
            return false;
        };
        answer.is_ok()
    }

    fn is_on(&self, idle_for: Duration) -> bool {
        let since = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        since.is_some_and(|moment| moment.elapsed() <= idle_for)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_falls_on_those_that_were_idle_already() {
        let seconds = Duration::from_secs;
        let suspicion = Suspicion::default();
        assert!(!suspicion.is_on(seconds(3600)));
        let first = Instant::now();
        tokio::time::advance(seconds(2)).await;
        suspicion.falls_on_those_idle_since(Instant::now());
        // An older one says nothing new.
        suspicion.falls_on_those_idle_since(first);
        tokio::time::advance(seconds(5)).await;
        assert!(suspicion.is_on(seconds(5)));
        assert!(!suspicion.is_on(seconds(4)));
    }
}
