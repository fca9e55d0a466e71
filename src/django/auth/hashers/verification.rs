//! `django.contrib.auth.hashers.verify_password`: a check, decided as far as it can be without the password.

use std::time::Duration;

use super::base::{Cost, Unhashable};
use super::check::Check;
use super::derived::DerivedCheck;
use super::passwords::Password;
use super::whole::WholeCheck;

/// A check of one password against one stored hash.
pub(super) enum Verification {
    /// By PBKDF2.
    Derived(DerivedCheck),
    /// By another hasher.
    Whole(WholeCheck),
}

impl Verification {
    /// What it takes at most.
    pub(super) fn cost(&self) -> Cost {
        match self {
            Self::Derived(check) => check.cost(),
            Self::Whole(check) => check.cost(),
        }
    }

    /// The bytes of the texts that it holds.
    pub(super) fn held_bytes(&self) -> usize {
        match self {
            Self::Derived(check) => check.held_bytes(),
            Self::Whole(check) => check.held_bytes(),
        }
    }

    /// All of it in one go, and what was done.
    pub(super) fn run(self, password: &Password) -> (Result<Check, Unhashable>, Duration) {
        match self {
            Self::Derived(check) => {
                let (check, time) = check.run(password);
                (Ok(check), time)
            }
            Self::Whole(check) => check.run(password),
        }
    }
}
