//! What the types of the settings let through: rules over a value, or over several of them.

use zeroize::Zeroizing;

use super::{Authentication, DatabaseUrl, Mistake, Settings, values};
use crate::versions::{Version, Versions};

/// Headers that an answer has for its own sake: none of them can carry an identity.
const RESERVED_HEADERS: [http::HeaderName; 9] = [
    http::header::CACHE_CONTROL,
    http::header::CONNECTION,
    http::header::CONTENT_LENGTH,
    http::header::CONTENT_TYPE,
    http::header::DATE,
    http::header::RETRY_AFTER,
    http::header::TRANSFER_ENCODING,
    http::header::WWW_AUTHENTICATE,
    http::HeaderName::from_static("x-auth-error"),
];

impl Settings {
    /// What the types let through.
    pub(super) fn mistakes(&self) -> Vec<Mistake> {
        let mut mistakes = Vec::new();
        let mut check = |name: &'static str, holds: bool, remedy: &str| {
            if !holds {
                mistakes.push((name, remedy.to_owned()));
            }
        };
        self.check_tables(&mut check);
        self.check_replica(&mut check);
        self.check_sessions(&mut check);
        self.check_contradictions(&mut check);
        check("LOGIN_PATH", !self.login_path.is_empty(), "name a path");
        let is_word = |word: &String| {
            !word.is_empty()
                && word.bytes().all(|sign| sign.is_ascii_alphanumeric() || sign == b'-')
        };
        let words = &self.token_keywords;
        let are_words = !words.is_empty() && words.iter().all(is_word);
        check("TOKEN_KEYWORDS", are_words, "write words of letters, such as Token or Bearer");
        let is_code = |code: &str| {
            let is_sign = |sign: u8| sign.is_ascii_alphanumeric() || b"-_@".contains(&sign);
            !code.is_empty() && code.bytes().all(is_sign)
        };
        let remedy = "write codes such as de or pt-br";
        check("LANGUAGE_CODE", is_code(&self.language_code), remedy);
        check("LANGUAGES", self.languages.iter().all(|code| is_code(code)), remedy);
        check("MESSAGES", self.messages.0.keys().all(|code| is_code(code)), remedy);
        for refusal in &self.refusals.0 {
            check("REFUSALS", false, refusal);
        }
        let paths: Vec<(&'static str, &str)> = self.paths().collect();
        for (at, (name, path)) in paths.iter().enumerate() {
            check(name, path.starts_with('/'), "begin the path with a slash");
            let others = paths.iter().take(at);
            let is_free = !others.into_iter().any(|(_, other)| other == path);
            check(name, is_free, "another view has this path; choose another one");
            // What the pages load stands beside them.
            let is_page = ["SWAGGER_UI_PATH", "REDOC_PATH"].contains(name);
            check(name, !is_page || path.ends_with('/'), "end the path with a slash");
        }
        let is_name =
            |name: &String| name.parse().is_ok_and(|name| !RESERVED_HEADERS.contains(&name));
        let forward = &self.forward_auth_path;
        let bare = forward.trim_end_matches('/');
        let is_folder = bare.len() > 1 && bare.starts_with('/') && forward.ends_with('/');
        check("FORWARD_AUTH_PATH", is_folder, "write a path such as /forward-auth/");
        let is_free =
            !self.forward_auth || !paths.iter().any(|(_, path)| is_at_or_below(path, bare));
        check(
            "FORWARD_AUTH_PATH",
            is_free,
            "a view stands on or below this path; choose another one",
        );
        let headers = self.forward_auth_headers();
        for (at, (setting, name)) in headers.iter().enumerate() {
            let Some(name) = name else { continue };
            let is_free = !headers.iter().take(at).any(|(_, other)| {
                other.as_ref().is_some_and(|other| other.eq_ignore_ascii_case(name))
            });
            check(setting, is_free, "another header has this name; choose another one");
            let remedy = "write a header's name such as X-Auth-User, or None";
            check(setting, is_name(name), remedy);
        }
        let id = self.request_id_header.as_ref().is_none_or(is_name);
        check("REQUEST_ID_HEADER", id, "write a header's name such as X-Request-ID, or None");
        let policy = self.secure_referrer_policy.as_ref().map(|values| values.join(","));
        let is_header = |value: &str| http::HeaderValue::from_str(value).is_ok();
        let unset = String::new();
        for (name, value) in [
            ("X_FRAME_OPTIONS", Some(&self.x_frame_options)),
            ("SECURE_REFERRER_POLICY", policy.as_ref()),
            ("SECURE_CROSS_ORIGIN_OPENER_POLICY", self.secure_cross_origin_opener_policy.as_ref()),
            ("SECURE_SSL_HOST", self.secure_ssl_host.as_ref()),
        ] {
            let value = value.unwrap_or(&unset);
            check(name, is_header(value), "write a value that can stand in a header");
        }
        let proxy = &self.secure_proxy_ssl_header;
        let is_pair = proxy.is_empty() || (proxy.len() == 2 && self.proxy_ssl_header().is_some());
        check("SECURE_PROXY_SSL_HEADER", is_pair, "write two items: HTTP_X_FORWARDED_PROTO,https");
        let most = self.max_connections;
        check("MAX_CONNECTIONS", (1..=1_000_000).contains(&most), "write 1 to 1000000");
        check("HASHING_NICE", self.hashing_nice <= 19, "write 0 to 19");
        check("REQUEST_THREADS", self.request_threads <= 1024, "write 0 to 1024");
        check("HASHING_THREADS", self.hashing_threads <= 1024, "write 0 to 1024");
        let connections = self.database_connections;
        check("DATABASE_CONNECTIONS", (1..=1000).contains(&connections), "write 1 to 1000");
        let body = self.max_body_size;
        check("MAX_BODY_SIZE", (1024..=1 << 30).contains(&body), "write 1024 to 1073741824");
        check("BODY_MEMORY", self.body_memory >= body, "write at least MAX_BODY_SIZE");
        check("BODY_MEMORY", self.body_memory <= 1 << 40, "write at most 1099511627776");
        // Django reads the number as an int of C.
        let in_int = |iterations: u32| (1..=i32::MAX.unsigned_abs()).contains(&iterations);
        let ours = self.pbkdf2_iterations.is_none_or(in_int);
        check("PBKDF2_ITERATIONS", ours, "write 1 to 2147483647");
        check("PBKDF2_MAX_ITERATIONS", in_int(self.pbkdf2_max_iterations), "write 1 to 2147483647");
        mistakes
    }

    /// Values that are right by themselves, and not beside each other.
    fn check_contradictions(&self, check: &mut impl FnMut(&'static str, bool, &str)) {
        let words: Vec<String> =
            self.token_keywords.iter().map(|word| word.to_ascii_lowercase()).collect();
        check("TOKEN_KEYWORDS", are_different(&words), "two of them are the same word");
        let classes = &self.default_authentication_classes;
        let remedy = "two of them are the same class";
        check("DEFAULT_AUTHENTICATION_CLASSES", are_different(classes), remedy);
        let is_free =
            !classes.contains(&Authentication::Basic) || !words.contains(&"basic".to_owned());
        check("TOKEN_KEYWORDS", is_free, "Basic is the word of BasicAuthentication");
        let is_sqlite = matches!(self.database_url, DatabaseUrl::Sqlite(_));
        let remedy = "there is no pooler before SQLite";
        check(
            "DATABASE_TRANSACTION_POOLING",
            !(is_sqlite && self.database_transaction_pooling),
            remedy,
        );
        let names = [&self.auth_user_pk_column, &self.auth_user_username_column];
        let (password, active) =
            (&self.auth_user_password_column, self.auth_user_is_active_column.as_ref());
        let is_own = !names.contains(&password) && active != Some(password);
        check("AUTH_USER_PASSWORD_COLUMN", is_own, "another setting has this column");
        let is_own = active.is_none_or(|active| !names.contains(&active));
        check("AUTH_USER_IS_ACTIVE_COLUMN", is_own, "another setting has this column");
        let Versions { django, python, .. } = self.versions();
        let oldest = match django {
            Version(6.., ..) => Version(3, 12, 0),
            Version(5, ..) => Version(3, 10, 0),
            _ => Version(3, 8, 0),
        };
        let remedy = format!("the Django of DJANGO_VERSION needs Python {}.{}", oldest.0, oldest.1);
        check("PYTHON_VERSION", python >= oldest, &remedy);
    }

    /// What `SessionAuthentication` needs beside its cookie.
    fn check_sessions(&self, check: &mut impl FnMut(&'static str, bool, &str)) {
        let is_key = |key: &Zeroizing<String>| !key.is_empty();
        let (now, before) = (&self.secret_key.0, &self.secret_key_fallbacks.0);
        let is_signed = now.len() == 1 && now.iter().chain(before).all(is_key);
        let remedy = "SessionAuthentication needs the site's SECRET_KEY";
        check("SECRET_KEY", !self.has_sessions() || is_signed, remedy);
        let remedy = "write a header as WSGI names it, such as HTTP_X_CSRFTOKEN";
        check("CSRF_HEADER_NAME", self.csrf_header().is_some(), remedy);
        let is_plain = |text: &str| {
            text.bytes().all(|sign| sign.is_ascii_graphic() && !b";,\"\\".contains(&sign))
        };
        for (name, value) in [
            ("SESSION_COOKIE_NAME", Some(&self.session_cookie_name)),
            ("SESSION_COOKIE_DOMAIN", self.session_cookie_domain.as_ref()),
            ("SESSION_COOKIE_PATH", Some(&self.session_cookie_path)),
            ("CSRF_COOKIE_NAME", Some(&self.csrf_cookie_name)),
        ] {
            let is_good = value.is_none_or(|value| !value.is_empty() && is_plain(value));
            check(name, is_good, "write what can stand in a cookie");
        }
        let has_backends = !self.has_sessions() || !self.authentication_backends.is_empty();
        check("AUTHENTICATION_BACKENDS", has_backends, "name the site's: none lets nobody in");
        let is_origin = |origin: &String| origin.contains("://");
        let are_origins = self.csrf_trusted_origins.iter().all(is_origin);
        let remedy = "begin each with its scheme: https://other.example.com";
        check("CSRF_TRUSTED_ORIGINS", are_origins, remedy);
        let same_site = self.session_cookie_samesite.as_deref().unwrap_or("Lax");
        let is_known = ["lax", "strict"].iter().any(|known| same_site.eq_ignore_ascii_case(known));
        check(
            "SESSION_COOKIE_SAMESITE",
            is_known,
            "write Lax, Strict, or None for no such attribute",
        );
    }

    /// The names of tables and columns, which statements put between quotes.
    fn check_tables(&self, check: &mut impl FnMut(&'static str, bool, &str)) {
        for (name, column) in [
            ("AUTH_USER_PK_COLUMN", Some(&self.auth_user_pk_column)),
            ("AUTH_USER_USERNAME_COLUMN", Some(&self.auth_user_username_column)),
            ("AUTH_USER_PASSWORD_COLUMN", Some(&self.auth_user_password_column)),
            ("AUTH_USER_IS_ACTIVE_COLUMN", self.auth_user_is_active_column.as_ref()),
        ] {
            let is_name = column.is_none_or(|column| values::is_identifier(column));
            check(name, is_name, "write the name of a column, without quotes");
        }
        let is_sqlite = matches!(self.database_url, DatabaseUrl::Sqlite(_));
        for (name, table) in
            [("AUTH_USER_TABLE", &self.auth_user_table), ("AUTHTOKEN_TABLE", &self.authtoken_table)]
        {
            let fits = !(is_sqlite && table.schema().is_some());
            check(name, fits, "SQLite has no schemas; name the table alone");
        }
        let has_groups = self.has_djangos_tables()
            || !self.forward_auth
            || self.forward_auth_groups_header.is_none();
        let remedy = "only the groups of Django's own auth.User are read; write None";
        check("FORWARD_AUTH_GROUPS_HEADER", has_groups, remedy);
    }

    /// A replica is one of PostgreSQL's, of another server, and given up before the primary.
    fn check_replica(&self, check: &mut impl FnMut(&'static str, bool, &str)) {
        let Some(replica) = &self.database_replica_url else { return };
        let is_postgres = |url| matches!(url, &DatabaseUrl::Postgres(_));
        let both = is_postgres(&self.database_url) && is_postgres(replica);
        let remedy = "only PostgreSQL has replicas: write a postgres:// URL here and in DATABASE_URL, or None";
        check("DATABASE_REPLICA_URL", both, remedy);
        let is_another = *replica != self.database_url;
        let remedy = "this is DATABASE_URL: name the standby, or None";
        check("DATABASE_REPLICA_URL", is_another, remedy);
        // A request may wait for the look-up before its own, and the whole wait is DATABASE_TIMEOUT.
        let is_sooner = self.database_replica_timeout <= self.database_timeout / 4;
        let remedy = "write at most a quarter of DATABASE_TIMEOUT";
        check("DATABASE_REPLICA_TIMEOUT", is_sooner, remedy);
    }

    /// The settings that are paths, as far as something is served there.
    fn paths(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let logins = self.login_path.iter().map(|path| ("LOGIN_PATH", Some(path)));
        let paths = [
            ("SECRET_PATH", self.secret_path.as_ref()),
            ("SCHEMA_PATH", self.schema_path.as_ref()),
            ("SWAGGER_UI_PATH", self.swagger_ui_path.as_ref()),
            ("REDOC_PATH", self.redoc_path.as_ref()),
        ];
        logins.chain(paths).filter_map(|(name, path)| Some((name, path?.as_str())))
    }
}

fn are_different<T: PartialEq>(items: &[T]) -> bool {
    items.iter().enumerate().all(|(at, item)| !items.iter().take(at).any(|other| other == item))
}

/// Whether `path` is `folder`, written without its last slash, or below it.
fn is_at_or_below(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
