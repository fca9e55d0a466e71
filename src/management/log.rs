//! The log of the process: standard error, for people or for programs.

use std::io::{self, IsTerminal};

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

use crate::settings::{Mistake, SettingError, Settings};

/// The settings that SIGHUP takes over; for the others the service is started anew.
const RELOADED: [&str; 1] = ["LOG_LEVEL"];

/// The log, whose level can be changed.
pub struct Log {
    settings: Settings,
    filter: reload::Handle<EnvFilter, Registry>,
}

impl Log {
    /// From here on there is a log. `LOG_LEVEL` was found to be good by [`mistake`].
    #[must_use]
    pub fn start(settings: &Settings) -> Self {
        let filter = filter(settings);
        let (filter, handle) = reload::Layer::new(filter);
        let lines = fmt::layer().with_writer(io::stderr).with_ansi(io::stderr().is_terminal());
        let lines = if settings.log_json {
            lines.json().flatten_event(true).with_current_span(false).with_span_list(false).boxed()
        } else {
            lines.boxed()
        };
        tracing_subscriber::registry().with(filter).with(lines).init();
        Self { settings: settings.clone(), filter: handle }
    }

    /// Takes over what can change; says in the log what cannot, and what is wrong.
    pub fn reload(&mut self, read: Result<Settings, Vec<SettingError>>) {
        let settings = match read {
            Ok(settings) => settings,
            Err(errors) => {
                for error in errors {
                    tracing::error!(%error, "the settings stay as they are");
                }
                return;
            }
        };
        let both = self.settings.printed().zip(settings.printed());
        let changed: Vec<&str> =
            both.filter(|(old, new)| old != new).map(|((name, _), _)| name).collect();
        if let Err(error) = self.filter.reload(filter(&settings)) {
            tracing::error!(%error, "the level of the log stays as it is");
        }
        let (reloaded, waiting): (Vec<&str>, Vec<&str>) =
            changed.into_iter().partition(|name| RELOADED.contains(name));
        tracing::info!(?reloaded, ?waiting, "read the settings anew; some wait for a restart");
        self.settings.log_level = settings.log_level;
    }
}

/// `LOG_LEVEL`, but for what sqlx says of an option of a database URL that it does not know: the value may be a secret.
fn filter(settings: &Settings) -> EnvFilter {
    EnvFilter::new(format!("{},sqlx_postgres::options=off", settings.log_level))
}

/// What is wrong with `LOG_LEVEL`.
#[must_use]
pub fn mistake(settings: &Settings) -> Option<Mistake> {
    let error = EnvFilter::try_new(&settings.log_level).err()?;
    Some(("LOG_LEVEL", error.to_string()))
}
