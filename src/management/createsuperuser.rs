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
    let table = &state.users.table;
    let sql = format!(
        r#"INSERT INTO {table} ("password", "last_login", "is_superuser", "username", "first_name", "last_name", "email", "is_staff", "is_active", "date_joined") VALUES ($1, NULL, $2, $3, '', '', $4, $2, $2, $5) ON CONFLICT ("username") DO NOTHING"#
    );
    let values = [
        password.as_str().into(),
        true.into(),
        username.into(),
        normalize_email(email).into(),
        state.database.datetime((state.now)()),
    ];
    match state.database.execute_once(&sql, values).await? {
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

#[cfg(test)]
mod tests {
    use super::super::console::tests::Script;
    use super::super::migrate::tests::Site;
    use super::*;

    const PROMPT: &str = "Username (leave blank to use 'root'): ";

    fn asking() -> Options {
        Options { system_username: Some("Ro ot".to_owned()), ..Options::default() }
    }

    fn noinput(username: &str, email: &str) -> Options {
        let (username, email) = (Some(username.to_owned()), Some(email.to_owned()));
        Options { noinput: true, username, email, ..Options::default() }
    }

    async fn said(site: &Site, options: Options, answers: &[&'static str]) -> Vec<String> {
        let mut console = Script::new(answers);
        let done = handle(&site.state, options, &mut console).await;
        console.said.extend(done.err().map(|error| error.to_string()));
        console.said
    }

    #[tokio::test]
    async fn the_first_prompt_offers_the_system_users_name() {
        let site = Site::migrated().await;
        let answers = ["", "Ro@Example.COM", "correct-horse", "correct-horse"];
        let said = said(&site, asking(), &answers).await;
        let prompts = [PROMPT, "Email address: ", "Password: ", "Password (again): "];
        assert_eq!(said[..4], prompts);
        assert_eq!(said[4..], ["out: Superuser created successfully."]);
        let row = "SELECT username || ' ' || email || ' ' || is_superuser || is_staff || is_active || first_name || last_name FROM auth_user WHERE last_login IS NULL";
        assert_eq!(site.value(row).await.as_deref(), Some("root Ro@example.com 111"));
        let stored = site.value("SELECT password FROM auth_user").await.unwrap();
        assert!(stored.starts_with("pbkdf2_sha256$1000$"), "{stored}");
    }

    #[tokio::test]
    async fn a_taken_name_is_not_offered_and_not_accepted() {
        let site = Site::migrated().await;
        said(&site, noinput("root", ""), &[]).await;
        let said = said(&site, asking(), &["root", "a b", ""]).await;
        assert_eq!(
            said,
            [
                "Username: ",
                "err: Error: That username is already taken.",
                "Username: ",
                &format!("err: Error: {INVALID_USERNAME}"),
                "Username: ",
                "err: Error: This field cannot be blank.",
                "Username: ",
                "\nOperation cancelled.",
            ]
        );
    }

    #[tokio::test]
    async fn a_weak_password_needs_a_yes() {
        let site = Site::migrated().await;
        let options =
            Options { username: Some("bob".into()), email: Some(String::new()), ..asking() };
        let answers = ["a", "b", " ", " ", "Bob", "Bob", "n", "12345678", "12345678", "Y"];
        let said = said(&site, options, &answers).await;
        let lines: Vec<&String> =
            said.iter().filter(|line| !line.starts_with("Password")).collect();
        let bypass = "Bypass password validation and create user anyway? [y/N]: ";
        assert_eq!(
            lines,
            [
                "err: Error: Your passwords didn't match.",
                "err: Error: Blank passwords aren't allowed.",
                "err: The password is too similar to the username.\nThis password is too short. It must contain at least 8 characters.",
                bypass,
                "err: This password is entirely numeric.",
                bypass,
                "out: Superuser created successfully.",
            ]
        );
    }

    #[tokio::test]
    async fn without_a_terminal_nothing_is_asked() {
        let site = Site::migrated().await;
        let mut console = Script::new(&[]);
        console.is_terminal = false;
        handle(&site.state, asking(), &mut console).await.unwrap();
        assert_eq!(console.said, [format!("out: {NOT_A_TERMINAL}")]);
    }

    #[tokio::test]
    async fn noinput_names_what_is_missing_or_wrong() {
        let site = Site::migrated().await;
        let no_email = Options { email: None, ..noinput("a", "") };
        let long = "x".repeat(151);
        let too_long = "Ensure this value has at most 150 characters (it has 151).";
        for (options, error) in [
            (
                Options { username: None, ..noinput("", "") },
                "You must use --username with --noinput.",
            ),
            (no_email, "You must use --email with --noinput."),
            (noinput("", "a@b.cc"), "Username cannot be blank."),
            (noinput("a", "nowhere"), INVALID_EMAIL),
            (noinput("a b", ""), INVALID_USERNAME),
            (noinput(&long, ""), too_long),
            (noinput(&long.replace('x', " "), ""), &format!("{INVALID_USERNAME}; {too_long}")),
        ] {
            assert_eq!(said(&site, options, &[]).await, [format!("CommandError: {error}")]);
        }
    }

    #[tokio::test]
    async fn noinput_takes_the_environment() {
        let site = Site::migrated().await;
        let options = Options {
            email_variable: Some("x@y.zz".to_owned()),
            password: Some("short".to_owned()),
            ..noinput("a", "")
        };
        assert_eq!(said(&site, options, &[]).await, ["out: Superuser created successfully."]);
        assert_eq!(site.value("SELECT email FROM auth_user").await.as_deref(), Some("x@y.zz"));
    }

    #[tokio::test]
    async fn without_a_password_the_stored_one_is_unusable() {
        let site = Site::migrated().await;
        said(&site, noinput("a", ""), &[]).await;
        let stored = site.value("SELECT password FROM auth_user").await.unwrap();
        assert!(stored.starts_with('!') && stored.len() == 41, "{stored}");
    }

    #[tokio::test]
    async fn a_name_is_stored_in_its_compatibility_form_once() {
        let site = Site::migrated().await;
        said(&site, noinput("ﬁx①", ""), &[]).await;
        let stored = site.value("SELECT username FROM auth_user").await;
        assert_eq!(stored.as_deref(), Some("fix1"));
        let again = said(&site, noinput("ﬁx①", ""), &[]).await;
        assert_eq!(again, [format!("CommandError: {TAKEN}")]);
        let grown = said(&site, noinput(&"ﬃ".repeat(51), ""), &[]).await;
        assert_eq!(
            grown,
            ["CommandError: Ensure this value has at most 150 characters (it has 153)."]
        );
    }
}
