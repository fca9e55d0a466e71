//! Token look-ups that are shared by the requests that wait at the same time.
//!
//! Why is there no cache? A token that was deleted must be refused on the next request, or with a replica as soon as
//! that has replayed it. A look-up starts only after each of its requests has arrived, so each answer is as fresh as
//! that of a SELECT of its own; and while one is under way the requests that arrive gather for the next. Nothing is
//! delayed to make a batch: a look-up starts when the requests that have been read already are in it.

use std::collections::HashMap;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::models::TokenModel;
use crate::db::replica::Replica;
use crate::db::{Database, DatabaseError, KEEP_EVERY, Kept};
use crate::django::auth::models::User;
use crate::metrics::Metrics;

/// Requests that share a look-up.
const MAX_BATCH: usize = 256;
/// Requests that may wait.
const MAX_WAITING: usize = 16 * 1024;
/// Django's column holds 40 characters; that of a custom token model may hold some more. Nothing is
/// asked for a longer key.
const MAX_KEY_LENGTH: usize = 1024;

/// Why a look-up gave no answer.
#[derive(Debug, Clone)]
pub enum LookupError {
    /// The database failed; shared by all requests of the look-up.
    Database(Arc<DatabaseError>),
    /// Too many requests wait already.
    Overloaded,
    /// The look-up broke off by a fault of this program, or ended with the service.
    BrokenOff,
}

impl fmt::Display for LookupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Database(error) => write!(f, "{error}"),
            Self::Overloaded => f.write_str("too many token look-ups are waiting"),
            Self::BrokenOff => f.write_str("the token look-up broke off"),
        }
    }
}

impl std::error::Error for LookupError {}

impl From<DatabaseError> for LookupError {
    fn from(error: DatabaseError) -> Self {
        Self::Database(Arc::new(error))
    }
}

type Answer = Result<Option<User>, LookupError>;
/// By key; a key without a row is not in it, and a row that cannot be read fails its own key only.
type Found = HashMap<String, Result<User, LookupError>>;

/// What can look up several keys at once.
trait Source: Send + 'static {
    fn for_keys(
        &mut self,
        keys: &[&str],
    ) -> impl Future<Output = Result<Found, DatabaseError>> + Send;

    /// Makes itself ready for the next look-up; may be given up at any time.
    fn keep(&mut self) -> impl Future<Output = ()> + Send;
}

/// The token table, through a connection of its own, and another one to a replica.
struct Tokens {
    model: TokenModel,
    connection: Kept,
    /// Whether the connection is there before it is needed.
    ahead: bool,
    replica: Option<Replica>,
    metrics: Arc<Metrics>,
}

impl Source for Tokens {
    async fn for_keys(&mut self, keys: &[&str]) -> Result<Found, DatabaseError> {
        self.metrics.lookups.observe(f64::from(u32::try_from(keys.len()).unwrap_or(u32::MAX)));
        let mut found = self.opened_by_the_replica(keys).await;
        let mut others = keys.to_vec();
        others.retain(|key| !found.contains_key(*key));
        if others.is_empty() {
            self.metrics.replica_lookups.inc();
        } else {
            let rows = self.model.for_keys(&mut self.connection, &others).await?;
            found
                .extend(rows.into_iter().map(|(key, user)| (key, user.map_err(LookupError::from))));
        }
        Ok(found)
    }

    async fn keep(&mut self) {
        if self.ahead {
            self.connection.keep().await;
        }
    }
}

impl Tokens {
    async fn opened_by_the_replica(&mut self, keys: &[&str]) -> Found {
        let Some(replica) = &mut self.replica else { return Found::new() };
        let opened = self.model.opened_by(replica, keys).await;
        opened.into_iter().flatten().map(|(key, user)| (key, Ok(user))).collect()
    }
}

/// A request that waits for its user.
struct Waiting {
    key: String,
    answer: oneshot::Sender<Answer>,
}

/// The way to the look-ups. They end when it is dropped.
pub struct Lookups {
    model: TokenModel,
    database: Database,
    shared: Shared,
}

impl Lookups {
    /// Starts the task that looks up, one batch after the other, for those who seldom ask: it connects when somebody
    /// does, and to no replica.
    #[must_use]
    pub fn seldom(model: TokenModel, database: Database, metrics: Arc<Metrics>) -> Self {
        Self::start(model, database, false, None, metrics)
    }

    /// The same for a thread that answers requests: it is connected before somebody asks.
    #[must_use]
    pub fn ahead(
        model: TokenModel,
        database: Database,
        replica: Option<Replica>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self::start(model, database, true, replica, metrics)
    }

    fn start(
        model: TokenModel,
        database: Database,
        ahead: bool,
        replica: Option<Replica>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let connection = Kept::new(database.clone());
        let source = Tokens { model: model.clone(), connection, ahead, replica, metrics };
        Self { model, shared: Shared::start(source, database.timeout()), database }
    }

    /// The user that `key` stands for.
    ///
    /// A key that is not ASCII, which Django makes none, is looked up by itself: a database in
    /// another encoding than UTF-8 may refuse the statement for it.
    pub async fn for_key(&self, key: &str) -> Answer {
        if key.len() > MAX_KEY_LENGTH {
            return Ok(None);
        }
        if !key.is_ascii() {
            return Ok(Box::pin(self.model.for_key(&self.database, key)).await?);
        }
        self.shared.for_key(key).await
    }
}

/// The requests that share a source.
struct Shared {
    waiting: mpsc::Sender<Waiting>,
    timeout: Duration,
}

impl Shared {
    fn start(source: impl Source, timeout: Duration) -> Self {
        let (waiting, arriving) = mpsc::channel(MAX_WAITING);
        tokio::spawn(look_up(source, arriving, KEEP_EVERY.min(timeout / 2)));
        Self { waiting, timeout }
    }

    async fn for_key(&self, key: &str) -> Answer {
        let (answer, found) = oneshot::channel();
        self.waiting.try_send(Waiting { key: key.to_owned(), answer }).map_err(|refused| {
            match refused {
                mpsc::error::TrySendError::Full(_) => LookupError::Overloaded,
                mpsc::error::TrySendError::Closed(_) => LookupError::BrokenOff,
            }
        })?;
        // The look-ups before it take their time too.
        let found = tokio::time::timeout(self.timeout, found).await;
        found.map_err(|_| DatabaseError::TimedOut)?.unwrap_or(Err(LookupError::BrokenOff))
    }
}

/// Takes all that wait, up to the bound, and answers them with one look-up. While nobody waits, the source is kept
/// ready: at the start, and every so often.
///
/// Each request has a timer. For one that ends before all others tokio wakes its own thread by a system call, which
/// every third request would make; the timer that ends `often`, sooner than theirs, is there first. (A replica's own
/// timer, one for each look-up, may end before it.)
async fn look_up(mut source: impl Source, mut arriving: mpsc::Receiver<Waiting>, often: Duration) {
    let mut batch: Vec<Waiting> = Vec::with_capacity(MAX_BATCH);
    let mut timer = pin!(tokio::time::sleep(Duration::ZERO));
    loop {
        let keep = async {
            timer.as_mut().await;
            timer.as_mut().reset(Instant::now() + often);
            source.keep().await;
        };
        let number = tokio::select! {
            biased;
            number = arriving.recv_many(&mut batch, MAX_BATCH) => number,
            kept = AssertUnwindSafe(keep).catch_unwind() => {
                if kept.is_err() {
                    tracing::error!("the connection for token look-ups could not be kept");
                }
                continue;
            }
        };
        if number == 0 {
            return;
        }
        // Who has left is not looked up.
        batch.retain(|waiting| !waiting.answer.is_closed());
        if batch.is_empty() {
            continue;
        }
        let mut keys: Vec<&str> = batch.iter().map(|waiting| waiting.key.as_str()).collect();
        // A token that many clients use is one row.
        keys.sort_unstable();
        keys.dedup();
        // A panic is the end of this look-up, not of all that come after it.
        let found = AssertUnwindSafe(source.for_keys(&keys)).catch_unwind().await;
        let found = if let Ok(found) = found {
            found.map_err(LookupError::from)
        } else {
            tracing::error!(requests = batch.len(), "a token look-up broke off");
            Err(LookupError::BrokenOff)
        };
        for Waiting { key, answer } in batch.drain(..) {
            let user = match &found {
                Ok(found) => found.get(&key).cloned().transpose(),
                Err(error) => Err(error.clone()),
            };
            let _ = answer.send(user);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use super::*;
    use crate::memory::{has_grown, resident_bytes};

    /// Finds a user of the key's name, when it is let to; `panic` breaks it, `fails` is a database that does.
    ///
    /// It is ready when it is let to, too; how often it was to get ready and was given up, or broke, is counted.
    struct Gate {
        open: Arc<tokio::sync::Semaphore>,
        asked: Arc<std::sync::Mutex<Vec<usize>>>,
        ready: Arc<Ready>,
    }

    #[derive(Default)]
    struct Ready {
        begun: AtomicUsize,
        done: AtomicUsize,
        may: AtomicBool,
    }

    impl Source for Gate {
        async fn for_keys(&mut self, keys: &[&str]) -> Result<Found, DatabaseError> {
            self.asked.lock().unwrap().push(keys.len());
            self.open.acquire().await.unwrap().forget();
            if keys.contains(&"panic") {
                // Without its message, of which one test would print thousands.
                std::panic::resume_unwind(Box::new("wanted by the test"));
            }
            if keys.contains(&"fails") {
                return Err(DatabaseError::TimedOut);
            }
            let user = |key: &&str| {
                let user = User {
                    pk: "1".to_owned(),
                    username: (*key).to_owned(),
                    is_active: true,
                    profile: None,
                };
                let unreadable = LookupError::from(DatabaseError::TimedOut);
                ((*key).to_owned(), if *key == "bad row" { Err(unreadable) } else { Ok(user) })
            };
            Ok(keys.iter().filter(|key| **key != "unknown").map(user).collect())
        }

        async fn keep(&mut self) {
            self.ready.begun.fetch_add(1, Ordering::Relaxed);
            if !self.ready.may.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
            if self.ready.done.fetch_add(1, Ordering::Relaxed) == 0 {
                std::panic::resume_unwind(Box::new("wanted by the test"));
            }
        }
    }

    const LONG: Duration = Duration::from_mins(1);

    type Asked = Arc<std::sync::Mutex<Vec<usize>>>;

    fn shared(timeout: Duration) -> (Arc<Shared>, Arc<tokio::sync::Semaphore>, Asked) {
        let (shared, open, asked, _) = shared_with_ready(timeout);
        (shared, open, asked)
    }

    fn shared_with_ready(
        timeout: Duration,
    ) -> (Arc<Shared>, Arc<tokio::sync::Semaphore>, Asked, Arc<Ready>) {
        let open = Arc::new(tokio::sync::Semaphore::new(0));
        let (asked, ready) = (Asked::default(), Arc::<Ready>::default());
        let gate =
            Gate { open: Arc::clone(&open), asked: Arc::clone(&asked), ready: Arc::clone(&ready) };
        (Arc::new(Shared::start(gate, timeout)), open, asked, ready)
    }

    fn ask(shared: &Arc<Shared>, key: impl Into<String>) -> tokio::task::JoinHandle<Answer> {
        let (shared, key) = (Arc::clone(shared), key.into());
        tokio::spawn(async move { shared.for_key(&key).await })
    }

    fn name(answer: Answer) -> Result<Option<String>, String> {
        answer.map(|user| user.map(|user| user.username)).map_err(|error| error.to_string())
    }

    /// All that can go on without a timer has gone on: the test's runtime has one thread.
    async fn settle() {
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn who_waits_at_the_same_time_shares_a_look_up() {
        let (shared, open, asked) = shared(LONG);
        let first = ask(&shared, "first");
        settle().await;
        let others = ["second", "unknown", "bad row", "second"].map(|key| ask(&shared, key));
        settle().await;
        open.add_permits(2);
        assert_eq!(name(first.await.unwrap()), Ok(Some("first".to_owned())));
        let [second, unknown, bad, again] = others;
        assert_eq!(name(second.await.unwrap()), Ok(Some("second".to_owned())));
        assert_eq!(name(again.await.unwrap()), Ok(Some("second".to_owned())));
        assert_eq!(name(unknown.await.unwrap()), Ok(None));
        // A row that cannot be read is one request's fault.
        assert!(bad.await.unwrap().is_err());
        assert_eq!(*asked.lock().unwrap(), [1, 3]);
    }

    #[tokio::test(start_paused = true)]
    async fn it_gets_ready_at_the_start_and_again_and_a_request_ends_that() {
        let (shared, open, _, ready) = shared_with_ready(Duration::from_millis(200));
        let begun = || ready.begun.load(Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(begun(), 1);
        open.add_permits(1);
        assert_eq!(name(shared.for_key("first").await), Ok(Some("first".to_owned())));
        // The one that breaks is not the last.
        ready.may.store(true, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!((4..12).contains(&begun()), "{}", begun());
        open.add_permits(1);
        assert_eq!(name(shared.for_key("second").await), Ok(Some("second".to_owned())));
    }

    #[tokio::test]
    async fn a_look_up_is_of_so_many_requests_at_most() {
        let (shared, open, asked) = shared(LONG);
        let first = ask(&shared, "first");
        settle().await;
        let others: Vec<_> = (0..600).map(|key| ask(&shared, key.to_string())).collect();
        settle().await;
        open.add_permits(4);
        for (key, other) in others.into_iter().enumerate() {
            assert_eq!(name(other.await.unwrap()), Ok(Some(key.to_string())));
        }
        assert!(first.await.unwrap().is_ok());
        assert_eq!(*asked.lock().unwrap(), [1, MAX_BATCH, MAX_BATCH, 600 - 2 * MAX_BATCH]);
    }

    #[tokio::test]
    async fn who_finds_no_place_to_wait_is_told_at_once() {
        let (shared, open, _) = shared(LONG);
        let first = ask(&shared, "first");
        settle().await;
        let mut waiting = Vec::new();
        loop {
            let (answer, found) = oneshot::channel();
            if shared.waiting.try_send(Waiting { key: "waits".to_owned(), answer }).is_err() {
                break;
            }
            waiting.push(found);
        }
        assert_eq!(waiting.len(), MAX_WAITING);
        assert!(matches!(shared.for_key("late").await, Err(LookupError::Overloaded)));
        open.add_permits(1 + MAX_WAITING / MAX_BATCH);
        assert!(first.await.unwrap().is_ok());
        for found in waiting {
            assert_eq!(name(found.await.unwrap()), Ok(Some("waits".to_owned())));
        }
        open.add_permits(1);
        assert!(shared.for_key("comes").await.is_ok());
    }

    #[tokio::test]
    async fn a_fault_ends_one_look_up_and_no_other() {
        for (key, told) in [
            ("panic", "the token look-up broke off"),
            ("fails", "the database did not answer in time"),
        ] {
            one_look_up_ends(key, told).await;
        }
    }

    async fn one_look_up_ends(key: &'static str, told: &str) {
        let (shared, open, _) = shared(LONG);
        let first = ask(&shared, "first");
        settle().await;
        let broken = [key, "second"].map(|key| ask(&shared, key));
        settle().await;
        open.add_permits(2);
        assert!(first.await.unwrap().is_ok());
        for broken in broken {
            assert_eq!(name(broken.await.unwrap()), Err(told.to_owned()));
        }
        let third = ask(&shared, "third");
        settle().await;
        let fourth = ask(&shared, "fourth");
        open.add_permits(2);
        assert_eq!(name(third.await.unwrap()), Ok(Some("third".to_owned())));
        assert_eq!(name(fourth.await.unwrap()), Ok(Some("fourth".to_owned())));
    }

    #[tokio::test]
    async fn ten_thousand_panics_end_no_look_up_but_their_own() {
        let (shared, open, asked) = shared(LONG);
        let mut before = 0;
        for round in 0..10_000 {
            open.add_permits(1);
            assert!(ask(&shared, "panic").await.unwrap().is_err());
            if round == 100 {
                before = resident_bytes();
            }
        }
        assert!(!has_grown(before));
        open.add_permits(1);
        let next = ask(&shared, "next").await.unwrap();
        assert_eq!(name(next), Ok(Some("next".to_owned())));
        assert_eq!(asked.lock().unwrap().len(), 10_001);
    }

    #[tokio::test]
    async fn a_client_that_leaves_ends_no_look_up_and_costs_none() {
        let (shared, open, asked) = shared(LONG);
        let leaves = ask(&shared, "leaves");
        settle().await;
        let waits = ask(&shared, "waits");
        settle().await;
        leaves.abort();
        waits.abort();
        settle().await;
        open.add_permits(2);
        assert!(shared.for_key("comes").await.is_ok());
        assert_eq!(*asked.lock().unwrap(), [1, 1]);
    }

    #[tokio::test]
    async fn the_wait_is_bounded_whatever_is_before_it() {
        let (shared, open, _) = shared(Duration::from_millis(20));
        let _first = ask(&shared, "first");
        settle().await;
        let waits = ask(&shared, "second").await.unwrap();
        assert_eq!(name(waits), Err("the database did not answer in time".to_owned()));
        // The timer that ends sooner has ended too, and is set again.
        for key in ["third", "fourth"] {
            open.add_permits(2);
            assert_eq!(name(ask(&shared, key).await.unwrap()), Ok(Some(key.to_owned())));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
