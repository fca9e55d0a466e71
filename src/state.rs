//! What a request may use: settings, database, hashing pool, clock, random source.

use std::io;
use std::sync::Arc;
use std::thread::available_parallelism;

use chrono::{DateTime, Utc};
use tokio::sync::Semaphore;

use crate::db::Database;
use crate::django::auth::hashers::{Algorithm, Hashers, RandomSource, default_iterations};
use crate::django::auth::hashing_pool::HashingPool;
use crate::django::auth::models::UserModel;
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
        let hashing_pool = HashingPool::new(&hashers, random, threads, settings.hashing_queue)
            .map_err(StateError::Threads)?;
        let users = UserModel::default();
        let tokens = TokenModel::new(&users, &database);
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

/// What keeps a state from being made.
#[derive(Debug)]
pub enum StateError {
    /// A hasher in `PASSWORD_HASHERS` is not known.
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
        let known: Vec<&str> = Algorithm::ALL.iter().map(|hasher| hasher.path()).collect();
        let hasher = Algorithm::from_path(path).ok_or_else(|| {
            StateError::Hasher(format!(
                "PASSWORD_HASHERS has {path:?}, which is not supported; leave it out, or use one of {}",
                known.join(", ")
            ))
        })?;
        enabled.push(hasher);
    }
    let preferred = *enabled
        .first()
        .ok_or_else(|| StateError::Hasher("PASSWORD_HASHERS is empty; name one".to_owned()))?;
    let version = settings.django_version;
    let iterations = settings
        .pbkdf2_iterations
        .or_else(|| default_iterations((version.0, version.1)))
        .ok_or_else(|| {
            StateError::Hasher("no iterations are known for DJANGO_VERSION".to_owned())
        })?;
    Ok(Hashers::new(preferred, enabled, iterations, settings.pbkdf2_max_iterations))
}
