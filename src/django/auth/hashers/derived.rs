//! `django.contrib.auth.hashers.verify_password` where PBKDF2 makes the hash.
//!
//! It is derive, compare, and derive once more where the stored hash was cheaper than a new one. In between nothing is
//! kept but this value, so that the hashing pool can do a slice of the work at a time.

use std::mem::replace;
use std::time::Duration;

use subtle::ConstantTimeEq;

use super::base::Cost;
use super::check::{Check, Reason};
use super::passwords::{EncodedPassword, Password};
use super::pbkdf2::Derivation;

/// A check of one password against one stored hash.
pub(super) struct DerivedCheck {
    pub(super) derivation: Derivation,
    pub(super) ending: Ending,
}

/// What the derived hash is for.
pub(super) enum Ending {
    /// It is compared. `missing` iterations are made up for if it differs.
    Compare { encoded: EncodedPassword, must_update: bool, missing: u32 },
    /// Nothing: the work is done so that this answer takes as long as others.
    Refuse(Reason),
}

/// What follows a derivation.
pub(super) enum Judgement {
    Answer(Check),
    /// `harden_runtime`: so many iterations more.
    Harden(u32),
}

impl DerivedCheck {
    /// What it takes at most.
    pub(super) fn cost(&self) -> Cost {
        let missing = match self.ending {
            Ending::Compare { missing, .. } => missing,
            Ending::Refuse(_) => 0,
        };
        self.derivation.cost(self.derivation.iterations.saturating_add(missing))
    }

    /// The bytes of the texts that it holds.
    pub(super) fn held_bytes(&self) -> usize {
        match &self.ending {
            // The salt is a part of it, and copied.
            Ending::Compare { encoded, .. } => 2 * encoded.as_str().len(),
            Ending::Refuse(_) => 0,
        }
    }

    /// The whole text is made again and compared, not only the hash in it.
    pub(super) fn judge(&mut self, hash: &str) -> Judgement {
        let wrong = Ending::Refuse(Reason::WrongPassword);
        match replace(&mut self.ending, wrong) {
            Ending::Compare { encoded, must_update, missing } => {
                let again = self.derivation.encode(hash);
                if again.as_str().as_bytes().ct_eq(encoded.as_str().as_bytes()).into() {
                    Judgement::Answer(Check::Valid { must_update })
                } else if missing > 0 {
                    Judgement::Harden(missing)
                } else {
                    Judgement::Answer(Check::Invalid(Reason::WrongPassword))
                }
            }
            Ending::Refuse(reason) => Judgement::Answer(Check::Invalid(reason)),
        }
    }

    /// All of it in one go, and what was done.
    pub(super) fn run(mut self, password: &Password) -> (Check, Duration) {
        let key = self.derivation.key(password);
        let (mut iterations, mut done) = (self.derivation.iterations, 0_u32);
        loop {
            let hash = self.derivation.derive(&key, iterations);
            done = done.saturating_add(iterations);
            match self.judge(&hash) {
                Judgement::Answer(check) => return (check, self.derivation.cost(done).time),
                Judgement::Harden(missing) => iterations = missing,
            }
        }
    }
}
