//! `django.contrib.auth.management.commands.createsuperuser`.
//!
//! Differences from Django: passwords are not looked up in Django's list of common ones; the
//! end of the input cancels the command, where Django prints a traceback.

use std::io::Write;

use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

use super::CommandError;
use super::console::{Console, Terminal};
use super::getuser::getuser;
use crate::django::auth::hashers::{EncodedPassword, Password};
use crate::django::auth::password_validation::validate_password;
use crate::django::auth::validators::{INVALID_USERNAME, is_username};
use crate::django::core::validators::{INVALID_EMAIL, is_email};
use crate::settings::variable;
use crate::state::{self, State};

/// `AbstractUser.username.max_length`.
const USERNAME_MAX_LENGTH: usize = 150;
/// `AbstractUser.email.max_length`.
const EMAIL_MAX_LENGTH: usize = 254;

const TAKEN: &str = "Error: That username is already taken.";
const NOT_A_TERMINAL: &str = "Superuser creation skipped due to not running in a TTY. You can run `manage.py createsuperuser` in your project to create one manually.";

/// What the command line and the environment say.
#[derive(Default)]
struct Options {
    /// `--username`, or with `--noinput` `DJANGO_SUPERUSER_USERNAME`.
    username: Option<String>,
    /// `--email`.
    email: Option<String>,
    /// `DJANGO_SUPERUSER_EMAIL`.
    email_variable: Option<String>,
    /// `DJANGO_SUPERUSER_PASSWORD`; without one nobody can log in as the user.
    password: Option<String>,
    noinput: bool,
    /// `getpass.getuser()`: what the first prompt offers.
    system_username: Option<String>,
}

/// The answers, valid each.
struct Answers {
    username: String,
    email: String,
    password: Option<Password>,
}

/// Asks for what the command line leaves out, or with `noinput` takes it from the environment,
/// and makes the user.
pub async fn run(
    state: &State,
    username: Option<String>,
    email: Option<String>,
    noinput: bool,
    out: &mut impl Write,
) -> Result<(), CommandError> {
    let mut options = Options { username, email, noinput, ..Options::default() };
    if noinput {
        options.username = options.username.or_else(|| variable("DJANGO_SUPERUSER_USERNAME"));
        options.email_variable = variable("DJANGO_SUPERUSER_EMAIL");
        options.password = variable("DJANGO_SUPERUSER_PASSWORD");
    } else {
        options.system_username = getuser(variable);
    }
    handle(state, options, &mut Terminal::new(out)?).await
}

/// `Command.handle`.
async fn handle(
    state: &State,
    options: Options,
    console: &mut impl Console,
) -> Result<(), CommandError> {
    let answers = if options.noinput {
        take(state, options).await?
    } else if console.is_terminal() {
        ask(state, options, console).await?
    } else {
        console.stdout(NOT_A_TERMINAL);
        return Ok(());
    };
    create(state, &answers.username, &answers.email, answers.password).await?;
    console.stdout("Superuser created successfully.");
    Ok(())
}

/// `UserManager.create_superuser`. Without a password nobody can log in as the user.
pub async fn create(
    state: &State,
    username: &str,
    email: &str,
    password: impl Into<Option<Password>>,
) -> Result<(), CommandError> {
    // `AbstractBaseUser.normalize_username`; the result can be longer, which SQLite would store.
    let username: String = username.nfkc().collect();
    if let Some(message) = too_long(&username, USERNAME_MAX_LENGTH) {
        return Err(CommandError::new(message));
    }
    let password = make_password(state, password.into().as_ref())?;
    let table = state.users.table;
    let sql = format!(
        r#"INSERT INTO "{table}" ("password", "last_login", "is_superuser", "username", "first_name", "last_name", "email", "is_staff", "is_active", "date_joined") VALUES ($1, NULL, $2, $3, '', '', $4, $2, $2, $5) ON CONFLICT ("username") DO NOTHING"#
    );
    let values = [
        password.as_str().into(),
        true.into(),
        username.into(),
        normalize_email(email).into(),
        state.database.datetime((state.now)()),
    ];
    match state.database.execute(&sql, values).await? {
        0 => Err(CommandError::new(TAKEN)),
        _ => Ok(()),
    }
}

/// `make_password` on this thread: a command has nothing else to do meanwhile.
pub(super) fn make_password(
    state: &State,
    password: Option<&Password>,
) -> Result<EncodedPassword, CommandError> {
    let hashers = state::hashers(&state.settings).map_err(CommandError::new)?;
    hashers.make_password(password, state.random).map_err(CommandError::new)
}

/// `BaseUserManager.normalize_email`.
fn normalize_email(email: &str) -> String {
    email.trim().rsplit_once('@').map_or_else(
        || email.to_owned(),
        |(user, domain)| format!("{user}@{}", domain.to_lowercase()),
    )
}

/// `--noinput`.
async fn take(state: &State, options: Options) -> Result<Answers, CommandError> {
    let missing = |name| CommandError::new(format_args!("You must use --{name} with --noinput."));
    let username = options.username.ok_or_else(|| missing("username"))?;
    if let Some(message) = username_error(state, &username).await? {
        return Err(CommandError::new(message));
    }
    // An empty option is an answer, but the variable goes before it.
    let options_email =
        options.email.filter(|email| !email.is_empty() || options.email_variable.is_none());
    let email = options_email.or(options.email_variable).ok_or_else(|| missing("email"))?;
    if let Some(message) = email_error(&email) {
        return Err(CommandError::new(message));
    }
    Ok(Answers { username, email, password: options.password.map(Password::from) })
}

async fn ask(
    state: &State,
    options: Options,
    console: &mut impl Console,
) -> Result<Answers, CommandError> {
    let default = default_username(state, options.system_username.as_deref()).await?;
    let username = ask_username(state, options.username, default.as_deref(), console).await?;
    let email = match options.email {
        Some(email) => match email_error(&email) {
            Some(message) => return Err(CommandError::new(message)),
            None => email,
        },
        None => ask_email(console).await?,
    };
    let password = ask_password(&username, &email, console).await?;
    Ok(Answers { username, email, password: Some(password) })
}

async fn ask_username(
    state: &State,
    given: Option<String>,
    default: Option<&str>,
    console: &mut impl Console,
) -> Result<String, CommandError> {
    if let Some(username) = given {
        match username_error(state, &username).await? {
            None => return Ok(username),
            Some(message) if username.is_empty() => return Err(CommandError::new(message)),
            Some(message) => console.stderr(&message),
        }
    }
    let offer = default.map(|name| format!(" (leave blank to use '{name}')")).unwrap_or_default();
    let prompt = format!("Username{offer}: ");
    loop {
        let mut username = console.input(&prompt).await?;
        if username.is_empty() {
            username = default.unwrap_or_default().to_owned();
        }
        if let Some(message) = clean_username(&username) {
            console.stderr(&format!("Error: {message}"));
        } else if is_taken(state, &username).await? {
            console.stderr(TAKEN);
        } else {
            return Ok(username);
        }
    }
}

async fn ask_email(console: &mut impl Console) -> Result<String, CommandError> {
    loop {
        let email = console.input("Email address: ").await?;
        match email_error(&email) {
            None => return Ok(email),
            Some(message) => console.stderr(&format!("Error: {message}")),
        }
    }
}

async fn ask_password(
    username: &str,
    email: &str,
    console: &mut impl Console,
) -> Result<Password, CommandError> {
    loop {
        let password = console.getpass("Password: ").await?;
        if password != console.getpass("Password (again): ").await? {
            console.stderr("Error: Your passwords didn't match.");
        } else if password.trim().is_empty() {
            console.stderr("Error: Blank passwords aren't allowed.");
        } else if is_accepted(&password, username, email, console).await? {
            return Ok(Password::from(password.to_string()));
        }
    }
}

async fn is_accepted(
    password: &Zeroizing<String>,
    username: &str,
    email: &str,
    console: &mut impl Console,
) -> Result<bool, CommandError> {
    let user = [("username", username), ("email address", email)];
    let messages = validate_password(password, &user);
    if messages.is_empty() {
        return Ok(true);
    }
    console.stderr(&messages.join("\n"));
    let question = "Bypass password validation and create user anyway? [y/N]: ";
    Ok(console.input(question).await?.eq_ignore_ascii_case("y"))
}

/// `get_default_username`: the system's name for the user, unless it is taken or no name.
async fn default_username(
    state: &State,
    system_username: Option<&str>,
) -> Result<Option<String>, CommandError> {
    let name = system_username.unwrap_or_default();
    let ascii: String = name.nfkd().filter(char::is_ascii).filter(|c| *c != ' ').collect();
    let name = ascii.to_ascii_lowercase();
    let free = clean_username(&name).is_none() && !is_taken(state, &name).await?;
    Ok(free.then_some(name))
}

/// `_validate_username`.
async fn username_error(state: &State, username: &str) -> Result<Option<String>, CommandError> {
    if username.is_empty() {
        return Ok(Some("Username cannot be blank.".to_owned()));
    }
    if is_taken(state, username).await? {
        return Ok(Some(TAKEN.to_owned()));
    }
    Ok(clean_username(username))
}

async fn is_taken(state: &State, username: &str) -> Result<bool, CommandError> {
    // PostgreSQL takes no NUL in a text.
    let may_be = !username.is_empty() && !username.contains('\0');
    Ok(may_be && state.users.get_by_natural_key(&state.database, username).await?.is_some())
}

/// `Field.clean` of `AbstractUser.username`.
fn clean_username(username: &str) -> Option<String> {
    if username.is_empty() {
        return Some("This field cannot be blank.".to_owned());
    }
    let invalid = (!is_username(username)).then(|| INVALID_USERNAME.to_owned());
    joined(invalid, too_long(username, USERNAME_MAX_LENGTH))
}

/// `Field.clean` of `AbstractUser.email`, which may be empty.
fn email_error(email: &str) -> Option<String> {
    let invalid = (!email.is_empty() && !is_email(email)).then(|| INVALID_EMAIL.to_owned());
    joined(invalid, too_long(email, EMAIL_MAX_LENGTH))
}

fn too_long(value: &str, max: usize) -> Option<String> {
    let length = value.chars().count();
    (length > max)
        .then(|| format!("Ensure this value has at most {max} characters (it has {length})."))
}

fn joined(first: Option<String>, second: Option<String>) -> Option<String> {
    let all: Vec<String> = first.into_iter().chain(second).collect();
    (!all.is_empty()).then(|| all.join("; "))
}
