//! What a request may use: settings, database, hashing pool, clock, random source.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::available_parallelism;

use chrono::{DateTime, Utc};
use tokio::sync::Semaphore;

use crate::db::Database;
use crate::django::auth::hashers::{Algorithm, Bounds, Cost, Defaults, Hashers};
use crate::django::auth::hashing_pool::{HashingPool, Limits};
use crate::django::auth::models::{Fetch, UserModel};
use crate::django::utils::crypto::RandomSource;
use crate::django::utils::translation::Languages;
use crate::metrics::Metrics;
use crate::rest_framework::authtoken::lookups::Lookups;
use crate::rest_framework::authtoken::models::TokenModel;
use crate::settings::Settings;

/// The shared value of the service, passed explicitly; each thread that answers requests has its own, of which all
/// but the look-ups are shared.
pub struct State {
    /// What the service was told.
    pub settings: Arc<Settings>,
    /// The site's database.
    pub database: Database,
    /// `AUTH_USER_MODEL`.
    pub users: UserModel,
    /// The tokens of these users.
    pub tokens: TokenModel,
    /// The only way to look up a token.
    pub lookups: Lookups,
    /// The only way to check or to make a password.
    pub hashing_pool: Arc<HashingPool>,
    /// The languages of the site and their texts.
    pub languages: Arc<Languages>,
    /// The memory of large bodies in KiB, for all that are read at the same time.
    pub body_memory: Arc<Semaphore>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Whether the process is about to end.
    pub draining: Arc<AtomicBool>,
    /// `timezone.now`.
    pub now: fn() -> DateTime<Utc>,
    /// `os.urandom`.
    pub random: RandomSource,
}

impl State {
    /// The state of a real process: its clock and the operating system's random source.
    pub fn new(settings: Settings, database: Database) -> Result<Self, StateError> {
        let hashers = Arc::new(hashers(&settings)?);
        let random: RandomSource = getrandom::fill;
        let limits = Limits {
            threads: hashing_threads(&settings),
            nice: settings.hashing_nice,
            queue: settings.hashing_queue_seconds,
            memory: settings.hashing_memory,
        };
        let hashing_pool =
            Arc::new(HashingPool::new(&hashers, random, limits).map_err(StateError::Threads)?);
        let users = UserModel::new(&settings);
        let tokens =
            TokenModel::new(&settings.authtoken_table, &users, fetch(&settings), &database);
        let metrics = Arc::new(Metrics::default());
        Ok(Self {
            lookups: Lookups::seldom(tokens.clone(), database.clone(), Arc::clone(&metrics)),
            metrics,
            draining: Arc::default(),
            tokens,
            users,
            body_memory: Arc::new(Semaphore::new(settings.body_memory / 1024)),
            languages: Arc::new(Languages::new(&settings)),
            settings: Arc::new(settings),
            database,
            hashing_pool,
            now: system_time,
            random,
        })
    }

    /// The same for a thread, inside whose runtime this is called: its look-ups run there and wake no other thread. Only
    /// these ask the replica.
    #[must_use]
    pub fn of_a_thread(&self) -> Self {
        Self {
            settings: Arc::clone(&self.settings),
            database: self.database.clone(),
            users: self.users.clone(),
            tokens: self.tokens.clone(),
            lookups: Lookups::ahead(
                self.tokens.clone(),
                self.database.clone(),
                self.tokens.replica(&self.settings),
                Arc::clone(&self.metrics),
            ),
            hashing_pool: Arc::clone(&self.hashing_pool),
            body_memory: Arc::clone(&self.body_memory),
            languages: Arc::clone(&self.languages),
            metrics: Arc::clone(&self.metrics),
            draining: Arc::clone(&self.draining),
            now: self.now,
            random: self.random,
        }
    }
}

fn cores() -> usize {
    available_parallelism().map_or(1, usize::from)
}

/// `HASHING_THREADS`: a hash wants a core, and gives way.
fn hashing_threads(settings: &Settings) -> usize {
    if settings.hashing_threads > 0 { settings.hashing_threads } else { cores() }
}

/// `REQUEST_THREADS`: while the database works for one thread, another one answers, so that two are more than one on two
/// cores already. But each has a connection of its own, and look-ups of fewer requests, which cost the database more.
#[must_use]
pub fn request_threads(settings: &Settings) -> usize {
    if settings.request_threads > 0 {
        settings.request_threads
    } else {
        cores().div_ceil(2).max(2).min(cores())
    }
}

/// `timezone.now` of a real process.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the one clock of this program")]
pub fn system_time() -> DateTime<Utc> {
    Utc::now()
}

/// Forward auth tells more of a user than the other views ask for.
fn fetch(settings: &Settings) -> Fetch {
    match &settings.forward_auth_groups_header {
        _ if !settings.forward_auth => Fetch::User,
        None => Fetch::Profile,
        Some(_) => Fetch::Groups,
    }
}

/// What keeps a state from being made.
#[derive(Debug)]
pub enum StateError {
    /// `PASSWORD_HASHERS` cannot be used; the text is the remedy.
    Hasher(String),
    /// The hashing threads did not start.
    Threads(io::Error),
}

impl std::fmt::Display for StateError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Hasher(text) => f.write_str(text),
            Self::Threads(error) => write!(f, "the hashing threads did not start: {error}"),
        }
    }
}

impl std::error::Error for StateError {}

/// The hashers that `settings` name.
pub fn hashers(settings: &Settings) -> Result<Hashers, StateError> {
    let (mut enabled, mut unknown) = (Vec::new(), Vec::new());
    for path in &settings.password_hashers {
        match Algorithm::from_path(path) {
            Some(hasher) => enabled.push(hasher),
            None => unknown.push(format!("{path:?}")),
        }
    }
    if !unknown.is_empty() {
        return Err(StateError::Hasher(format!(
            "not supported: {}; leave out what is not, or use {}",
            unknown.join(", "),
            Algorithm::ALL.map(Algorithm::path).join(", ")
        )));
    }
    let preferred =
        *enabled.first().ok_or_else(|| StateError::Hasher("name one or more".to_owned()))?;
    let version = settings.versions().django;
    let mut defaults = Defaults::of_django((version.0, version.1)).ok_or_else(|| {
        StateError::Hasher("the hashers of DJANGO_VERSION are not known".to_owned())
    })?;
    defaults.iterations = settings.pbkdf2_iterations.unwrap_or(defaults.iterations);
    let bounds = Bounds {
        iterations: settings.pbkdf2_max_iterations,
        cost: Cost { memory_bytes: settings.hashing_memory, time: settings.hashing_max_seconds },
    };
    Ok(Hashers::new(preferred, enabled, defaults, bounds))
}
