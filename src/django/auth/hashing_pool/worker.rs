//! A hashing thread: up to four passwords on the way at once, a slice of each at a time.
//!
//! How do hashes that cannot be sliced (argon2, scrypt, bcrypt, and PBKDF2 where no kernel is) share a thread with
//! those that can? In the order of the queue. The worker whose turn it is takes the job, lets its lanes run out, takes
//! nothing else meanwhile, and runs it alone; the others go on. So nobody waits for one who came later, and a hash that
//! has begun is never stopped by a whole other one. To run the job at once instead would hold up four passwords for a
//! tenth of a second, and again for the next one, as long as they come. The cost, lanes that stay empty for up to a
//! hash, is paid only where a site has hashes of both kinds.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::oneshot;

use super::pace::Pace;
use super::queue::{Hold, Job, Queue};
use crate::django::auth::hashers::{Done, LANES, LaneTask, Outcome, Work, advance};

/// Iterations of each lane between two looks at the queue and the clients: a third of a millisecond alone, two thirds
/// with four lanes.
pub(super) const SLICE: u32 = 4096;

/// A hash under way. What it holds is given back when it is dropped, done or not.
struct Running {
    task: LaneTask,
    answer: oneshot::Sender<Outcome>,
    _hold: Hold,
}

/// A thread's share of the work.
pub(super) struct Worker {
    number: usize,
    queue: Arc<Queue>,
    running: Vec<Running>,
    /// A job that waits until the lanes have run out.
    next: Option<(Job, Hold)>,
    /// Since the last report.
    pace: Pace,
}

impl Worker {
    pub(super) fn new(number: usize, queue: Arc<Queue>) -> Self {
        Self { number, queue, running: Vec::with_capacity(LANES), next: None, pace: Pace::NONE }
    }

    /// Works until the queue is closed.
    pub(super) fn run(mut self) {
        while self.step() {}
    }

    /// One slice, or one job that cannot be sliced. False is the end.
    pub(super) fn step(&mut self) -> bool {
        self.leave_departed();
        if self.running.is_empty() && self.next.is_none() {
            match self.queue.wait(self.number) {
                Some((job, hold)) => self.begin(job, hold),
                None => return false,
            }
        }
        while self.next.is_none() && self.running.len() < LANES {
            let Some((job, hold)) = self.queue.take(self.number) else { break };
            self.begin(job, hold);
        }
        if !self.running.is_empty() {
            self.slice();
            // Who woke up meanwhile goes first. Without it the scheduler lets this thread go on for its own slice, which
            // a request meets at each of its steps: under a flood `/secret/` took 20 ms at the worst of a hundred, not 6.
            std::thread::yield_now();
        } else if let Some((job, hold)) = self.next.take() {
            self.block(job, hold);
        }
        true
    }

    /// Nobody waits for these hashes any more.
    fn leave_departed(&mut self) {
        self.running.retain(|running| !running.answer.is_closed());
        self.next.take_if(|(job, _)| job.answer.is_closed());
    }

    /// The password goes here, where a lane begins: from then on it is in the state of the lane.
    fn begin(&mut self, job: Job, hold: Hold) {
        let Job { password, plan, answer } = job;
        match plan.work {
            Work::Lane(work) => {
                if let Some(task) = guarded(|| work.start(&password)) {
                    self.running.push(Running { task, answer, _hold: hold });
                }
            }
            Work::Blocking(_) => self.next = Some((Job { password, plan, answer }, hold)),
        }
    }

    fn slice(&mut self) {
        let (began, lanes) = (Instant::now(), self.running.len());
        let tasks = self.running.iter_mut().map(|running| &mut running.task);
        let Some(nominal) = guarded(|| advance(tasks, SLICE)) else {
            self.running.clear();
            return;
        };
        if lanes == LANES {
            self.pace.record(nominal, began.elapsed());
        }
        let mut at = 0;
        while let Some(running) = self.running.get_mut(at) {
            match guarded(|| running.task.settle()) {
                Some(None) => at += 1,
                // The client may have left: that is no error.
                Some(Some(outcome)) => drop(self.running.swap_remove(at).answer.send(outcome)),
                None => drop(self.running.swap_remove(at)),
            }
        }
        if self.running.len() < lanes {
            self.report();
        }
    }

    fn block(&mut self, job: Job, hold: Hold) {
        let Job { password, plan, answer } = job;
        let Work::Blocking(work) = plan.work else { return };
        let began = Instant::now();
        if let Some(Done { outcome, time }) = guarded(|| work(&password)) {
            self.pace.record(time, began.elapsed());
            drop(answer.send(outcome));
        }
        drop(hold);
        self.report();
    }

    fn report(&mut self) {
        self.queue.report(std::mem::replace(&mut self.pace, Pace::NONE));
    }
}

/// A panic fails the job and not the worker: its answer is dropped, which is an error to the caller.
fn guarded<T>(work: impl FnOnce() -> T) -> Option<T> {
    let done = catch_unwind(AssertUnwindSafe(work)).ok();
    if done.is_none() {
        tracing::error!("a hashing thread panicked; it goes on with the next password");
    }
    done
}
