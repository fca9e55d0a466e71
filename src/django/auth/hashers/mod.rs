//! `django.contrib.auth.hashers`: stored passwords are identified, verified, made, and found outdated, as Django does.
//!
//! Pure: the random source is an argument, nothing waits, nothing is logged. One hash takes a tenth of a second and
//! more, so that requests come here only through the hashing pool.

mod algorithm;
mod argon2;
mod base;
mod bcrypt;
mod check;
mod defaults;
mod derived;
mod legacy;
mod new_hash;
mod passwords;
mod pbkdf2;
mod plan;
#[cfg(test)]
mod properties;
mod scrypt;
#[cfg(test)]
pub(in crate::django::auth) mod tests;
mod verification;
mod whole;

use zeroize::Zeroizing;

pub use algorithm::Algorithm;
pub use base::{Cost, MakeError, Unhashable};
pub use check::{Check, Reason};
pub use defaults::{Defaults, default_iterations};
pub use passwords::{EncodedPassword, Password};
pub use plan::{Done, LANES, LaneTask, LaneWork, Outcome, Plan, Work, advance};

use crate::django::utils::crypto::{RandomSource, get_random_string};

use base::{MAX_ENCODED_LENGTH, SALT_LENGTH};
use defaults::{Hasher, WholeHasher};
use derived::{DerivedCheck, Ending};
use new_hash::{NewHash, WholeHash};
use pbkdf2::{Derivation, Digest};
use verification::Verification;
use whole::{Comparison, WholeCheck};

/// `UNUSABLE_PASSWORD_PREFIX`.
const UNUSABLE_PASSWORD_PREFIX: char = '!';
/// `UNUSABLE_PASSWORD_SUFFIX_LENGTH`.
const UNUSABLE_PASSWORD_SUFFIX_LENGTH: usize = 40;
/// `is_password_usable`.
#[must_use]
pub fn is_password_usable(encoded: &EncodedPassword) -> bool {
    !encoded.as_str().starts_with(UNUSABLE_PASSWORD_PREFIX)
}

/// The most that a stored hash may cost. One that would cost more is never begun.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// PBKDF2's iterations.
    pub iterations: u32,
    /// Memory and time, whatever the hasher.
    pub cost: Cost,
}

/// The hashers of a site, as its settings name them.
#[derive(Clone, Debug)]
pub struct Hashers {
    preferred: Algorithm,
    enabled: Vec<Algorithm>,
    defaults: Defaults,
    bounds: Bounds,
}

/// In what a stored hash is not as a new one would be, so that the next log-in replaces it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outdated {
    /// It is of this hasher, which is not the preferred one.
    Hasher(Algorithm),
    /// It has so many iterations of PBKDF2.
    Iterations(u32),
    /// It has other parameters of its hasher.
    Parameters,
}

impl Hashers {
    /// `preferred` makes new hashes (the first of `PASSWORD_HASHERS`), `enabled` are accepted besides. What a new hash
    /// costs is within the bounds, whatever they say.
    #[must_use]
    pub fn new(
        preferred: Algorithm,
        enabled: Vec<Algorithm>,
        defaults: Defaults,
        bounds: Bounds,
    ) -> Self {
        let defaults = Defaults { iterations: defaults.iterations.max(1), ..defaults };
        let mut hashers = Self { preferred, enabled, defaults, bounds };
        let own = hashers.dummy().cost();
        hashers.bounds = Bounds {
            iterations: bounds.iterations.max(defaults.iterations),
            cost: bounds.cost.max(own),
        };
        hashers
    }

    /// `make_password`: a new hash of the preferred hasher; without a password, a text that refuses every log-in.
    pub fn make_password(
        &self,
        password: Option<&Password>,
        random: RandomSource,
    ) -> Result<EncodedPassword, MakeError> {
        let Some(password) = password else {
            let suffix = get_random_string(UNUSABLE_PASSWORD_SUFFIX_LENGTH, random)
                .map_err(MakeError::NoRandomness)?;
            return Ok(EncodedPassword::from(format!("{UNUSABLE_PASSWORD_PREFIX}{suffix}")));
        };
        let hash = self.new_hash(random).map_err(MakeError::NoRandomness)?;
        hash.run(password).map_err(MakeError::Unhashable)
    }

    /// `check_password`, without its setter: the caller replaces the hash when it must. `None` is an unknown user,
    /// for whom `ModelBackend.authenticate` spends one hash, so that the time of an answer does not tell who exists.
    pub fn check_password(
        &self,
        password: &Password,
        encoded: Option<&EncodedPassword>,
    ) -> Result<Check, Unhashable> {
        self.verification(encoded).run(password).0
    }

    /// [`Self::make_password`] before its work.
    pub fn plan_make(&self, random: RandomSource) -> Result<Plan, getrandom::Error> {
        Ok(Plan::make(self.new_hash(random)?))
    }

    /// [`Self::check_password`] before its work.
    #[must_use]
    pub fn plan_check(&self, encoded: Option<&EncodedPassword>) -> Plan {
        Plan::check(self.verification(encoded))
    }

    fn new_hash(&self, random: RandomSource) -> Result<NewHash, getrandom::Error> {
        Ok(match self.defaults.hasher(self.preferred) {
            Hasher::Derived(digest) => {
                let salt = get_random_string(SALT_LENGTH, random)?;
                NewHash::Derived(Derivation::new(digest, &salt, self.defaults.iterations))
            }
            Hasher::Whole(hasher) => {
                let salt = Zeroizing::new(hasher.salt(random)?);
                NewHash::Whole(WholeHash { hasher, salt })
            }
        })
    }

    /// A new hash that nobody will store, for the time that it takes.
    fn dummy(&self) -> NewHash {
        match self.defaults.hasher(self.preferred) {
            Hasher::Derived(digest) => {
                let salt = "-".repeat(SALT_LENGTH);
                NewHash::Derived(Derivation::new(digest, &salt, self.defaults.iterations))
            }
            Hasher::Whole(hasher) => {
                let salt = Zeroizing::new(hasher.dummy_salt());
                NewHash::Whole(WholeHash { hasher, salt })
            }
        }
    }

    fn verification(&self, encoded: Option<&EncodedPassword>) -> Verification {
        let Some(encoded) = encoded else {
            return self.refuse(Reason::NoSuchUser);
        };
        if !is_password_usable(encoded) {
            return self.refuse(Reason::Unusable);
        }
        if encoded.as_str().len() > MAX_ENCODED_LENGTH {
            return self.refuse(Reason::Corrupt);
        }
        let Some(algorithm) = self.identify_hasher(encoded) else {
            return self.refuse(Reason::UnknownAlgorithm);
        };
        let compared = match self.defaults.hasher(algorithm) {
            Hasher::Derived(digest) => self.compare_derived(algorithm, digest, encoded),
            Hasher::Whole(hasher) => self.compare_whole(algorithm, hasher, encoded),
        };
        compared.unwrap_or_else(|| self.refuse(Reason::Corrupt))
    }

    /// `identify_hasher`.
    fn identify_hasher(&self, encoded: &EncodedPassword) -> Option<Algorithm> {
        let algorithm = Algorithm::identify(encoded.as_str())?;
        (algorithm == self.preferred || self.enabled.contains(&algorithm)).then_some(algorithm)
    }

    /// The second half of `verify_password`, for PBKDF2. `None` is a corrupt hash, or one beyond the bounds.
    fn compare_derived(
        &self,
        algorithm: Algorithm,
        digest: Digest,
        encoded: &EncodedPassword,
    ) -> Option<Verification> {
        let decoded = pbkdf2::decode(encoded.as_str())?;
        let derivation = Derivation::new(digest, decoded.salt, decoded.iterations);
        let is_bounded = decoded.iterations <= self.bounds.iterations
            && self.is_bounded(derivation.cost(decoded.iterations));
        let must_update = algorithm != self.preferred || self.must_update(decoded);
        // Django lets the time tell a hash of another hasher, and so do we.
        let missing = if algorithm == self.preferred && must_update {
            self.defaults.iterations.saturating_sub(decoded.iterations)
        } else {
            0
        };
        let ending = Ending::Compare { encoded: encoded.clone(), must_update, missing };
        is_bounded.then_some(Verification::Derived(DerivedCheck { derivation, ending }))
    }

    /// The same for the other hashers.
    fn compare_whole(
        &self,
        algorithm: Algorithm,
        hasher: WholeHasher,
        encoded: &EncodedPassword,
    ) -> Option<Verification> {
        let cost = hasher.cost(encoded.as_str()).filter(|cost| self.is_bounded(*cost))?;
        let is_preferred = algorithm == self.preferred;
        let must_update = !is_preferred || hasher.must_update(encoded.as_str());
        let (hardens, instead) = (is_preferred && must_update, self.dummy());
        // Hardened, it takes as long as a new hash. So does a password that plain bcrypt does not take.
        let cost_at_most =
            if hardens || algorithm == Algorithm::Bcrypt { cost.max(instead.cost()) } else { cost };
        Some(Verification::Whole(WholeCheck::Compare(Box::new(Comparison {
            hasher,
            encoded: encoded.clone(),
            cost,
            cost_at_most,
            must_update,
            hardens,
            instead,
        }))))
    }

    /// `must_update`, but for the salt, which is not the site's choice. `None` for a current hash, and for what is none.
    #[must_use]
    pub fn outdated(&self, encoded: &EncodedPassword) -> Option<Outdated> {
        let algorithm = Algorithm::identify(encoded.as_str())?;
        if algorithm != self.preferred {
            return Some(Outdated::Hasher(algorithm));
        }
        match self.defaults.hasher(algorithm) {
            Hasher::Derived(_) => {
                let stored = pbkdf2::decode(encoded.as_str())?.iterations;
                (stored != self.defaults.iterations).then_some(Outdated::Iterations(stored))
            }
            Hasher::Whole(hasher) => {
                hasher.must_update(encoded.as_str()).then_some(Outdated::Parameters)
            }
        }
    }

    /// What makes new hashes, and with how many iterations if it is PBKDF2.
    #[must_use]
    pub fn preferred(&self) -> (Algorithm, u32) {
        (self.preferred, self.defaults.iterations)
    }

    fn is_bounded(&self, cost: Cost) -> bool {
        let most = self.bounds.cost;
        cost.memory_bytes <= most.memory_bytes && cost.time <= most.time
    }

    /// `PBKDF2PasswordHasher.must_update`. More iterations than the default count as outdated, too.
    fn must_update(&self, decoded: pbkdf2::Decoded<'_>) -> bool {
        decoded.iterations != self.defaults.iterations || decoded.salt.chars().count() < SALT_LENGTH
    }

    /// Spends one default hash in vain before it says no.
    fn refuse(&self, reason: Reason) -> Verification {
        match self.dummy() {
            NewHash::Derived(derivation) => {
                let ending = Ending::Refuse(reason);
                Verification::Derived(DerivedCheck { derivation, ending })
            }
            NewHash::Whole(hash) => Verification::Whole(WholeCheck::Refuse { hash, reason }),
        }
    }
}
