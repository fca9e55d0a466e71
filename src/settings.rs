//! The table of settings: one row each, and from it the parser, the checks, the printed
//! form and the README's table.
//!
//! Names are Django's where Django has one. Sources, weakest first: the defaults here, the
//! TOML file of `--settings`, the environment, flags. All mistakes are reported together.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use regex::Regex;

mod checks;
mod database_url;
mod sources;
mod values;

use crate::versions::Versions;

pub use database_url::DatabaseUrl;
use sources::{nearest, read_file, shown};
use values::text;
pub use values::{
    Authentication, Bind, DjangoVersion, DrfVersion, KeyType, Messages, Networks, PythonVersion,
    Refusals, SecretKeys, SettingValue, TableName,
};

/// A setting as it was written, before it is understood.
#[derive(Debug, Clone, PartialEq)]
pub enum Raw {
    /// One value: an environment variable, a flag, a TOML string, number or boolean.
    Text(String),
    /// A TOML array. In the environment a list is one text, split at commas.
    List(Vec<String>),
    /// A TOML table. The environment has none.
    Table(toml::Table),
}

/// A mistake in one setting: name, value, source and remedy in one line.
#[derive(Debug)]
pub struct SettingError(String);

impl fmt::Display for SettingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of a setting whose value cannot be used, and the remedy.
pub type Mistake = (&'static str, String);

/// One row of the table.
pub struct Setting {
    /// The name, in the file and in the environment.
    pub name: &'static str,
    /// The default as a user would write it.
    pub default: &'static str,
    /// One sentence of help.
    pub help: &'static str,
    parse: fn(&mut Settings, &Raw) -> Result<(), String>,
    print: fn(&Settings) -> String,
    shown: bool,
}

macro_rules! settings {
    ($($(#[doc = $help:literal])+ $name:ident $field:ident: $ty:ty = $default:literal;)+) => {
        /// What the service was told. Built by [`Settings::load`] only.
        #[derive(Debug, Clone)]
        pub struct Settings {
            $($(#[doc = $help])+ pub $field: $ty,)+
        }

        impl Settings {
            /// The defaults of the table. Each default parses: a test says so.
            pub(crate) fn defaults() -> Result<Self, String> {
                Ok(Self { $($field: <$ty>::parse(&Raw::Text($default.to_owned()))?,)+ })
            }
        }

        /// Every setting there is.
        pub const TABLE: &[Setting] = &[$(Setting {
            name: stringify!($name),
            default: $default,
            help: concat!($($help),+),
            parse: |settings, raw| <$ty>::parse(raw).map(|value| settings.$field = value),
            print: |settings| settings.$field.print(),
            shown: <$ty>::SHOWN,
        },)+];
    };
}

settings! {
    /// The database, as dj-database-url reads it: `postgres://user:password@host:port/name`, `sqlite:///relative/path`, `sqlite:////absolute/path`.
    DATABASE_URL database_url: DatabaseUrl = "sqlite:///db.sqlite3";
    /// A PostgreSQL standby that is asked for tokens first; a token that it does not have, or whose user is inactive there, is asked of `DATABASE_URL`. What is taken away there, a token or `is_active`, works on until the standby has heard of it.
    DATABASE_REPLICA_URL database_replica_url: Option<DatabaseUrl> = "None";
    /// Seconds that a look-up may take there before `DATABASE_URL` is asked.
    DATABASE_REPLICA_TIMEOUT database_replica_timeout: Duration = "0.2";
    /// The table of `AUTH_USER_MODEL`: `table`, or `schema.table` in PostgreSQL; a `search_path` can stand in `DATABASE_URL` as well.
    AUTH_USER_TABLE auth_user_table: TableName = "auth_user";
    /// The column of its primary key.
    AUTH_USER_PK_COLUMN auth_user_pk_column: String = "id";
    /// The type of its primary key: `int`, `bigint`, `uuid` (32 hexadecimal digits in SQLite, as Django stores it) or `text`.
    AUTH_USER_PK_TYPE auth_user_pk_type: KeyType = "bigint";
    /// The column of its `USERNAME_FIELD`; the field of the login stays `username`, as in DRF.
    AUTH_USER_USERNAME_COLUMN auth_user_username_column: String = "username";
    /// The column of its `password`.
    AUTH_USER_PASSWORD_COLUMN auth_user_password_column: String = "password";
    /// The column of its `is_active`; `None`: it has none, and each user is active.
    AUTH_USER_IS_ACTIVE_COLUMN auth_user_is_active_column: Option<String> = "is_active";
    /// The table of `rest_framework.authtoken.models.Token`.
    AUTHTOKEN_TABLE authtoken_table: TableName = "authtoken_token";
    /// Address and port to listen on, port 0 takes a free one; or `unix:PATH`. A socket that systemd hands over comes first.
    BIND bind: Bind = "127.0.0.1:8000";
    /// Address and port, or `unix:PATH`, of `/livez`, `/readyz` and `/metrics`; `None`: they are not served.
    OPERATIONS_BIND operations_bind: Option<Bind> = "None";
    /// Proxies whose `X-Forwarded-For` and `REQUEST_ID_HEADER` are believed, for the log: addresses, networks such as `10.0.0.0/8`, and `unix` for who comes over a Unix socket.
    TRUSTED_PROXIES trusted_proxies: Networks = "";
    /// Host names that are served, in Django's grammar; empty: localhost names only, as Django with DEBUG on.
    ALLOWED_HOSTS allowed_hosts: Vec<String> = "";
    /// Take the host from `X-Forwarded-Host`; only behind a proxy that sets it.
    USE_X_FORWARDED_HOST use_x_forwarded_host: bool = "false";
    /// Take the port from `X-Forwarded-Port` where the request names no host; only behind a proxy that sets it.
    USE_X_FORWARDED_PORT use_x_forwarded_port: bool = "false";
    /// A header in WSGI's form and its value that mean https, such as `HTTP_X_FORWARDED_PROTO,https`; only behind a proxy that sets it.
    SECURE_PROXY_SSL_HEADER secure_proxy_ssl_header: Vec<String> = "";
    /// Seconds of `Strict-Transport-Security` on answers over https; 0: not sent.
    SECURE_HSTS_SECONDS secure_hsts_seconds: u32 = "0";
    /// Add `includeSubDomains` to it.
    SECURE_HSTS_INCLUDE_SUBDOMAINS secure_hsts_include_subdomains: bool = "false";
    /// Add `preload` to it.
    SECURE_HSTS_PRELOAD secure_hsts_preload: bool = "false";
    /// Redirect what did not come over https to https.
    SECURE_SSL_REDIRECT secure_ssl_redirect: bool = "false";
    /// The host of that redirect; `None`: the request's.
    SECURE_SSL_HOST secure_ssl_host: Option<String> = "None";
    /// Regular expressions of paths, without their first slash, that are not redirected to https.
    SECURE_REDIRECT_EXEMPT secure_redirect_exempt: Vec<Regex> = "";
    /// Regular expressions of the `User-Agent` headers that are answered 403.
    DISALLOWED_USER_AGENTS disallowed_user_agents: Vec<Regex> = "";
    /// Answer a path that lacks only its last slash with a redirect.
    APPEND_SLASH append_slash: bool = "true";
    /// Redirect a host without `www.` to the one with it.
    PREPEND_WWW prepend_www: bool = "false";
    /// What stands before each path in redirects: the prefix that the proxy in front takes away.
    FORCE_SCRIPT_NAME force_script_name: Option<String> = "None";
    /// The path of `obtain_auth_token`, or several; the document shows the first one.
    LOGIN_PATH login_path: Vec<String> = "/api-token-auth/";
    /// The path of the protected view; `None`: it is not served.
    SECRET_PATH secret_path: Option<String> = "/secret/";
    /// DRF's classes that say who sends a request, in their order, by their Python paths: `rest_framework.authentication.TokenAuthentication`, `….BasicAuthentication` and `….SessionAuthentication`. The first one challenges; a session does not, and a refusal is 403 then.
    DEFAULT_AUTHENTICATION_CLASSES default_authentication_classes: Vec<Authentication> = "rest_framework.authentication.TokenAuthentication";
    /// What signs sessions; only `SessionAuthentication` needs it. A secret.
    SECRET_KEY secret_key: SecretKeys = "None";
    /// Former keys, with which sessions may be signed too; in the environment a single one. Secrets.
    SECRET_KEY_FALLBACKS secret_key_fallbacks: SecretKeys = "None";
    /// The Python paths of the site's backends whose sessions count.
    AUTHENTICATION_BACKENDS authentication_backends: Vec<String> = "django.contrib.auth.backends.ModelBackend";
    /// The cookie of a session. No session is made here: the cookie of one that has ended is deleted.
    SESSION_COOKIE_NAME session_cookie_name: String = "sessionid";
    /// The domain for which Django set it, so that it can be deleted.
    SESSION_COOKIE_DOMAIN session_cookie_domain: Option<String> = "None";
    /// The path for which Django set it.
    SESSION_COOKIE_PATH session_cookie_path: String = "/";
    /// Its `SameSite`, which Django sends where it deletes it too.
    SESSION_COOKIE_SAMESITE session_cookie_samesite: Option<String> = "Lax";
    /// The cookie whose secret a request with a session must show, unless its method is safe.
    CSRF_COOKIE_NAME csrf_cookie_name: String = "csrftoken";
    /// The domain from which a `Referer` may be, in place of the host.
    CSRF_COOKIE_DOMAIN csrf_cookie_domain: Option<String> = "None";
    /// The header that shows it, as WSGI names it; the field `csrfmiddlewaretoken` of a form does too.
    CSRF_HEADER_NAME csrf_header_name: String = "HTTP_X_CSRFTOKEN";
    /// Other origins whose pages may send such requests: `https://other.example.com`, `https://*.example.com`.
    CSRF_TRUSTED_ORIGINS csrf_trusted_origins: Vec<String> = "";
    /// The keywords of the `Authorization` header before a token, in any case; the first one is in `WWW-Authenticate`.
    TOKEN_KEYWORDS token_keywords: Vec<String> = "Token";
    /// The path of the OpenAPI document; `None`: neither it nor its pages are served.
    SCHEMA_PATH schema_path: Option<String> = "/api/schema/";
    /// The path of the Swagger UI page, with a slash at its end; `None`: not served.
    SWAGGER_UI_PATH swagger_ui_path: Option<String> = "/api/schema/swagger-ui/";
    /// The path of the ReDoc page, with a slash at its end; `None`: not served.
    REDOC_PATH redoc_path: Option<String> = "/api/schema/redoc/";
    /// As drf-spectacular's: what operation names leave out of a path's begin; `None`: what the two views' paths share.
    SCHEMA_PATH_PREFIX schema_path_prefix: Option<String> = "None";
    /// Answer a proxy's question whether a request may pass; see *Forward auth*.
    FORWARD_AUTH forward_auth: bool = "false";
    /// The path of these questions; any path below it is one too.
    FORWARD_AUTH_PATH forward_auth_path: String = "/forward-auth/";
    /// The header with the user's name.
    FORWARD_AUTH_USER_HEADER forward_auth_user_header: Option<String> = "X-Auth-User";
    /// The header with the user's primary key; this and the next three: `None`: not sent.
    FORWARD_AUTH_USER_ID_HEADER forward_auth_user_id_header: Option<String> = "X-Auth-User-Id";
    /// The header with the user's e-mail address.
    FORWARD_AUTH_EMAIL_HEADER forward_auth_email_header: Option<String> = "None";
    /// The header with `true` for staff and `false` for others.
    FORWARD_AUTH_STAFF_HEADER forward_auth_staff_header: Option<String> = "None";
    /// The header with the names of the user's groups, with commas between them.
    FORWARD_AUTH_GROUPS_HEADER forward_auth_groups_header: Option<String> = "None";
    /// Answer 403 with the status in `X-Auth-Error` where nginx would take the status for a fault of its own and answer 500.
    FORWARD_AUTH_NGINX forward_auth_nginx: bool = "false";
    /// The Django beside this service, 4.2 to 6.1: its bytes are ours, and so are the defaults of its password hashers.
    DJANGO_VERSION django_version: DjangoVersion = "6.1";
    /// Its REST framework, 3.14 to 3.18.
    DRF_VERSION drf_version: DrfVersion = "3.18";
    /// Its Python, 3.8 to 3.14.
    PYTHON_VERSION python_version: PythonVersion = "3.14";
    /// Hashers in use, by Django's class paths; new hashes take the first one. Any of Django's, also those of md5 and sha1 that Django 5.1 removed.
    PASSWORD_HASHERS password_hashers: Vec<String> = "django.contrib.auth.hashers.PBKDF2PasswordHasher,django.contrib.auth.hashers.PBKDF2SHA1PasswordHasher,django.contrib.auth.hashers.Argon2PasswordHasher,django.contrib.auth.hashers.BCryptSHA256PasswordHasher,django.contrib.auth.hashers.ScryptPasswordHasher";
    /// Iterations of new PBKDF2 hashes, for sites that subclass Django's hasher; `None`: those of `DJANGO_VERSION`.
    PBKDF2_ITERATIONS pbkdf2_iterations: Option<u32> = "None";
    /// A stored hash with more iterations is refused as corrupt and never run.
    PBKDF2_MAX_ITERATIONS pbkdf2_max_iterations: u32 = "10000000";
    /// Seconds of a core, by a cautious estimate; a stored hash that would take more, whatever its hasher, is refused as corrupt and never run.
    HASHING_MAX_SECONDS hashing_max_seconds: Duration = "5";
    /// Threads that answer requests, each with a connection for its token look-ups; 0: half as many as cores, rounded up, and two on two.
    REQUEST_THREADS request_threads: usize = "0";
    /// Threads that hash passwords; 0: one for each core.
    HASHING_THREADS hashing_threads: usize = "0";
    /// Seconds that a login may have to wait for a hashing thread, by the work before it; more are answered 503 at once.
    HASHING_QUEUE_SECONDS hashing_queue_seconds: Duration = "4";
    /// Bytes for the hashes at work (argon2 and scrypt fill many) and the passwords that wait; a stored hash that needs more is refused as corrupt and never run.
    HASHING_MEMORY hashing_memory: u64 = "134217728";
    /// How far the hashing threads stand behind the others on Linux: 0, not at all, to 19.
    HASHING_NICE hashing_nice: u8 = "10";
    /// Connections to the database at most; each of `REQUEST_THREADS` has one more, for the look-ups of tokens.
    DATABASE_CONNECTIONS database_connections: u32 = "8";
    /// Seconds that a statement, or the wait for a connection, may take before the answer is 503.
    DATABASE_TIMEOUT database_timeout: Duration = "5";
    /// A pooler gives each transaction another server: `PgBouncer` in transaction mode, before 1.21 or without `max_prepared_statements`. Each statement is a transaction of its own then.
    DATABASE_TRANSACTION_POOLING database_transaction_pooling: bool = "false";
    /// Bytes of a JSON or form body, or of the fields of a multipart body; `None`: no limit but `MAX_BODY_SIZE`.
    DATA_UPLOAD_MAX_MEMORY_SIZE data_upload_max_memory_size: Option<usize> = "2621440";
    /// Fields of a query string, form or multipart body; `None`: no limit.
    DATA_UPLOAD_MAX_NUMBER_FIELDS data_upload_max_number_fields: Option<usize> = "1000";
    /// Files of a multipart body; `None`: no limit.
    DATA_UPLOAD_MAX_NUMBER_FILES data_upload_max_number_files: Option<usize> = "100";
    /// Bytes of any body that are read at most; a longer one is answered 413.
    MAX_BODY_SIZE max_body_size: usize = "5242880";
    /// Bytes of all bodies over 64 KiB that are read at the same time; beyond, the answer is 503.
    BODY_MEMORY body_memory: usize = "67108864";
    /// Django's middleware by its class paths; `django.middleware.locale.LocaleMiddleware` lets each request choose its language. Session, CSRF and message middleware change nothing here.
    MIDDLEWARE middleware: Vec<String> = "django.middleware.security.SecurityMiddleware,django.contrib.sessions.middleware.SessionMiddleware,django.middleware.common.CommonMiddleware,django.middleware.csrf.CsrfViewMiddleware,django.contrib.auth.middleware.AuthenticationMiddleware,django.contrib.messages.middleware.MessageMiddleware,django.middleware.clickjacking.XFrameOptionsMiddleware";
    /// Translate at all.
    USE_I18N use_i18n: bool = "true";
    /// The language of answers where the request does not choose one.
    LANGUAGE_CODE language_code: String = "en-us";
    /// The languages that a request may choose with `LocaleMiddleware`, by their codes; of these, those with a table in `MESSAGES`.
    LANGUAGES languages: Vec<String> = "";
    /// The cookie that comes before `Accept-Language`.
    LANGUAGE_COOKIE_NAME language_cookie_name: String = "django_language";
    /// A table for each language: the English text and its translation. The site's own, by `scripts/export_settings.py`; only in the file.
    MESSAGES messages: Messages = "";
    /// What `scripts/export_settings.py` found in the site and this service cannot do. It does not start while there is a line here; remove the lines that do not matter to the site.
    REFUSALS refusals: Refusals = "";
    /// The parameter of the query that chooses a renderer; `None`: none does.
    URL_FORMAT_OVERRIDE url_format_override: Option<String> = "format";
    /// `X-Frame-Options` of each answer.
    X_FRAME_OPTIONS x_frame_options: String = "DENY";
    /// Send `X-Content-Type-Options: nosniff`.
    SECURE_CONTENT_TYPE_NOSNIFF secure_content_type_nosniff: bool = "true";
    /// `Referrer-Policy`, one or several; `None`: not sent.
    SECURE_REFERRER_POLICY secure_referrer_policy: Option<Vec<String>> = "same-origin";
    /// `Cross-Origin-Opener-Policy`; `None`: not sent.
    SECURE_CROSS_ORIGIN_OPENER_POLICY secure_cross_origin_opener_policy: Option<String> = "same-origin";
    /// Seconds for the head of a request.
    HEADER_TIMEOUT header_timeout: Duration = "15";
    /// Seconds that a connection is kept for its next request; longer than the proxy in front keeps it.
    KEEP_ALIVE_TIMEOUT keep_alive_timeout: Duration = "75";
    /// Seconds for the body of a request, and for a client to take its answer.
    BODY_TIMEOUT body_timeout: Duration = "30";
    /// Open connections at most; more wait to be accepted.
    MAX_CONNECTIONS max_connections: usize = "4096";
    /// Seconds from the signal to the end of the process; requests in flight get all but the last 0.3.
    GRACEFUL_TIMEOUT graceful_timeout: Duration = "30";
    /// Seconds after SIGTERM in which `/readyz` is 503 already, and new connections are still served; `None`: they are refused at once.
    SHUTDOWN_DELAY shutdown_delay: Option<Duration> = "None";
    /// What is logged: error, warn, info, debug, or a filter of the tracing crate; SIGHUP reads it anew.
    LOG_LEVEL log_level: String = "info";
    /// Log each request in one line.
    LOG_REQUESTS log_requests: bool = "false";
    /// A header with the number of a request, such as `X-Request-ID`: taken from a trusted proxy or made, logged and answered; `None`: there is none.
    REQUEST_ID_HEADER request_id_header: Option<String> = "None";
    /// Write the log as JSON, an object a line.
    LOG_JSON log_json: bool = "false";
    /// Send a span of each request to a collector, as OpenTelemetry's `OTEL_*` variables say; wants the Cargo feature `opentelemetry`.
    OPENTELEMETRY opentelemetry: bool = "false";
}

impl Settings {
    /// Reads `file`, the environment and `flags` over the defaults and checks them all. `further`
    /// are rules of those who understand a value better: the setting's name, and the remedy.
    pub fn load(
        file: Option<&Path>,
        flags: &[(&'static str, String)],
        further: impl Fn(&Self) -> Vec<Mistake>,
    ) -> Result<Self, Vec<SettingError>> {
        let (from_file, unreadable) = match file.map(read_file) {
            None => (Vec::new(), None),
            Some(Ok(read)) => (read, None),
            Some(Err(error)) => (Vec::new(), Some(error)),
        };
        // A value that is no UTF-8 comes out as one that no type but a text takes.
        let environment = TABLE.iter().filter_map(|row| {
            let value = std::env::var_os(row.name)?.to_string_lossy().into_owned();
            Some((row.name.to_owned(), Raw::Text(value), "environment".to_owned()))
        });
        let flags = flags.iter().map(|(name, value)| {
            let source = format!("--{}", name.to_lowercase().replace('_', "-"));
            ((*name).to_owned(), Raw::Text(value.clone()), source)
        });
        let sources = from_file.into_iter().chain(environment).chain(flags);
        let Some(unreadable) = unreadable else { return Self::from_sources(sources, further) };
        // What the file would have said is not known: rules over several values must wait.
        let mut errors = vec![unreadable];
        Self::parse_sources(sources, &mut errors);
        Err(errors)
    }

    /// Later sources win; a mistake in any of them is reported, even where it is overridden.
    fn from_sources(
        sources: impl Iterator<Item = (String, Raw, String)>,
        further: impl Fn(&Self) -> Vec<Mistake>,
    ) -> Result<Self, Vec<SettingError>> {
        let mut errors = Vec::new();
        let Some((settings, origins)) = Self::parse_sources(sources, &mut errors) else {
            return Err(errors);
        };
        for (name, remedy) in settings.mistakes().into_iter().chain(further(&settings)) {
            let origin = origins.get(name).map_or(name, String::as_str);
            errors.push(SettingError(format!("{origin}: {remedy}")));
        }
        if errors.is_empty() { Ok(settings) } else { Err(errors) }
    }

    /// Each value by itself, and where the one in force comes from, for the rules over more than one.
    fn parse_sources(
        sources: impl Iterator<Item = (String, Raw, String)>,
        errors: &mut Vec<SettingError>,
    ) -> Option<(Self, HashMap<&'static str, String>)> {
        let mut settings =
            Self::defaults().map_err(|error| errors.push(SettingError(error))).ok()?;
        let mut origins = HashMap::new();
        for (name, raw, source) in sources {
            // What an unknown name stands for is not known: it may be a secret.
            let Some(row) = TABLE.iter().find(|row| row.name == name) else {
                let nearest = nearest(&name).map(|known| format!("; did you mean {known}?"));
                let remedy = nearest.unwrap_or_else(|| "; see the table in README".to_owned());
                let error = format!("{name} ({source}): there is no such setting{remedy}");
                errors.push(SettingError(error));
                continue;
            };
            let value = if row.shown { format!(" = {}", shown(&raw)) } else { String::new() };
            let origin = format!("{name}{value} ({source})");
            match (row.parse)(&mut settings, &raw) {
                Ok(()) => drop(origins.insert(row.name, origin)),
                Err(remedy) => errors.push(SettingError(format!("{origin}: {remedy}"))),
            }
        }
        Some((settings, origins))
    }

    /// Whether the site has `SessionAuthentication`.
    #[must_use]
    pub fn has_sessions(&self) -> bool {
        self.default_authentication_classes.contains(&Authentication::Session)
    }

    /// `SECRET_KEY` and what was one before.
    pub fn secret_keys(&self) -> impl Iterator<Item = &str> {
        self.secret_key.0.iter().chain(&self.secret_key_fallbacks.0).map(|key| key.as_str())
    }

    /// `CSRF_HEADER_NAME` as HTTP names it.
    #[must_use]
    pub fn csrf_header(&self) -> Option<http::HeaderName> {
        let name = self.csrf_header_name.strip_prefix("HTTP_")?;
        name.replace('_', "-").to_ascii_lowercase().parse().ok()
    }

    /// `SECURE_PROXY_SSL_HEADER` as the header's name and the value that means https.
    #[must_use]
    pub fn proxy_ssl_header(&self) -> Option<(http::HeaderName, &str)> {
        let [name, secure] = self.secure_proxy_ssl_header.as_slice() else { return None };
        let name = name.strip_prefix("HTTP_")?.replace('_', "-").to_ascii_lowercase();
        Some((name.parse().ok()?, secure))
    }

    /// The settings of the headers of forward auth, and the names in them.
    #[must_use]
    pub fn forward_auth_headers(&self) -> [(&'static str, Option<&String>); 5] {
        [
            ("FORWARD_AUTH_USER_HEADER", self.forward_auth_user_header.as_ref()),
            ("FORWARD_AUTH_USER_ID_HEADER", self.forward_auth_user_id_header.as_ref()),
            ("FORWARD_AUTH_EMAIL_HEADER", self.forward_auth_email_header.as_ref()),
            ("FORWARD_AUTH_STAFF_HEADER", self.forward_auth_staff_header.as_ref()),
            ("FORWARD_AUTH_GROUPS_HEADER", self.forward_auth_groups_header.as_ref()),
        ]
    }

    /// Whether the tables are those of `auth.User` and DRF, whose other columns are known too. An `AutoField` is
    /// an `int` there, and a `bigint` finds it.
    #[must_use]
    pub fn has_djangos_tables(&self) -> bool {
        let mut told = TABLE
            .iter()
            .filter(|row| row.name.starts_with("AUTH_") || row.name == "AUTHTOKEN_TABLE");
        let is_number = matches!(self.auth_user_pk_type, KeyType::Int | KeyType::Bigint);
        told.all(|row| match row.name {
            "AUTH_USER_PK_TYPE" => is_number,
            _ => (row.print)(self) == row.default,
        })
    }

    /// The releases beside this service.
    #[must_use]
    pub fn versions(&self) -> Versions {
        Versions {
            django: self.django_version.0,
            drf: self.drf_version.0,
            python: self.python_version.0,
        }
    }

    /// Name and value of each setting, secrets left out.
    pub fn printed(&self) -> impl Iterator<Item = (&'static str, String)> {
        TABLE.iter().map(|row| (row.name, (row.print)(self)))
    }
}

/// An environment variable that is not a setting: `DJANGO_SUPERUSER_…`, the user's own name.
#[must_use]
pub fn variable(name: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "the one reader of the environment")]
    std::env::var(name).ok()
}

#[cfg(test)]
mod tests;
