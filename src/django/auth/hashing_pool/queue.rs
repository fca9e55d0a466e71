//! The queue before the hashing threads: what is let in, who takes what, and how a place is given back.
//!
//! Workers come here only where there is something to take or to give back. They are slow threads with a lock that
//! the fast ones want, so that nothing is computed under it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::pace::Pace;
use crate::django::auth::hashers::{Cost, LANES, Outcome, Password, Plan, Work};

/// What hashing may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Workers, at least one. More than there are cores only divides them.
    pub threads: usize,
    /// How far below other threads they stand, from 0 to 19.
    pub nice: u8,
    /// The longest wait that is let in. Where nothing waits, a job may wait however long it takes itself.
    pub queue: Duration,
    /// The bytes of all hashes at work and all passwords that wait. One hash of any size runs;
    /// the hashers bound what it is.
    pub memory: u64,
}

/// One hash to compute, and where its result goes.
pub(super) struct Job {
    pub(super) password: Password,
    pub(super) plan: Plan,
    pub(super) answer: oneshot::Sender<Outcome>,
}

impl Job {
    /// The bytes that it holds while it waits.
    fn held_bytes(&self) -> u64 {
        let bytes = self.password.held_bytes() + self.plan.held_bytes + size_of::<Entry>();
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }

    /// How much of a worker it takes.
    fn load(&self) -> usize {
        match self.plan.work {
            Work::Lane(_) => 1,
            Work::Blocking(_) => LANES,
        }
    }
}

/// How busy the threads are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Passwords that wait for a thread.
    pub waiting: usize,
    /// How long one more would wait, by the work before it.
    pub wait: Duration,
    /// Passwords that the threads can hash at the same time.
    pub lanes: usize,
    /// How many they hash.
    pub lanes_used: usize,
}

/// A job in the queue. Numbers rise.
struct Entry {
    number: u64,
    job: Job,
}

struct State {
    entries: VecDeque<Entry>,
    next_number: u64,
    /// The nominal time of all entries, and the bytes that they hold.
    time: Duration,
    held_bytes: u64,
    /// What the hashes at work fill.
    memory: u64,
    /// The lanes that each worker has in use; a job that fills a worker counts for [`LANES`].
    loads: Vec<usize>,
    pace: Pace,
    closed: bool,
}

/// The queue.
pub(super) struct Queue {
    limits: Limits,
    state: Mutex<State>,
    /// The number of entries, for workers that need not ask for more.
    length: AtomicUsize,
    /// Idle workers sleep here.
    arrival: Condvar,
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl Queue {
    pub(super) fn new(limits: Limits) -> Self {
        let state = State {
            entries: VecDeque::new(),
            next_number: 0,
            time: Duration::ZERO,
            held_bytes: 0,
            memory: 0,
            loads: vec![0; limits.threads.max(1)],
            pace: Pace::NOMINAL,
            closed: false,
        };
        let (length, arrival) = (AtomicUsize::new(0), Condvar::new());
        Self { limits, state: Mutex::new(state), length, arrival }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for the job, unless the queue is full.
    pub(super) fn admit(&self, job: Job) -> Option<Place<'_>> {
        let mut state = self.lock();
        if self.would_be_too_much(&state, job.plan.cost, job.held_bytes()) {
            // Wiped and freed by the caller's thread, but not under the lock.
            drop(state);
            drop(job);
            return None;
        }
        let number = state.next_number;
        state.next_number += 1;
        state.time += job.plan.cost.time;
        state.held_bytes += job.held_bytes();
        state.entries.push_back(Entry { number, job });
        self.length.store(state.entries.len(), Ordering::Relaxed);
        drop(state);
        self.arrival.notify_one();
        Some(Place { queue: self, number })
    }

    /// Whether such a job would find no place now.
    pub(super) fn is_full(&self, cost: Cost) -> bool {
        self.would_be_too_much(&self.lock(), cost, 0)
    }

    /// Where nothing waits, nothing is too much.
    fn would_be_too_much(&self, state: &State, cost: Cost, held_bytes: u64) -> bool {
        if state.entries.is_empty() {
            return false;
        }
        let work = state.pace.estimate(state.time.saturating_add(cost.time));
        let threads = u32::try_from(state.loads.len()).unwrap_or(u32::MAX);
        let bytes = state.memory.saturating_add(state.held_bytes).saturating_add(held_bytes);
        work / threads > self.limits.queue || bytes > self.limits.memory
    }

    /// A job for a worker that goes on with others, if there is one and the worker's turn.
    pub(super) fn take(self: &Arc<Self>, worker: usize) -> Option<(Job, Hold)> {
        if self.length.load(Ordering::Relaxed) == 0 {
            return None;
        }
        self.take_from(&mut self.lock(), worker)
    }

    /// A job for an idle worker. `None` is the end.
    pub(super) fn wait(self: &Arc<Self>, worker: usize) -> Option<(Job, Hold)> {
        let mut state = self.lock();
        while !state.closed {
            if let Some(taken) = self.take_from(&mut state, worker) {
                return Some(taken);
            }
            state = self.arrival.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        None
    }

    fn take_from(self: &Arc<Self>, state: &mut State, worker: usize) -> Option<(Job, Hold)> {
        let at =
            if state.is_turn_of(worker) { state.first_to_start(self.limits.memory) } else { None };
        let job = self.remove(state, at?)?;
        let (load, memory) = (job.load(), job.plan.cost.memory_bytes);
        state.memory += memory;
        if let Some(sum) = state.loads.get_mut(worker) {
            *sum += load;
        }
        Some((job, Hold { queue: Arc::clone(self), worker, load, memory }))
    }

    fn remove(&self, state: &mut State, at: usize) -> Option<Job> {
        let Entry { job, .. } = state.entries.remove(at)?;
        state.time -= job.plan.cost.time;
        state.held_bytes -= job.held_bytes();
        self.length.store(state.entries.len(), Ordering::Relaxed);
        Some(job)
    }

    /// Tells how fast a worker was with all its lanes in use, as it would be if the queue were long.
    pub(super) fn report(&self, pace: Pace) {
        self.lock().pace.add(pace);
    }

    /// What there is to do, and who does it.
    pub(super) fn load(&self) -> Load {
        let state = self.lock();
        let threads = u32::try_from(state.loads.len()).unwrap_or(u32::MAX);
        Load {
            waiting: state.entries.len(),
            wait: state.pace.estimate(state.time) / threads,
            lanes: state.loads.len() * LANES,
            lanes_used: state.loads.iter().sum(),
        }
    }

    /// Sends the workers home.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.arrival.notify_all();
    }
}

impl State {
    /// A worker takes more only while no other has less to do: two lanes on each of two cores are done sooner than
    /// four on one.
    fn is_turn_of(&self, worker: usize) -> bool {
        let load = self.loads.get(worker).copied().unwrap_or(LANES);
        load < LANES && self.loads.iter().all(|other| load <= *other)
    }

    /// The first job whose memory is free. What needs none passes it meanwhile; what needs some does not, or a large
    /// hash would wait for ever behind small ones.
    fn first_to_start(&self, limit: u64) -> Option<usize> {
        let free = limit.saturating_sub(self.memory).saturating_sub(self.held_bytes);
        let memory = |entry: &Entry| entry.job.plan.cost.memory_bytes;
        let wanted = self.entries.iter().map(memory).find(|bytes| *bytes > 0);
        let blocked = self.memory > 0 && wanted.is_some_and(|bytes| bytes > free);
        self.entries.iter().position(|entry| !blocked || memory(entry) == 0)
    }
}

/// A place in the queue, given back when dropped.
pub(super) struct Place<'a> {
    queue: &'a Queue,
    number: u64,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut state = self.queue.lock();
        let found = state.entries.binary_search_by_key(&self.number, |entry| entry.number);
        let job = found.ok().and_then(|at| self.queue.remove(&mut state, at));
        drop(state);
        drop(job);
    }
}

/// A worker's hold on a job, given back when dropped.
pub(super) struct Hold {
    queue: Arc<Queue>,
    worker: usize,
    load: usize,
    memory: u64,
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut state = self.queue.lock();
        state.memory -= self.memory;
        if let Some(sum) = state.loads.get_mut(self.worker) {
            *sum -= self.load;
        }
        drop(state);
        if self.memory > 0 {
            self.queue.arrival.notify_all();
        }
    }
}
