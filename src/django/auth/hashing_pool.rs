//! Where `check_password` runs: a few threads of their own behind a short queue. Django hashes on the thread of the
//! request, so that its number of workers is the bound; an async server has none, and needs this one.
//!
//! Why not `spawn_blocking`? It starts hundreds of threads, which starve all other requests, and it cannot drop a job
//! whose client has left.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use tokio::sync::oneshot;

use super::hashers::{Check, EncodedPassword, Hashers, Password, RandomSource};

/// Why a password was not hashed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HashingError {
    /// The queue is full. The client should come again.
    Overloaded,
    /// The worker panicked over this job.
    Failed,
    /// The random source gave nothing for a salt.
    NoRandomness(getrandom::Error),
}

impl std::fmt::Display for HashingError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Overloaded => f.write_str("all hashing threads are busy and their queue is full"),
            Self::Failed => f.write_str("a hashing thread panicked"),
            Self::NoRandomness(error) => write!(f, "no random bytes for a salt: {error}"),
        }
    }
}

impl std::error::Error for HashingError {}

/// One hash to compute, and where its result goes.
enum Job {
    Check { password: Password, encoded: Option<EncodedPassword>, answer: oneshot::Sender<Check> },
    Make { password: Password, answer: oneshot::Sender<Result<EncodedPassword, getrandom::Error>> },
}

impl Job {
    /// A client that left while it queued costs no hash. Dropping the sender unanswered is an error to the caller.
    fn run(self, hashers: &Hashers, random: RandomSource) {
        match self {
            Self::Check { password, encoded, answer } if !answer.is_closed() => {
                let _ = answer.send(hashers.check_password(&password, encoded.as_ref()));
            }
            Self::Make { password, answer } if !answer.is_closed() => {
                let _ = answer.send(hashers.make_password(Some(&password), random));
            }
            Self::Check { .. } | Self::Make { .. } => {}
        }
    }
}

/// The hashing threads. They end when the pool is dropped, after the hash at hand.
#[derive(Debug)]
pub struct HashingPool {
    jobs: SyncSender<Job>,
}

impl HashingPool {
    /// Starts `threads` workers, at least one. `queue` jobs may wait besides those being hashed.
    pub fn new(
        hashers: &Arc<Hashers>,
        random: RandomSource,
        threads: usize,
        queue: usize,
    ) -> io::Result<Self> {
        Self::start(hashers, random, threads, queue).map(|(pool, _workers)| pool)
    }

    fn start(
        hashers: &Arc<Hashers>,
        random: RandomSource,
        threads: usize,
        queue: usize,
    ) -> io::Result<(Self, Vec<JoinHandle<()>>)> {
        let (jobs, waiting) = sync_channel(queue);
        let waiting = Arc::new(Mutex::new(waiting));
        let spawn = |number| {
            let (hashers, waiting) = (Arc::clone(hashers), Arc::clone(&waiting));
            let name = format!("hashing-{number}");
            thread::Builder::new().name(name).spawn(move || work(&hashers, random, &waiting))
        };
        let workers = (0..threads.max(1)).map(spawn).collect::<io::Result<_>>()?;
        Ok((Self { jobs }, workers))
    }

    /// [`Hashers::check_password`] on a worker. Dropping the future takes the job out of the queue.
    pub async fn check_password(
        &self,
        password: Password,
        encoded: Option<EncodedPassword>,
    ) -> Result<Check, HashingError> {
        let (answer, result) = oneshot::channel();
        self.send(Job::Check { password, encoded, answer })?;
        result.await.map_err(|_| HashingError::Failed)
    }

    /// [`Hashers::make_password`] on a worker.
    pub async fn make_password(&self, password: Password) -> Result<EncodedPassword, HashingError> {
        let (answer, result) = oneshot::channel();
        self.send(Job::Make { password, answer })?;
        let made = result.await.map_err(|_| HashingError::Failed)?;
        made.map_err(HashingError::NoRandomness)
    }

    fn send(&self, job: Job) -> Result<(), HashingError> {
        self.jobs.try_send(job).map_err(|refused| match refused {
            TrySendError::Full(_) => HashingError::Overloaded,
            TrySendError::Disconnected(_) => HashingError::Failed,
        })
    }
}

/// A worker's life: it ends when the queue's sender is gone. The lock is held while waiting, never while hashing.
fn work(hashers: &Hashers, random: RandomSource, waiting: &Mutex<Receiver<Job>>) {
    let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
    while let Ok(job) = next() {
        if catch_unwind(AssertUnwindSafe(|| job.run(hashers, random))).is_err() {
            tracing::error!("a hashing thread panicked; it goes on with the next password");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;
    use crate::django::auth::hashers::{Algorithm, Reason};

    fn start(
        random: RandomSource,
        threads: usize,
        queue: usize,
    ) -> (HashingPool, Vec<JoinHandle<()>>) {
        let all = Algorithm::ALL.to_vec();
        let hashers = Arc::new(Hashers::new(Algorithm::Pbkdf2Sha256, all, 10, 1000));
        HashingPool::start(&hashers, random, threads, queue).unwrap()
    }

    fn password() -> Password {
        Password::from("secret".to_owned())
    }

    /// Polls once, so that the job is queued, and keeps the future.
    async fn queue<F: Future + Unpin>(job: &mut F) -> Option<F::Output> {
        tokio::select! { biased; done = job => Some(done), () = async {} => None }
    }

    #[tokio::test]
    async fn a_made_password_is_valid_afterwards() {
        let (pool, _) = start(getrandom::fill, 2, 4);
        let made = pool.make_password(password()).await.unwrap();
        let check = pool.check_password(password(), Some(made)).await;
        assert_eq!(check, Ok(Check::Valid { must_update: false }));
        let unknown = pool.check_password(password(), None).await;
        assert_eq!(unknown, Ok(Check::Invalid(Reason::NoSuchUser)));
    }

    #[tokio::test]
    async fn a_full_queue_is_overloaded_at_once() {
        static GATE: Mutex<Option<Receiver<()>>> = Mutex::new(None);
        let (open, gate) = mpsc::channel::<()>();
        *GATE.lock().unwrap() = Some(gate);
        let wait: RandomSource = |_| {
            let _ = GATE.lock().unwrap().as_ref().unwrap().recv();
            Err(getrandom::Error::UNEXPECTED)
        };
        let (pool, _) = start(wait, 1, 1);
        // One job is with the worker, or will be; then one waits, and the next is refused.
        let mut first = Box::pin(pool.make_password(password()));
        assert!(queue(&mut first).await.is_none());
        let mut waiting = Vec::new();
        let refused = loop {
            let mut job = Box::pin(pool.make_password(password()));
            match queue(&mut job).await {
                Some(done) => break done,
                None => waiting.push(job),
            }
        };
        assert_eq!(refused.unwrap_err(), HashingError::Overloaded);
        assert!(waiting.len() <= 1);
        drop(open);
        assert!(matches!(first.await, Err(HashingError::NoRandomness(_))));
    }

    #[tokio::test]
    async fn a_job_whose_caller_left_is_not_hashed() {
        static TOLD: Mutex<Option<mpsc::Sender<()>>> = Mutex::new(None);
        let (tell, told) = mpsc::channel();
        *TOLD.lock().unwrap() = Some(tell);
        let (answer, result) = oneshot::channel();
        drop(result);
        let job = Job::Make { password: password(), answer };
        let hashers = Hashers::new(Algorithm::Pbkdf2Sha256, Vec::new(), 10, 10);
        job.run(&hashers, |bytes| {
            TOLD.lock().unwrap().as_ref().unwrap().send(()).unwrap();
            getrandom::fill(bytes)
        });
        assert!(told.try_recv().is_err());
    }

    #[tokio::test]
    async fn a_panic_fails_its_job_and_not_the_worker() {
        let (pool, _) = start(|_| panic!("wanted by the test"), 1, 4);
        assert_eq!(pool.make_password(password()).await.unwrap_err(), HashingError::Failed);
        let check = pool.check_password(password(), None).await;
        assert_eq!(check, Ok(Check::Invalid(Reason::NoSuchUser)));
    }

    #[test]
    fn the_threads_end_with_the_pool() {
        let (pool, workers) = start(getrandom::fill, 3, 4);
        assert_eq!(workers[0].thread().name(), Some("hashing-0"));
        drop(pool);
        let (ended, end) = mpsc::channel();
        thread::spawn(move || {
            for worker in workers {
                worker.join().unwrap();
            }
            ended.send(())
        });
        end.recv_timeout(Duration::from_secs(10)).unwrap();
    }
}
