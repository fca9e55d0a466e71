//! The types of settings: how each reads what was written, and prints it.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use regex::Regex;
use zeroize::Zeroizing;

use super::Raw;
use crate::versions::Version;

/// A type that a setting can have.
pub trait SettingValue: Sized {
    /// Whether what was written is quoted in an error: no secret, and no more than a line.
    const SHOWN: bool = true;

    /// Reads a written value; the error is the remedy.
    fn parse(raw: &Raw) -> Result<Self, String>;

    /// As it would be written, without its secrets.
    fn print(&self) -> String;
}

pub(super) fn text(raw: &Raw) -> Result<&str, String> {
    match raw {
        Raw::Text(text) => Ok(text.trim()),
        Raw::List(_) | Raw::Table(_) => Err("write one value, not a list or a table".to_owned()),
    }
}

impl SettingValue for bool {
    fn parse(raw: &Raw) -> Result<Self, String> {
        match text(raw)?.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Ok(true),
            "false" | "0" | "no" | "off" => Ok(false),
            _ => Err("write true or false".to_owned()),
        }
    }

    fn print(&self) -> String {
        self.to_string()
    }
}

macro_rules! whole_number {
    ($($ty:ty),+) => {$(
        impl SettingValue for $ty {
            fn parse(raw: &Raw) -> Result<Self, String> {
                text(raw)?
                    .parse()
                    .map_err(|_| format!("write a whole number from 0 to {}", <$ty>::MAX))
            }

            fn print(&self) -> String {
                self.to_string()
            }
        }
    )+};
}
whole_number!(u8, u32, u64, usize);

impl SettingValue for String {
    fn parse(raw: &Raw) -> Result<Self, String> {
        text(raw).map(str::to_owned)
    }

    fn print(&self) -> String {
        self.clone()
    }
}

/// `None` as in a Django settings file, in any case, or an empty text.
impl<T: SettingValue> SettingValue for Option<T> {
    const SHOWN: bool = T::SHOWN;

    fn parse(raw: &Raw) -> Result<Self, String> {
        match raw {
            Raw::Text(text) if matches!(text.trim().to_ascii_lowercase().as_str(), "" | "none") => {
                Ok(None)
            }
            _ => T::parse(raw).map(Some),
        }
    }

    fn print(&self) -> String {
        self.as_ref().map_or_else(|| "None".to_owned(), T::print)
    }
}

/// A TOML array, or one text split at commas.
impl SettingValue for Vec<String> {
    fn parse(raw: &Raw) -> Result<Self, String> {
        Ok(match raw {
            Raw::List(items) => items.clone(),
            Raw::Text(text) => text
                .split(',')
                .map(|item| item.trim().to_owned())
                .filter(|item| !item.is_empty())
                .collect(),
            Raw::Table(_) => return Err("write a list".to_owned()),
        })
    }

    fn print(&self) -> String {
        self.join(",")
    }
}

/// Whether a name can stand between quotes in a statement: PostgreSQL cuts off what is longer than 63 bytes.
pub(super) fn is_identifier(name: &str) -> bool {
    (1..=63).contains(&name.len()) && !name.contains(|sign: char| sign == '"' || sign.is_control())
}

/// A table, perhaps with its schema. Displayed as statements name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableName {
    schema: Option<String>,
    name: String,
}

impl TableName {
    /// A table without a schema.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { schema: None, name: name.to_owned() }
    }

    /// The schema, if one is told.
    #[must_use]
    pub fn schema(&self) -> Option<&str> {
        self.schema.as_deref()
    }

    /// The table's own name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(schema) = &self.schema {
            write!(f, "\"{schema}\".")?;
        }
        write!(f, "\"{}\"", self.name)
    }
}

impl SettingValue for TableName {
    fn parse(raw: &Raw) -> Result<Self, String> {
        let written = text(raw)?;
        let (schema, name) = match written.split_once('.') {
            Some((schema, name)) => (Some(schema), name),
            None => (None, written),
        };
        if !is_identifier(name) || name.contains('.') || !schema.is_none_or(is_identifier) {
            return Err("write TABLE or SCHEMA.TABLE, without quotes".to_owned());
        }
        Ok(Self { schema: schema.map(str::to_owned), name: name.to_owned() })
    }

    fn print(&self) -> String {
        self.schema.as_ref().map_or_else(
            || self.name.clone(),
            |schema| [schema.as_str(), self.name.as_str()].join("."),
        )
    }
}

/// The type of a primary key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyType {
    /// `AutoField`
    Int,
    /// `BigAutoField`
    Bigint,
    /// `UUIDField`
    Uuid,
    /// `CharField`
    Text,
}

impl SettingValue for KeyType {
    fn parse(raw: &Raw) -> Result<Self, String> {
        match text(raw)? {
            "int" => Ok(Self::Int),
            "bigint" => Ok(Self::Bigint),
            "uuid" => Ok(Self::Uuid),
            "text" => Ok(Self::Text),
            _ => Err("write int, bigint, uuid or text".to_owned()),
        }
    }

    fn print(&self) -> String {
        match self {
            Self::Int => "int",
            Self::Bigint => "bigint",
            Self::Uuid => "uuid",
            Self::Text => "text",
        }
        .to_owned()
    }
}

/// A class of `rest_framework.authentication`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authentication {
    /// `TokenAuthentication`
    Token,
    /// `BasicAuthentication`
    Basic,
    /// `SessionAuthentication`
    Session,
}

impl Authentication {
    const ALL: [Self; 3] = [Self::Token, Self::Basic, Self::Session];

    /// Its Python path.
    #[must_use]
    pub fn path(self) -> &'static str {
        match self {
            Self::Token => "rest_framework.authentication.TokenAuthentication",
            Self::Basic => "rest_framework.authentication.BasicAuthentication",
            Self::Session => "rest_framework.authentication.SessionAuthentication",
        }
    }
}

/// One or more of them.
impl SettingValue for Vec<Authentication> {
    fn parse(raw: &Raw) -> Result<Self, String> {
        let known = Authentication::ALL.map(Authentication::path).join(", ");
        let class = |path: &String| Authentication::ALL.into_iter().find(|one| one.path() == path);
        let classes: Option<Self> = Vec::<String>::parse(raw)?.iter().map(class).collect();
        classes.filter(|classes| !classes.is_empty()).ok_or_else(|| format!("name some of {known}"))
    }

    fn print(&self) -> String {
        self.iter().map(|class| class.path()).collect::<Vec<_>>().join(",")
    }
}

/// Keys that sign. A single one may hold commas.
#[derive(Clone, Default)]
pub struct SecretKeys(pub Vec<Zeroizing<String>>);

impl SettingValue for SecretKeys {
    const SHOWN: bool = false;

    fn parse(raw: &Raw) -> Result<Self, String> {
        let keys = match raw {
            Raw::Text(text) if ["", "None"].contains(&text.trim()) => Vec::new(),
            Raw::Text(text) => vec![text.clone()],
            Raw::List(keys) => keys.clone(),
            Raw::Table(_) => return Err("write a key, or a list of keys".to_owned()),
        };
        Ok(Self(keys.into_iter().map(Zeroizing::new).collect()))
    }

    fn print(&self) -> String {
        if self.0.is_empty() { "None" } else { "***" }.to_owned()
    }
}

/// Prints no key.
impl fmt::Debug for SecretKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.print())
    }
}

/// Translations by language, then by the English text.
#[derive(Debug, Clone, Default)]
pub struct Messages(pub BTreeMap<String, BTreeMap<String, String>>);

impl SettingValue for Messages {
    const SHOWN: bool = false;

    fn parse(raw: &Raw) -> Result<Self, String> {
        let remedy =
            "write tables in the file: [MESSAGES.de] and \"English\" = \"Deutsch\" below it";
        let languages = match raw {
            Raw::Text(text) if text.is_empty() => return Ok(Self::default()),
            Raw::Table(languages) => languages,
            Raw::Text(_) | Raw::List(_) => return Err(remedy.to_owned()),
        };
        let texts = |(language, texts): (&String, &toml::Value)| {
            Some((language.clone(), texts.clone().try_into().ok()?))
        };
        let read = languages.iter().map(texts).collect::<Option<_>>();
        read.map(Self).ok_or_else(|| remedy.to_owned())
    }

    fn print(&self) -> String {
        self.0.keys().map(String::as_str).collect::<Vec<_>>().join(",")
    }
}

/// What the site has and this service cannot do: each is a mistake of its own.
#[derive(Debug, Clone, Default)]
pub struct Refusals(pub Vec<String>);

impl SettingValue for Refusals {
    const SHOWN: bool = false;

    fn parse(raw: &Raw) -> Result<Self, String> {
        Vec::parse(raw).map(Self)
    }

    fn print(&self) -> String {
        self.0.print()
    }
}

/// All of them, or what is wrong with each.
fn all<T>(items: impl Iterator<Item = Result<T, String>>) -> Result<Vec<T>, String> {
    let (mut good, mut wrong) = (Vec::new(), Vec::new());
    for item in items {
        match item {
            Ok(item) => good.push(item),
            Err(text) => wrong.push(text),
        }
    }
    if wrong.is_empty() { Ok(good) } else { Err(wrong.join("; ")) }
}

/// A list of regular expressions, as `re.search` takes them.
impl SettingValue for Vec<Regex> {
    fn parse(raw: &Raw) -> Result<Self, String> {
        let patterns = Vec::<String>::parse(raw)?;
        all(patterns.iter().map(|pattern| {
            Regex::new(pattern).map_err(|error| {
                format!(
                    "{pattern:?} cannot be used (look-around and back references cannot): {error}"
                )
            })
        }))
    }

    fn print(&self) -> String {
        let patterns: Vec<&str> = self.iter().map(Regex::as_str).collect();
        patterns.join(",")
    }
}

/// Seconds, fractions allowed.
impl SettingValue for Duration {
    fn parse(raw: &Raw) -> Result<Self, String> {
        let seconds: f64 = text(raw)?.parse().map_err(|_| "write a number of seconds")?;
        if seconds <= 0.0 || seconds > 86_400.0 {
            return Err("write seconds over 0 and up to 86400".to_owned());
        }
        Self::try_from_secs_f64(seconds).map_err(|error| error.to_string())
    }

    fn print(&self) -> String {
        self.as_secs_f64().to_string()
    }
}

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bind {
    /// An address and a port.
    Tcp(SocketAddr),
    /// A Unix socket's path.
    Unix(PathBuf),
}

impl SettingValue for Bind {
    fn parse(raw: &Raw) -> Result<Self, String> {
        let written = text(raw)?;
        // As gunicorn writes it.
        if let Some(path) = written.strip_prefix("unix:").filter(|path| !path.is_empty()) {
            return Ok(Self::Unix(path.into()));
        }
        // `runserver` takes a bare port, and localhost as a name.
        let address = if written.bytes().all(|byte| byte.is_ascii_digit()) {
            format!("127.0.0.1:{written}")
        } else {
            written.to_owned()
        };
        let resolved = address.to_socket_addrs().ok().and_then(|mut found| found.next());
        resolved.map(Self::Tcp).ok_or_else(|| {
            "write ADDRESS:PORT, such as 127.0.0.1:8000 or [::]:8000, or unix:PATH".to_owned()
        })
    }

    fn print(&self) -> String {
        match self {
            Self::Tcp(address) => address.to_string(),
            Self::Unix(path) => format!("unix:{}", path.display()),
        }
    }
}

/// Networks, and perhaps whoever comes over a Unix socket.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Networks {
    networks: Vec<IpNet>,
    unix: bool,
}

impl Networks {
    /// Whether one of them holds the address.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(&address))
    }

    /// Whether `unix` is among them.
    #[must_use]
    pub fn unix(&self) -> bool {
        self.unix
    }
}

impl SettingValue for Networks {
    fn parse(raw: &Raw) -> Result<Self, String> {
        let mut items = Vec::<String>::parse(raw)?;
        let written = items.len();
        items.retain(|item| item != "unix");
        let networks = all(items.iter().map(|item| {
            let network = item.parse().or_else(|_| item.parse::<IpAddr>().map(IpNet::from));
            network.map_err(|_| format!("{item:?} is none of 10.0.0.1, 10.0.0.0/8, fd00::/8, unix"))
        }))?;
        Ok(Self { networks, unix: items.len() < written })
    }

    fn print(&self) -> String {
        let networks = self.networks.iter().map(ToString::to_string);
        let unix = self.unix.then(|| "unix".to_owned());
        networks.chain(unix).collect::<Vec<_>>().join(",")
    }
}

/// A release of one of the packages beside this service, if its line is a known one.
macro_rules! releases {
    ($($(#[doc = $doc:literal])+ $name:ident = $known:literal;)+) => {$(
        $(#[doc = $doc])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct $name(pub Version);

        impl $name {
            /// The known lines of releases, from the oldest.
            pub const KNOWN: &'static str = $known;
        }

        impl SettingValue for $name {
            fn parse(raw: &Raw) -> Result<Self, String> {
                let version = Version::parse(text(raw)?).ok_or("write a version such as 6.1")?;
                let line = Version(version.0, version.1, Version::NEWEST).to_string();
                if Self::KNOWN.split(", ").any(|known| known == line) {
                    Ok(Self(version))
                } else {
                    Err(format!("known versions are {}", Self::KNOWN))
                }
            }

            fn print(&self) -> String {
                self.0.to_string()
            }
        }
    )+};
}
releases! {
    /// `django.VERSION`
    DjangoVersion = "4.2, 5.0, 5.1, 5.2, 6.0, 6.1";
    /// `rest_framework.VERSION`
    DrfVersion = "3.14, 3.15, 3.16, 3.17, 3.18";
    /// `sys.version_info`
    PythonVersion = "3.8, 3.9, 3.10, 3.11, 3.12, 3.13, 3.14";
}
