//! The process: reads the command line and hands over to a command.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use drf_authtoken::db::{Database, Missing, replica};
use drf_authtoken::django::middleware::{self, Stack};
use drf_authtoken::management::check::FailLevel;
use drf_authtoken::management::check::against::Site;
use drf_authtoken::management::{
    CommandError, changepassword, check, createsuperuser, demo, drf_create_token, log, log::Log,
    migrate, openapi, require_djangos_tables, serve,
};
use drf_authtoken::openapi::Dialect;
use drf_authtoken::rest_framework::messages;
use drf_authtoken::settings::{Mistake, SettingValue, Settings};
use drf_authtoken::state::{self, State};
use poem::Addr;

/// The token-auth endpoints of a Django REST framework site, on the site's own database.
#[derive(Parser)]
#[command(version)]
struct CommandLine {
    /// A TOML file with Django's names as its keys; the environment overrides it.
    #[arg(long, global = true, value_name = "FILE")]
    settings: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the endpoints.
    #[command(alias = "runserver")]
    Serve {
        /// Where to listen, as `runserver` takes it: a port, or an address and a port.
        #[arg(value_name = "ADDR:PORT", conflicts_with = "bind")]
        addrport: Option<String>,
        /// Where to listen; overrides the setting BIND.
        #[arg(long, value_name = "ADDR:PORT")]
        bind: Option<String>,
    },
    /// Make Django's tables in an empty database.
    Migrate,
    /// Create a superuser.
    Createsuperuser {
        /// The user's name.
        #[arg(long)]
        username: Option<String>,
        /// The user's email address.
        #[arg(long)]
        email: Option<String>,
        /// Do not ask; take what is missing from `DJANGO_SUPERUSER_*`.
        #[arg(long, alias = "no-input")]
        noinput: bool,
    },
    /// Change a user's password.
    Changepassword {
        /// The user's name; without it, the name of the system's user.
        username: Option<String>,
    },
    /// Create a user's token, or print the one there is.
    #[command(name = "drf_create_token")]
    DrfCreateToken {
        /// The user's name.
        username: String,
        /// Delete the token first, so that it is a new one.
        #[arg(short, long)]
        reset: bool,
    },
    /// Compare the database with what the service needs, and print the settings.
    Check {
        /// A running Django site whose answers to harmless questions are compared with this service's: an address
        /// such as `https://www.example.com`, or `unix:PATH`.
        #[arg(long, value_name = "URL")]
        against: Option<String>,
        /// The lowest level that ends the command with 1.
        #[arg(long, value_enum, ignore_case = true, default_value = "ERROR")]
        fail_level: FailLevel,
    },
    /// Print the OpenAPI document.
    Openapi {
        /// Which one: the true one, or the one that drf-spectacular makes of the site.
        #[arg(long, value_enum, default_value = "drf-authtoken")]
        dialect: Dialect,
        /// How it is written.
        #[arg(long, value_enum, default_value = "yaml")]
        format: openapi::Format,
    },
    /// Make a SQLite file with a user, and serve it.
    Demo {
        /// The file.
        #[arg(long, value_name = "FILE", default_value = "demo.sqlite3")]
        database: String,
        /// Where to listen; overrides the setting BIND.
        #[arg(long, value_name = "ADDR:PORT")]
        bind: Option<String>,
    },
}

fn main() -> ExitCode {
    let line = CommandLine::parse();
    let (file, flags) = (line.settings, flags(&line.command));
    let read = move || Settings::load(file.as_deref(), &flags, further);
    let settings = match read() {
        Ok(settings) => settings,
        Err(errors) => {
            for error in errors {
                eprintln!("Error in the settings: {error}");
            }
            return ExitCode::from(2);
        }
    };
    let mut log = Log::start(&settings);
    let reload = move || log.reload(read());
    // `serve` has threads of its own for requests.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(run(line.command, settings, reload)),
        Err(error) => Err(CommandError::from(error)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(error.exit_code)
        }
    }
}

/// The settings that flags override.
fn flags(command: &Command) -> Vec<(&'static str, String)> {
    match command {
        Command::Serve { addrport, bind } => {
            bind.iter().chain(addrport).map(|bind| ("BIND", bind.clone())).collect()
        }
        Command::Demo { database, bind } => {
            let url = ("DATABASE_URL", format!("sqlite:///{database}"));
            bind.iter().map(|bind| ("BIND", bind.clone())).chain([url]).collect()
        }
        _ => Vec::new(),
    }
}

/// The rules that the settings themselves do not know.
fn further(settings: &Settings) -> Vec<Mistake> {
    let mistakes = [
        ("DATABASE_URL", replica::mistake(&settings.database_url)),
        ("DATABASE_REPLICA_URL", settings.database_replica_url.as_ref().and_then(replica::mistake)),
        ("PASSWORD_HASHERS", state::hashers(settings).err().map(|error| error.to_string())),
        ("MIDDLEWARE", Stack::new(&settings.middleware).err()),
        ("MIDDLEWARE", without_sessions(settings)),
        ("OPENTELEMETRY", without_traces(settings)),
        ("MESSAGES", messages::mistake(&settings.messages.0)),
    ];
    let mistakes = mistakes.into_iter().filter_map(|(name, remedy)| Some((name, remedy?)));
    mistakes.chain(log::mistake(settings)).collect()
}

/// `SessionAuthentication` reads what two of Django's middleware make.
fn without_sessions(settings: &Settings) -> Option<String> {
    let missing = settings.has_sessions() && !middleware::has_sessions(&settings.middleware);
    missing.then(|| {
        "SessionAuthentication needs SessionMiddleware before LocaleMiddleware and CommonMiddleware, and \
         AuthenticationMiddleware behind it"
            .to_owned()
    })
}

/// A build without the feature sends none, and says so.
fn without_traces(settings: &Settings) -> Option<String> {
    let missing = settings.opentelemetry && !cfg!(feature = "opentelemetry");
    missing.then(|| {
        "this program was built without it: cargo build --features opentelemetry".to_owned()
    })
}

async fn run(
    command: Command,
    settings: Settings,
    reload: impl FnMut() + Send + 'static,
) -> Result<(), CommandError> {
    let out = &mut io::stdout();
    let refused = match command {
        Command::Migrate => Some("migrate"),
        Command::Createsuperuser { .. } => Some("createsuperuser"),
        Command::Changepassword { .. } => Some("changepassword"),
        Command::Demo { .. } => Some("demo"),
        _ => None,
    };
    refused.map_or(Ok(()), |name| require_djangos_tables(&settings, name))?;
    match command {
        Command::Openapi { dialect, format } => openapi::run(&settings, dialect, format, out),
        Command::Demo { .. } => demo::run(settings, reload, out).await,
        Command::Migrate => {
            let database = connect(&settings, Missing::Create).await?;
            database.closing(migrate::run(&database, out)).await
        }
        Command::Serve { .. } => {
            let database = connect(&settings, Missing::Refuse).await?;
            let ready = |address: &Addr| {
                // Whoever started the service waits for this line.
                let _ = writeln!(io::stderr(), "Listening at: {}", serve::shown(address));
            };
            database.closing(serve::run(settings, database.clone(), reload, ready)).await
        }
        Command::Check { against, fail_level } => {
            // Not by clap, which would print a password in it.
            let site = against.as_deref().map(Site::parse).transpose().map_err(|remedy| {
                CommandError { message: format!("Error in --against: {remedy}"), exit_code: 2 }
            })?;
            let database = connect(&settings, Missing::Refuse).await?;
            let clock = state::system_time;
            let checked = check::run(&settings, &database, site.as_ref(), fail_level, clock, out);
            database.closing(Box::pin(checked)).await
        }
        Command::Createsuperuser { username, email, noinput } => {
            let state = open(settings).await?;
            let made = createsuperuser::run(&state, username, email, noinput, out);
            state.database.closing(made).await
        }
        Command::Changepassword { username } => {
            let state = open(settings).await?;
            state.database.closing(changepassword::run(&state, username, out)).await
        }
        Command::DrfCreateToken { username, reset } => {
            let state = open(settings).await?;
            let made = drf_create_token::run(&state, &username, reset, out);
            state.database.closing(made).await
        }
    }
}

async fn connect(settings: &Settings, missing: Missing) -> Result<Database, CommandError> {
    let connected = Database::connect(settings, missing).await;
    connected.map_err(|error| CommandError::unreachable(&settings.database_url.print(), &error))
}

async fn open(settings: Settings) -> Result<State, CommandError> {
    let database = connect(&settings, Missing::Refuse).await?;
    State::new(settings, database).map_err(CommandError::new)
}
