//! `django.contrib.auth.hashers.check_password` and `make_password` for the hashing pool: what there is to do is known
//! from the stored hash alone, what it takes is told before it starts, and it is done a slice at a time where it can be.

use std::time::Duration;

use super::base::{Cost, Unhashable};
use super::check::Check;
use super::derived::{DerivedCheck, Judgement};
use super::new_hash::NewHash;
use super::passwords::{EncodedPassword, Password};
use super::pbkdf2::{self, Derivation, Kernel, LANE_NANOSECONDS, Lane};
use super::verification::Verification;

pub use super::pbkdf2::LANES;

/// What came of a plan.
#[derive(Debug)]
pub enum Outcome {
    /// Of a check.
    Checked(Check),
    /// Of a new hash.
    Made(EncodedPassword),
    /// Of either, where nothing could be hashed.
    Failed(Unhashable),
}

/// What came of a plan that was done in one go.
pub struct Done {
    /// The outcome.
    pub outcome: Outcome,
    /// What was done, by the costs: less than planned where a password was right or was not taken.
    pub time: Duration,
}

/// A check or a new hash that waits for its turn.
pub struct Plan {
    /// What it takes.
    pub cost: Cost,
    /// The bytes of the stored hash and its parts.
    pub held_bytes: usize,
    /// How it is done.
    pub work: Work,
}

/// The two ways to do it.
pub enum Work {
    /// A slice at a time, beside others.
    Lane(LaneWork),
    /// In one go.
    Blocking(Box<dyn FnOnce(&Password) -> Done + Send>),
}

impl Plan {
    pub(super) fn check(verification: Verification) -> Self {
        Self {
            cost: verification.cost(),
            held_bytes: verification.held_bytes(),
            work: match verification.on_lane() {
                Ok((kernel, check)) => Work::Lane(LaneWork { kernel, goal: Goal::Check(check) }),
                Err(verification) => Work::Blocking(Box::new(|password| {
                    let (check, time) = verification.run(password);
                    Done { outcome: check.map_or_else(Outcome::Failed, Outcome::Checked), time }
                })),
            },
        }
    }

    pub(super) fn make(hash: NewHash) -> Self {
        let cost = hash.cost();
        Self {
            cost,
            held_bytes: 0,
            work: match hash.on_lane() {
                Ok((kernel, derivation)) => {
                    Work::Lane(LaneWork { kernel, goal: Goal::Make(derivation) })
                }
                Err(hash) => Work::Blocking(Box::new(move |password| {
                    let made = hash.run(password);
                    let time = made.as_ref().map_or(Duration::ZERO, |_| cost.time);
                    Done { outcome: made.map_or_else(Outcome::Failed, Outcome::Made), time }
                })),
            },
        }
    }
}

impl Verification {
    /// Itself again where it cannot be sliced.
    fn on_lane(self) -> Result<(Kernel, DerivedCheck), Self> {
        match self {
            Self::Derived(check) => match check.derivation.kernel() {
                Some(kernel) => Ok((kernel, check)),
                None => Err(Self::Derived(check)),
            },
            whole @ Self::Whole(_) => Err(whole),
        }
    }
}

impl NewHash {
    /// Itself again where it cannot be sliced.
    fn on_lane(self) -> Result<(Kernel, Derivation), Self> {
        match self {
            Self::Derived(derivation) => match derivation.kernel() {
                Some(kernel) => Ok((kernel, derivation)),
                None => Err(Self::Derived(derivation)),
            },
            whole @ Self::Whole(_) => Err(whole),
        }
    }
}

/// A plan for a lane.
pub struct LaneWork {
    kernel: Kernel,
    goal: Goal,
}

enum Goal {
    Check(DerivedCheck),
    Make(Derivation),
}

impl LaneWork {
    /// Begins. The password is not needed any more.
    #[must_use]
    pub fn start(self, password: &Password) -> LaneTask {
        let Self { kernel, goal } = self;
        let (Goal::Check(DerivedCheck { derivation, .. }) | Goal::Make(derivation)) = &goal;
        let lane = derivation.lane(kernel, &derivation.key(password), derivation.iterations);
        LaneTask { lane, goal }
    }
}

/// A check or a new hash under way.
pub struct LaneTask {
    lane: Lane,
    goal: Goal,
}

impl LaneTask {
    /// What came of it, when it is done. Where it must go on (`harden_runtime`), it is not.
    pub fn settle(&mut self) -> Option<Outcome> {
        if !self.lane.is_done() {
            return None;
        }
        match &mut self.goal {
            Goal::Make(derivation) => Some(Outcome::Made(derivation.encode(&self.lane.hash()))),
            Goal::Check(check) => match check.judge(&self.lane.hash()) {
                Judgement::Answer(check) => Some(Outcome::Checked(check)),
                Judgement::Harden(missing) => {
                    self.lane.extend(missing);
                    None
                }
            },
        }
    }
}

/// Takes the tasks on, [`LANES`] at a time, by `slice` iterations or fewer: until one is done. Returns what that was
/// worth at the cost of a full batch.
pub fn advance<'a>(tasks: impl Iterator<Item = &'a mut LaneTask>, slice: u32) -> Duration {
    let mut lanes: Vec<&mut Lane> = tasks.map(|task| &mut task.lane).collect();
    Duration::from_nanos(pbkdf2::advance(&mut lanes, slice) * LANE_NANOSECONDS)
}
