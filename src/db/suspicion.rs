//! Connections of the pool that may be dead.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long a connection may have been idle: something on the way may forget it meanwhile.
const MAX_IDLE: Duration = Duration::from_secs(10);

/// When one connection gives no answer, what has swallowed it (a firewall that forgot, a server that vanished) may have
/// swallowed all that were idle then: none of them is used again. Else they would be found out one after the other, and
/// each by somebody who waits until `DATABASE_TIMEOUT`.
#[derive(Debug, Clone, Default)]
pub(super) struct Suspicion(Arc<Mutex<Option<Instant>>>);

impl Suspicion {
    /// On all that have not been used since that moment.
    pub(super) fn falls_on_those_idle_since(&self, moment: Instant) {
        let mut since = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *since = (*since).max(Some(moment));
    }

    /// Whether it falls on one that has been idle for so long.
    pub(super) fn is_on(&self, idle_for: Duration) -> bool {
        let since = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        idle_for >= MAX_IDLE || since.is_some_and(|moment| moment.elapsed() <= idle_for)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_falls_on_those_that_were_idle_already() {
        let seconds = Duration::from_secs;
        let suspicion = Suspicion::default();
        assert!(!suspicion.is_on(seconds(9)));
        assert!(suspicion.is_on(seconds(10)));
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
