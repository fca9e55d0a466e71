//! `dj_database_url.parse`: where the database is.

use std::fmt;

use percent_encoding::percent_decode_str;

use super::{Raw, SettingValue, text};

/// Where the database is. Neither printed nor debugged with its password.
#[derive(Clone, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// A whole `postgres://` URL as the driver takes it.
    Postgres(String),
    /// A file's path.
    Sqlite(String),
}

impl SettingValue for DatabaseUrl {
    const SHOWN: bool = false;

    fn parse(raw: &Raw) -> Result<Self, String> {
        let written = text(raw)?;
        let (scheme, rest) = written.split_once("://").ok_or(
            "write a URL such as postgres://user:password@host:5432/name or sqlite:///db.sqlite3",
        )?;
        match scheme {
            "postgres" | "postgresql" | "pgsql" => {
                let url = url::Url::parse(&format!("postgres://{rest}"))
                    .or_else(|error| without_host(rest).ok_or(error))
                    .map_err(|error| format!("the URL cannot be read: {error}"))?;
                if url.path().len() < 2 {
                    return Err(
                        "name the database: postgres://user:password@host:5432/NAME".to_owned()
                    );
                }
                Ok(Self::Postgres(url.into()))
            }
            "sqlite" => sqlite_path(rest),
            other => Err(format!("{other}:// is not supported; use postgres:// or sqlite://")),
        }
    }

    fn print(&self) -> String {
        match self {
            Self::Sqlite(path) => format!("sqlite:///{path}"),
            Self::Postgres(written) => url::Url::parse(written).map_or_else(
                |_| "postgres://…".to_owned(),
                |mut url| {
                    if url.password().is_some() {
                        // Fails only for a URL without a host, which has no password either.
                        let _ = url.set_password(Some("********"));
                    }
                    // Options such as sslpassword can be secrets too.
                    url.set_query(None);
                    url.into()
                },
            ),
        }
    }
}

/// `user:password@/name`: the server of a Unix socket. `url` has no user without a host, so that it becomes an option.
fn without_host(rest: &str) -> Option<url::Url> {
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#'])?);
    let (who, port) = authority.rsplit_once('@')?;
    let (user, password) = who.split_once(':').map_or((who, None), |(user, it)| (user, Some(it)));
    let mut url = url::Url::parse(&format!("postgres://{path}")).ok()?;
    let port = if port.is_empty() { None } else { Some(port.strip_prefix(':')?) };
    for (name, value) in [("user", Some(user)), ("password", password), ("port", port)] {
        let value = value.filter(|value| !value.is_empty());
        let value = value.map(|value| percent_decode_str(value).decode_utf8()).transpose().ok()?;
        // An option comes before what stands in the URL.
        let is_told = url.query_pairs().any(|(told, _)| told == name);
        if let Some(value) = value.filter(|_| !is_told) {
            url.query_pairs_mut().append_pair(name, &value);
        }
    }
    Some(url)
}

/// `sqlite:///relative` and `sqlite:////absolute`: what follows the third slash is the path.
fn sqlite_path(rest: &str) -> Result<DatabaseUrl, String> {
    let written = rest.strip_prefix('/').unwrap_or(rest);
    if written.contains('?') {
        return Err("options after the path are not read; DATABASE_TIMEOUT is the wait for locks"
            .to_owned());
    }
    let path = percent_decode_str(written).decode_utf8().map_err(|error| error.to_string())?;
    if path.is_empty() || path == ":memory:" {
        return Err("name a file: a database in memory is lost with each connection".to_owned());
    }
    Ok(DatabaseUrl::Sqlite(path.into_owned()))
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.print())
    }
}
