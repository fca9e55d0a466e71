//! What a request may use: settings, database, hashing pool, clock, random source.

use std::io;
use std::sync::Arc;
use std::thread::available_parallelism;

use chrono::{DateTime, Utc};
use tokio::sync::Semaphore;

use crate::db::Database;
use crate::django::auth::hashers::{Algorithm, Bounds, Cost, Defaults, Hashers};
use crate::django::auth::hashing_pool::{HashingPool, Limits};
use crate::django::auth::models::{Fetch, UserModel};
use crate::django::utils::crypto::RandomSource;
use crate::rest_framework::authtoken::lookups::Lookups;
use crate::rest_framework::authtoken::models::TokenModel;
use crate::settings::Settings;

/// The one shared value of the service, passed explicitly.
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
    pub hashing_pool: HashingPool,
    /// The memory of large bodies in KiB, for all that are read at the same time.
    pub body_memory: Arc<Semaphore>,
    /// `timezone.now`.
    pub now: fn() -> DateTime<Utc>,
    /// `os.urandom`.
    pub random: RandomSource,
}

impl State {
    /// The state of a real process: its clock and the operating system's random source.
    pub fn new(settings: Settings, database: Database) -> Result<Self, StateError> {
        let hashers = Arc::new(hashers(&settings)?);
        let threads = match settings.hashing_threads {
            0 => available_parallelism().map_or(1, usize::from),
            threads => threads,
        };
        let random: RandomSource = getrandom::fill;
        let limits = Limits {
            threads,
            nice: settings.hashing_nice,
            queue: settings.hashing_queue_seconds,
            memory: settings.hashing_memory,
        };
        let hashing_pool =
            HashingPool::new(&hashers, random, limits).map_err(StateError::Threads)?;
        let users = UserModel::default();
        let tokens = TokenModel::new(&users, fetch(&settings), &database);
        Ok(Self {
            lookups: Lookups::start(tokens.clone(), database.clone()),
            tokens,
            users,
            body_memory: Arc::new(Semaphore::new(settings.body_memory / 1024)),
            settings: Arc::new(settings),
            database,
            hashing_pool,
            now: system_time,
            random,
        })
    }
}

#[expect(clippy::disallowed_methods, reason = "the one clock that State hands out")]
fn system_time() -> DateTime<Utc> {
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
    let mut enabled = Vec::new();
    for path in &settings.password_hashers {
        let known = Algorithm::ALL.map(Algorithm::path);
        let hasher = Algorithm::from_path(path).ok_or_else(|| {
            StateError::Hasher(format!(
                "{path:?} is not supported; leave it out, or use one of {}",
                known.join(", ")
            ))
        })?;
        enabled.push(hasher);
    }
    let preferred =
        *enabled.first().ok_or_else(|| StateError::Hasher("name one or more".to_owned()))?;
    let version = settings.django_version;
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
