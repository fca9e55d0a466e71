//! Token look-ups that are shared by the requests that wait at the same time.
//!
//! Why is there no cache? A token that was deleted must be refused on the next request. A
//! look-up starts only after each of its requests has arrived, so each answer is as fresh as
//! that of a SELECT of its own; and while one is under way the requests that arrive gather for
//! the next. Nothing is delayed to make a batch: a look-up starts when the requests that have
//! been read already are in it.

use std::fmt;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::models::TokenModel;
use crate::db::{Database, DatabaseError, Kept};
use crate::django::auth::models::User;

/// Keys in one SELECT.
const MAX_BATCH: usize = 256;
/// Requests that may wait; each holds its place only as long as its client is there.
const MAX_WAITING: usize = 16 * 1024;

/// Why a look-up gave no answer.
#[derive(Debug, Clone)]
pub enum LookupError {
    /// The database failed; shared by all requests of the look-up.
    Database(Arc<DatabaseError>),
    /// Too many requests wait already.
    Overloaded,
    /// The look-ups have ended with the service.
    Ended,
}

impl fmt::Display for LookupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Database(error) => write!(f, "{error}"),
            Self::Overloaded => f.write_str("too many token look-ups are waiting"),
            Self::Ended => f.write_str("the token look-ups have ended"),
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

/// A request that waits for its user.
struct Waiting {
    key: String,
    answer: oneshot::Sender<Answer>,
}

/// The entrance to the look-ups. They end when it is dropped.
pub struct Lookups {
    waiting: mpsc::Sender<Waiting>,
}

impl Lookups {
    /// Starts the task that looks up, one SELECT after the other, on a connection of its own.
    #[must_use]
    pub fn start(tokens: TokenModel, database: Database) -> Self {
        let (waiting, arriving) = mpsc::channel(MAX_WAITING);
        tokio::spawn(look_up(tokens, Kept::new(database), arriving));
        Self { waiting }
    }

    /// The user that `key` stands for.
    pub async fn for_key(&self, key: &str) -> Answer {
        let (answer, found) = oneshot::channel();
        let waiting = Waiting { key: key.to_owned(), answer };
        self.waiting.try_send(waiting).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => LookupError::Overloaded,
            mpsc::error::TrySendError::Closed(_) => LookupError::Ended,
        })?;
        found.await.unwrap_or(Err(LookupError::Ended))
    }
}

/// Takes all that wait, up to the bound, and answers them with one SELECT.
async fn look_up(tokens: TokenModel, mut connection: Kept, mut arriving: mpsc::Receiver<Waiting>) {
    let mut batch = Vec::with_capacity(MAX_BATCH);
    while arriving.recv_many(&mut batch, MAX_BATCH).await > 0 {
        // Who has left is not looked up.
        batch.retain(|waiting: &Waiting| !waiting.answer.is_closed());
        let keys: Vec<&str> = batch.iter().map(|waiting| waiting.key.as_str()).collect();
        match tokens.for_keys(&mut connection, &keys).await {
            Ok(found) => {
                for waiting in batch.drain(..) {
                    let user = found.get(&waiting.key).cloned();
                    let _ = waiting.answer.send(Ok(user));
                }
            }
            Err(error) => {
                let error = LookupError::from(error);
                for waiting in batch.drain(..) {
                    let _ = waiting.answer.send(Err(error.clone()));
                }
            }
        }
    }
}
