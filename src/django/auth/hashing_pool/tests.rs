//! Most of them are the worker of their own queue, step by step, so that nothing depends on threads or time.

use std::time::Duration;

use std::pin::{Pin, pin};
use std::sync::mpsc;

use super::worker::SLICE;
use super::*;
use crate::django::auth::hashers::tests::{UNBOUNDED, cheap, take_work};
use crate::django::auth::hashers::{Algorithm, Cost, Done, LANES, Reason, Work};
use crate::memory::{has_grown, resident_bytes};

const SECOND: Duration = Duration::from_secs(1);
const RIGHT: Result<Check, HashingError> = Ok(Check::Valid { must_update: false });
const ITERATIONS: u32 = 5_000;

fn limits(threads: usize) -> Limits {
    Limits { threads, nice: 0, queue: 10 * SECOND, memory: 1 << 20 }
}

fn hashers() -> Arc<Hashers> {
    let all = Algorithm::ALL.to_vec();
    Arc::new(Hashers::new(Algorithm::Pbkdf2Sha256, all, cheap(ITERATIONS), UNBOUNDED))
}

fn start(threads: usize) -> (HashingPool, Vec<JoinHandle<()>>) {
    HashingPool::start(&hashers(), getrandom::fill, limits(threads)).unwrap()
}

/// A pool whose only worker is the test.
fn by_hand(limits: Limits) -> (HashingPool, Worker) {
    let queue = Arc::new(Queue::new(limits));
    let hashers = hashers();
    let ordinary = hashers.plan_check(None).cost;
    let pool = HashingPool { hashers, random: getrandom::fill, queue, ordinary };
    let worker = Worker::new(0, Arc::clone(&pool.queue));
    (pool, worker)
}

fn password() -> Password {
    Password::from("secret".to_owned())
}

/// A plan of one second and so much memory that does nothing, or fails.
fn blocking(memory_bytes: u64, panics: bool) -> Plan {
    let work = Work::Blocking(Box::new(move |_| {
        if panics {
            // Without its message, of which one test would print thousands.
            std::panic::resume_unwind(Box::new("wanted by the test"));
        }
        let outcome = Outcome::Checked(Check::Invalid(Reason::WrongPassword));
        Done { outcome, time: SECOND }
    }));
    Plan { cost: Cost { memory_bytes, time: SECOND }, held_bytes: 0, work }
}

/// Polls once: an answer if there is one.
fn poll<F: Future>(job: &mut Pin<Box<F>>) -> Option<F::Output> {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match job.as_mut().poll(&mut context) {
        std::task::Poll::Ready(done) => Some(done),
        std::task::Poll::Pending => None,
    }
}

/// A job of [`blocking`] in the queue.
fn queued(
    pool: &HashingPool,
    plan: Plan,
) -> Pin<Box<impl Future<Output = Result<Outcome, HashingError>> + use<'_>>> {
    let mut job = Box::pin(pool.run(password(), plan));
    assert!(poll(&mut job).is_none(), "let in");
    job
}

#[tokio::test]
async fn a_made_password_is_valid_afterwards() {
    let (pool, _) = start(2);
    let made = pool.make_password(password()).await.unwrap();
    assert_eq!(pool.check_password(password(), Some(made)).await, RIGHT);
    let unknown = pool.check_password(password(), None).await;
    assert_eq!(unknown, Ok(Check::Invalid(Reason::NoSuchUser)));
}

#[tokio::test]
async fn many_at_once_get_each_their_own_answer() {
    let (pool, _) = start(2);
    let pool = Arc::new(pool);
    let names: Vec<String> = (0..20_u32).map(|number| "x".repeat(2 * number as usize)).collect();
    let mut clients = Vec::new();
    for (number, name) in names.into_iter().enumerate() {
        let pool = Arc::clone(&pool);
        clients.push(tokio::spawn(async move {
            let typed = Password::from(name.clone());
            let iterations = 1 + 199 * u32::try_from(number).unwrap();
            let algorithm = Algorithm::ALL[usize::from(number % 7 == 0)];
            let others = Hashers::new(algorithm, Vec::new(), cheap(iterations), UNBOUNDED);
            let stored = others.make_password(Some(&typed), getrandom::fill).unwrap();
            let right = pool.check_password(typed, Some(stored.clone())).await;
            assert_eq!(right, Ok(Check::Valid { must_update: true }), "{number}");
            let wrong = pool.check_password(Password::from(name + "!"), Some(stored)).await;
            assert_eq!(wrong, Ok(Check::Invalid(Reason::WrongPassword)), "{number}");
        }));
    }
    for client in clients {
        client.await.unwrap();
    }
}

#[tokio::test]
async fn every_hasher_works_on_a_worker() {
    for preferred in Algorithm::ALL {
        let hashers = Hashers::new(preferred, Vec::new(), cheap(1000), UNBOUNDED);
        let (pool, _) = HashingPool::start(&Arc::new(hashers), getrandom::fill, limits(2)).unwrap();
        let made = pool.make_password(password()).await.unwrap();
        assert_eq!(
            pool.check_password(password(), Some(made.clone())).await,
            RIGHT,
            "{preferred:?}"
        );
        let wrong = pool.check_password(Password::from("x".to_owned()), Some(made)).await;
        assert_eq!(wrong, Ok(Check::Invalid(Reason::WrongPassword)), "{preferred:?}");
        let unknown = pool.check_password(password(), None).await;
        assert_eq!(unknown, Ok(Check::Invalid(Reason::NoSuchUser)), "{preferred:?}");
    }
}

#[tokio::test]
async fn a_password_that_the_preferred_hasher_does_not_take_is_an_error() {
    let hashers = Hashers::new(Algorithm::Bcrypt, Vec::new(), cheap(1000), UNBOUNDED);
    let (pool, _) = HashingPool::start(&Arc::new(hashers), getrandom::fill, limits(1)).unwrap();
    let made = pool.make_password(Password::from("x".repeat(73))).await.unwrap_err();
    assert_eq!(made, HashingError::Unhashable(Unhashable::PasswordTooLong));
}

#[test]
fn the_queue_is_full_when_the_wait_would_be_too_long() {
    let (pool, _) = by_hand(limits(1));
    let waiting: Vec<_> = (0..10).map(|_| queued(&pool, blocking(0, false))).collect();
    let mut refused = Box::pin(pool.run(password(), blocking(0, false)));
    assert_eq!(poll(&mut refused).unwrap().unwrap_err(), HashingError::Overloaded);
    // Ten seconds of two cores are twice as much.
    drop(waiting);
    let (pool, _) = by_hand(limits(2));
    let _waiting: Vec<_> = (0..20).map(|_| queued(&pool, blocking(0, false))).collect();
    let mut refused = Box::pin(pool.run(password(), blocking(0, false)));
    assert_eq!(poll(&mut refused).unwrap().unwrap_err(), HashingError::Overloaded);
}

#[test]
fn a_full_queue_is_known_before_the_password_comes() {
    let (pool, _) = by_hand(limits(1));
    assert!(!pool.is_full());
    let mut waiting: Vec<_> = (0..9).map(|_| queued(&pool, blocking(0, false))).collect();
    assert!(!pool.is_full());
    waiting.push(queued(&pool, blocking(0, false)));
    assert!(pool.is_full());
    waiting.pop();
    assert!(!pool.is_full());
}

#[test]
fn a_slow_machine_lets_fewer_in() {
    let (pool, mut worker) = by_hand(limits(1));
    let mut slow = pace::Pace::NONE;
    slow.record(SECOND, 100 * SECOND);
    for _ in 0..5 {
        pool.queue.report(slow);
    }
    // Two seconds of a machine as it should be are more than ten of this one.
    let mut first = queued(&pool, blocking(0, false));
    let mut refused = Box::pin(pool.run(password(), blocking(0, false)));
    assert!(poll(&mut refused).is_some());
    // Where nothing waits there is always room.
    assert!(worker.step());
    assert!(poll(&mut first).is_some());
    let _next = queued(&pool, blocking(0, false));
}

#[test]
fn passwords_that_wait_are_bounded_in_memory() {
    let (pool, _) = by_hand(limits(1));
    let _first = queued(&pool, blocking(0, false));
    let mut refused = Box::pin(pool.check_password(Password::from("x".repeat(1 << 20)), None));
    assert_eq!(poll(&mut refused), Some(Err(HashingError::Overloaded)));
}

#[test]
fn a_client_that_leaves_gives_its_place_back_at_once() {
    let (pool, _) = by_hand(limits(1));
    let mut waiting: Vec<_> = (0..10).map(|_| queued(&pool, blocking(0, false))).collect();
    drop(waiting.remove(5));
    waiting.push(queued(&pool, blocking(0, false)));
    let mut refused = Box::pin(pool.run(password(), blocking(0, false)));
    assert!(poll(&mut refused).is_some());
}

#[test]
fn a_lane_whose_client_left_goes_no_further() {
    let (pool, mut worker) = by_hand(limits(1));
    let mut leaving = Box::pin(pool.check_password(password(), None));
    let mut staying = Box::pin(pool.check_password(password(), None));
    assert!(poll(&mut leaving).is_none() && poll(&mut staying).is_none());
    assert!(worker.step());
    take_work();
    drop(leaving);
    let done = std::iter::repeat_with(|| {
        worker.step();
        poll(&mut staying)
    });
    let done = done.take(10).flatten().next();
    assert_eq!(done, Some(Ok(Check::Invalid(Reason::NoSuchUser))));
    assert!(take_work() < u64::from(ITERATIONS));
}

/// What every kind of account that cannot log in costs beside others in the lanes.
#[test]
fn every_refusal_costs_one_default_hash_beside_others() {
    let hash = "abcdefghijklmnopqrstuv$1nE4fvOmiD+ZePp39y6TYTXfkn5HEwJDyz8e6UkQE1w=";
    let kinds = [
        None,
        Some("!unusable".to_owned()),
        Some("crypt$$unknown".to_owned()),
        Some("pbkdf2_sha256$corrupt".to_owned()),
        Some(format!("pbkdf2_sha256$2147483647${hash}")),
        Some(format!("pbkdf2_sha256$5000${hash}")),
        Some(format!("pbkdf2_sha256$4900${hash}")),
        Some(format!("pbkdf2_sha256$1${hash}")),
        Some("pbkdf2_sha256$5000$short$1nE4fvOmiD+ZePp39y6TYTXfkn5HEwJDyz8e6UkQE1w=".to_owned()),
    ];
    for others in [0, 1, 4] {
        for kind in &kinds {
            let (pool, mut worker) = by_hand(limits(1));
            let encoded = kind.clone().map(EncodedPassword::from);
            let mut checks: Vec<_> =
                (0..others).map(|_| Box::pin(pool.check_password(password(), None))).collect();
            checks.insert(others / 2, Box::pin(pool.check_password(password(), encoded)));
            assert!(checks.iter_mut().all(|check| poll(check).is_none()));
            take_work();
            while !checks.is_empty() {
                assert!(worker.step());
                checks.retain_mut(|check| {
                    poll(check).is_none_or(|done| !matches!(done, Ok(Check::Invalid(_))))
                });
            }
            let hashes = u64::try_from(others + 1).unwrap();
            assert_eq!(take_work(), hashes * u64::from(ITERATIONS), "{kind:?} beside {others}");
        }
    }
}

#[test]
fn a_finished_lane_is_filled_again_at_once() {
    let (pool, mut worker) = by_hand(limits(1));
    let check = |iterations: u32| {
        let stored = format!("pbkdf2_sha256${iterations}$abcdefghijklmnopqrstuv$hash");
        let mut check =
            Box::pin(pool.check_password(password(), Some(EncodedPassword::from(stored))));
        assert!(poll(&mut check).is_none());
        check
    };
    let mut short = check(ITERATIONS);
    let mut long: Vec<_> = (0..2 * LANES).map(|_| check(5_000_000)).collect();
    while poll(&mut short).is_none() {
        assert!(worker.step());
    }
    take_work();
    assert!(worker.step());
    // Four lanes of a slice each, and the first iteration of the one that came in.
    assert_eq!(take_work(), 4 * u64::from(SLICE) + 1);
    assert!(long.iter_mut().all(|check| poll(check).is_none()));
}

#[test]
fn workers_share_what_there_is_evenly() {
    let queue = Arc::new(Queue::new(limits(2)));
    let hashers = hashers();
    let mut clients = Vec::new();
    let mut places: Vec<_> = (0..2 * LANES)
        .map(|_| {
            let (answer, outcome) = oneshot::channel();
            clients.push(outcome);
            let job = Job { password: password(), plan: hashers.plan_check(None), answer };
            queue.admit(job).unwrap()
        })
        .collect();
    let first = queue.take(0).unwrap();
    assert!(queue.take(0).is_none(), "the other worker has nothing to do");
    let mut taken = vec![queue.take(1).unwrap(), queue.take(1).unwrap()];
    assert!(queue.take(1).is_none());
    drop(first);
    assert!(queue.take(1).is_none());
    taken.extend(std::iter::from_fn(|| queue.take(0).or_else(|| queue.take(1))));
    assert_eq!(taken.len(), 2 * LANES - 1);
    places.clear();
}

#[test]
fn a_hash_that_fills_the_thread_waits_for_the_lanes_and_nobody_passes_it() {
    let (pool, mut worker) = by_hand(limits(1));
    let mut before = Box::pin(pool.check_password(password(), None));
    assert!(poll(&mut before).is_none());
    let mut between = queued(&pool, blocking(0, false));
    let mut after = Box::pin(pool.check_password(password(), None));
    assert!(poll(&mut after).is_none());
    while poll(&mut before).is_none() {
        assert!(worker.step());
        assert!(poll(&mut between).is_none());
    }
    take_work();
    assert!(worker.step());
    assert!(poll(&mut between).is_some());
    assert_eq!(take_work(), 0);
    while poll(&mut after).is_none() {
        assert!(worker.step());
    }
}

#[test]
fn hashes_at_work_fill_no_more_memory_than_allowed() {
    let queue = Arc::new(Queue::new(limits(4)));
    let admit = |plan| {
        let (answer, outcome) = oneshot::channel();
        std::mem::forget(queue.admit(Job { password: password(), plan, answer }));
        outcome
    };
    let _clients = [600_000, 600_000, 100_000, 0].map(|bytes| admit(blocking(bytes, false)));
    let memory =
        |taken: &Option<(Job, queue::Hold)>| taken.as_ref().unwrap().0.plan.cost.memory_bytes;
    let first = queue.take(0);
    assert_eq!(memory(&first), 600_000);
    // The second does not fit beside the first, and the third must not pass it. The last needs nothing.
    let last = queue.take(1);
    assert_eq!(memory(&last), 0);
    assert!(queue.take(2).is_none());
    drop(first);
    let second = queue.take(2);
    assert_eq!(memory(&second), 600_000);
    assert_eq!(memory(&queue.take(3)), 100_000);
}

#[test]
fn a_hash_larger_than_the_memory_runs_alone() {
    let (pool, mut worker) = by_hand(limits(1));
    let mut large = queued(&pool, blocking(1 << 30, false));
    assert!(worker.step());
    assert!(poll(&mut large).unwrap().is_ok());
}

#[tokio::test]
async fn a_panic_fails_its_job_and_not_the_worker() {
    let (pool, _) = start(1);
    let failed = pool.run(password(), blocking(0, true)).await;
    assert_eq!(failed.unwrap_err(), HashingError::Failed);
    let check = pool.check_password(password(), None).await;
    assert_eq!(check, Ok(Check::Invalid(Reason::NoSuchUser)));
}

#[tokio::test]
async fn ten_thousand_panics_cost_no_worker_and_no_place() {
    let (pool, workers) = start(2);
    let mut before = 0;
    for round in 0..10_000 {
        let failed = pool.run(password(), blocking(1 << 19, true)).await;
        assert_eq!(failed.unwrap_err(), HashingError::Failed);
        if round == 100 {
            before = resident_bytes();
        }
    }
    assert!(!has_grown(before));
    assert!(workers.iter().all(|worker| !worker.is_finished()));
    // Both work, each on a job that fills half of the memory.
    let both = tokio::join!(
        pool.run(password(), blocking(1 << 19, false)),
        pool.run(password(), blocking(1 << 19, false))
    );
    assert!(both.0.is_ok() && both.1.is_ok());
    let load = pool.load();
    assert_eq!((load.waiting, load.lanes), (0, 2 * LANES));
}

#[tokio::test]
async fn a_failing_random_source_fails_the_new_hash_only() {
    let broken: RandomSource = |_| Err(getrandom::Error::UNEXPECTED);
    let (pool, _) = HashingPool::start(&hashers(), broken, limits(1)).unwrap();
    let made = pool.make_password(password()).await.unwrap_err();
    assert_eq!(made, HashingError::NoRandomness(getrandom::Error::UNEXPECTED));
    assert!(pool.check_password(password(), None).await.is_ok());
}

#[test]
fn the_threads_end_with_the_pool() {
    let (pool, workers) = start(3);
    assert_eq!(workers[0].thread().name(), Some("hashing-0"));
    // One of them has much to do, but nobody waits for it.
    let long = EncodedPassword::from("pbkdf2_sha256$100000000$abcdefghijklmnopqrstuv$x".to_owned());
    {
        let mut check = pin!(pool.check_password(password(), Some(long)));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(check.as_mut().poll(&mut context).is_pending());
    }
    drop(pool);
    let (ended, end) = mpsc::channel();
    thread::spawn(move || {
        for worker in workers {
            worker.join().unwrap();
        }
        ended.send(())
    });
    end.recv_timeout(10 * SECOND).unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn only_the_hashing_thread_is_lowered() {
    use rustix::process::getpriority_process;

    let before = getpriority_process(None).unwrap();
    let lowered = thread::spawn(|| {
        priority::lower(12);
        getpriority_process(None).unwrap()
    });
    assert_eq!(lowered.join().unwrap(), 12);
    assert_eq!(getpriority_process(None).unwrap(), before);
}
