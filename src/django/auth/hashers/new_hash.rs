//! `django.contrib.auth.hashers.make_password`: a new hash, salted and not yet begun.

use zeroize::Zeroizing;

use super::base::{Cost, Unhashable};
use super::defaults::WholeHasher;
use super::passwords::{EncodedPassword, Password};
use super::pbkdf2::Derivation;

/// A hash of the preferred hasher.
pub(super) enum NewHash {
    Derived(Derivation),
    Whole(WholeHash),
}

/// A hash that is made in one go.
pub(super) struct WholeHash {
    pub(super) hasher: WholeHasher,
    pub(super) salt: Zeroizing<String>,
}

impl NewHash {
    pub(super) fn cost(&self) -> Cost {
        match self {
            Self::Derived(derivation) => derivation.cost(derivation.iterations),
            Self::Whole(hash) => hash.hasher.default_cost(),
        }
    }

    pub(super) fn run(&self, password: &Password) -> Result<EncodedPassword, Unhashable> {
        match self {
            Self::Derived(derivation) => Ok(derivation.run(password)),
            Self::Whole(hash) => hash.run(password),
        }
    }

    /// Does the work in vain, so that an answer takes as long as others.
    pub(super) fn spend(&self, password: &Password) -> Result<(), Unhashable> {
        match self {
            Self::Derived(derivation) => drop(derivation.run(password)),
            Self::Whole(hash) => return hash.spend(password),
        }
        Ok(())
    }
}

impl WholeHash {
    pub(super) fn run(&self, password: &Password) -> Result<EncodedPassword, Unhashable> {
        self.hasher.encode(password, &self.salt)
    }

    /// [`NewHash::spend`]. A password that the hasher does not take makes no answer come sooner.
    pub(super) fn spend(&self, password: &Password) -> Result<(), Unhashable> {
        match self.run(password) {
            Err(Unhashable::PasswordTooLong) => self.run(&Password::from(String::new())).map(drop),
            done => done.map(drop),
        }
    }
}
