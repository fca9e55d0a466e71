//! `django.contrib.auth.hashers.verify_password` where the hash is made in one go: argon2, bcrypt, scrypt, md5, sha1.

use std::time::Duration;

use super::base::{Cost, Unhashable};
use super::check::{Check, Reason};
use super::defaults::WholeHasher;
use super::new_hash::{NewHash, WholeHash};
use super::passwords::{EncodedPassword, Password};

/// A check of one password against one stored hash.
pub(super) enum WholeCheck {
    /// By its hasher. `instead` is spent where it finds that there is nothing to hash.
    Compare(Box<Comparison>),
    /// The work is done in vain.
    Refuse { hash: WholeHash, reason: Reason },
}

/// What is compared.
pub(super) struct Comparison {
    pub(super) hasher: WholeHasher,
    pub(super) encoded: EncodedPassword,
    /// Of the stored hash alone, and of all that may follow.
    pub(super) cost: Cost,
    pub(super) cost_at_most: Cost,
    pub(super) must_update: bool,
    /// Whether `harden_runtime` follows on a wrong password.
    pub(super) hardens: bool,
    pub(super) instead: NewHash,
}

impl WholeCheck {
    /// What it takes at most.
    pub(super) fn cost(&self) -> Cost {
        match self {
            Self::Refuse { hash, .. } => hash.hasher.default_cost(),
            Self::Compare(comparison) => comparison.cost_at_most,
        }
    }

    /// The bytes of the texts that it holds.
    pub(super) fn held_bytes(&self) -> usize {
        match self {
            Self::Refuse { .. } => 0,
            Self::Compare(comparison) => comparison.encoded.as_str().len(),
        }
    }

    /// All of it, and what was done.
    pub(super) fn run(self, password: &Password) -> (Result<Check, Unhashable>, Duration) {
        match self {
            Self::Compare(comparison) => comparison.run(password),
            Self::Refuse { hash, reason } => {
                let done = hash.spend(password).map(|()| Check::Invalid(reason));
                (done, hash.hasher.default_cost().time)
            }
        }
    }
}

impl Comparison {
    fn run(self, password: &Password) -> (Result<Check, Unhashable>, Duration) {
        let Self { hasher, encoded, cost, must_update, hardens, instead, .. } = self;
        let reason = match hasher.verify(password, encoded.as_str()) {
            Ok(true) => return (Ok(Check::Valid { must_update }), cost.time),
            Ok(false) => {
                let hardened = if hardens {
                    hasher.harden_runtime(password, encoded.as_str())
                } else {
                    Duration::ZERO
                };
                return (Ok(Check::Invalid(Reason::WrongPassword)), cost.time + hardened);
            }
            Err(Unhashable::OutOfMemory) => return (Err(Unhashable::OutOfMemory), Duration::ZERO),
            // No hash of the bcrypt package is of such a password.
            Err(Unhashable::PasswordTooLong) => Reason::WrongPassword,
            Err(Unhashable::Corrupt) => Reason::Corrupt,
        };
        let done = instead.spend(password).map(|()| Check::Invalid(reason));
        (done, instead.cost().time)
    }
}
