//! Where `check_password` runs: a few threads of their own behind a short queue. Django hashes on the thread of the
//! request, so that its number of workers is the bound; an async server has none, and needs this one.
//!
//! Why not `spawn_blocking`? It starts hundreds of threads, which starve all other requests, it cannot drop a job
//! whose client has left, and it would hash one password at a time where a core has room for four.

mod pace;
mod priority;
mod queue;
#[cfg(test)]
mod tests;
mod worker;

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use tokio::sync::oneshot;

use self::queue::{Job, Queue};
pub use self::queue::{Limits, Load};
use self::worker::Worker;
use super::hashers::{Check, Cost, EncodedPassword, Hashers, Outcome, Password, Plan, Unhashable};
use crate::django::utils::crypto::RandomSource;

/// Why a password was not hashed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HashingError {
    /// The queue is full. The client should come again.
    Overloaded,
    /// The worker panicked over this job.
    Failed,
    /// The random source gave nothing for a salt.
    NoRandomness(getrandom::Error),
    /// The hasher cannot hash the password, or not now.
    Unhashable(Unhashable),
}

impl std::fmt::Display for HashingError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Overloaded => f.write_str("all hashing threads are busy and their queue is full"),
            Self::Failed => f.write_str("a hashing thread panicked"),
            Self::NoRandomness(error) => write!(f, "no random bytes for a salt: {error}"),
            Self::Unhashable(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for HashingError {}

/// The hashing threads. They end when the pool is dropped, after the slice at hand.
#[derive(Debug)]
pub struct HashingPool {
    hashers: Arc<Hashers>,
    random: RandomSource,
    queue: Arc<Queue>,
    /// Of a hash by the preferred hasher, which is what a user that there is not costs.
    ordinary: Cost,
}

impl HashingPool {
    /// Starts the workers.
    pub fn new(hashers: &Arc<Hashers>, random: RandomSource, limits: Limits) -> io::Result<Self> {
        Self::start(hashers, random, limits).map(|(pool, _workers)| pool)
    }

    fn start(
        hashers: &Arc<Hashers>,
        random: RandomSource,
        limits: Limits,
    ) -> io::Result<(Self, Vec<JoinHandle<()>>)> {
        let queue = Arc::new(Queue::new(limits));
        // Before the threads, so that those there are end if one does not start.
        let ordinary = hashers.plan_check(None).cost;
        let pool = Self { hashers: Arc::clone(hashers), random, queue, ordinary };
        let spawn = |number| {
            let worker = Worker::new(number, Arc::clone(&pool.queue));
            thread::Builder::new().name(format!("hashing-{number}")).spawn(move || {
                priority::lower(limits.nice);
                worker.run();
            })
        };
        let workers = (0..limits.threads.max(1)).map(spawn).collect::<io::Result<_>>()?;
        Ok((pool, workers))
    }

    /// Whether an ordinary hash would be refused now: known before the user is, so that a flood costs the database nothing
    /// and says nothing about who exists.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.queue.is_full(self.ordinary)
    }

    /// [`Hashers::check_password`] on a worker. Dropping the future takes the job out of the queue, or off its lane.
    pub async fn check_password(
        &self,
        password: Password,
        encoded: Option<EncodedPassword>,
    ) -> Result<Check, HashingError> {
        let plan = self.hashers.plan_check(encoded.as_ref());
        drop(encoded);
        match self.run(password, plan).await? {
            Outcome::Checked(check) => Ok(check),
            Outcome::Failed(error) => Err(HashingError::Unhashable(error)),
            Outcome::Made(_) => Err(HashingError::Failed),
        }
    }

    /// [`Hashers::make_password`] on a worker.
    pub async fn make_password(&self, password: Password) -> Result<EncodedPassword, HashingError> {
        let plan = self.hashers.plan_make(self.random).map_err(HashingError::NoRandomness)?;
        match self.run(password, plan).await? {
            Outcome::Made(encoded) => Ok(encoded),
            Outcome::Failed(error) => Err(HashingError::Unhashable(error)),
            Outcome::Checked(_) => Err(HashingError::Failed),
        }
    }

    /// How busy the threads are.
    #[must_use]
    pub fn load(&self) -> Load {
        self.queue.load()
    }

    async fn run(&self, password: Password, plan: Plan) -> Result<Outcome, HashingError> {
        let (answer, outcome) = oneshot::channel();
        let job = Job { password, plan, answer };
        let _place = self.queue.admit(job).ok_or(HashingError::Overloaded)?;
        outcome.await.map_err(|_| HashingError::Failed)
    }
}

impl Drop for HashingPool {
    fn drop(&mut self) {
        self.queue.close();
    }
}
