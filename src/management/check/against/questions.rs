//! What a site is asked: requests that need no account, write no row, and hash no password.
//!
//! Why is there no log-in? One of an unknown user costs the site a hash, and sites that count failed
//! log-ins write a row. What the two would say of it follows from the language and the releases, which other
//! questions show. All that reaches the site's database is a look-up of a token of forty zeros.

use http::{HeaderName, HeaderValue, Method, header};

use super::causes::{self, Cause};
use super::exchange::Host;
use crate::django::http::request::get_full_path;
use crate::settings::Settings;

/// No site has this name: RFC 2606.
const NO_HOST: &str = "drf-authtoken-check.invalid";
const NO_TOKEN: &str = "0000000000000000000000000000000000000000";
const JSON: (HeaderName, &str) = (header::CONTENT_TYPE, "application/json");
const FORM: (HeaderName, &str) = (header::CONTENT_TYPE, "multipart/form-data; boundary=XX");

/// A request, and what decides its answer.
#[derive(Debug, Clone)]
pub(super) struct Question {
    /// The request in a few words, for a reader.
    pub(super) told: String,
    pub(super) method: Method,
    /// Path and query as they are sent.
    pub(super) target: String,
    further: Vec<(HeaderName, String)>,
    pub(super) body: String,
    /// Whether it comes as a proxy sends what came over https.
    is_secure: bool,
    /// Where nothing in the answers says more.
    pub(super) cause: Cause,
    /// What the path of the question is.
    pub(super) path: Cause,
}

impl Question {
    /// As both get it.
    pub(super) fn headers(&self, host: &Host) -> Vec<(HeaderName, HeaderValue)> {
        let mut headers = Vec::new();
        let mut add = |name: HeaderName, value: &str| {
            // What cannot stand in a header is not asked.
            headers.extend(HeaderValue::from_str(value).ok().map(|value| (name, value)));
        };
        add(header::HOST, self.host(host));
        add(header::USER_AGENT, "drf-authtoken-check");
        if let Some((name, value)) = host.secure.as_ref().filter(|_| self.is_secure) {
            add(name.clone(), value);
        }
        for (name, value) in self.further.iter().filter(|(name, _)| *name != header::HOST) {
            add(name.clone(), value);
        }
        if !self.body.is_empty() {
            add(header::CONTENT_LENGTH, &self.body.len().to_string());
        }
        headers
    }

    /// As which site it is asked.
    pub(super) fn host<'a>(&'a self, host: &'a Host) -> &'a str {
        let own = self.further.iter().find(|(name, _)| *name == header::HOST);
        own.map_or(&host.name, |(_, value)| value)
    }

    fn get(path: &str, cause: Cause, of_path: Cause) -> Self {
        let target = get_full_path(path, None, false);
        Self {
            told: format!("GET {target}"),
            method: Method::GET,
            target,
            further: Vec::new(),
            body: String::new(),
            is_secure: true,
            cause,
            path: of_path,
        }
    }

    fn by(mut self, method: Method) -> Self {
        self.told = format!("{method} {}", self.target);
        self.method = method;
        self
    }

    fn with(mut self, name: HeaderName, value: &str) -> Self {
        let shown: String = value.chars().take(60).collect();
        let shown = if shown == value { shown } else { shown + "…" };
        self.told = format!("{} with {name}: {shown}", self.told);
        self.further.push((name, value.to_owned()));
        self
    }

    fn post(self, body: &str, (name, value): (HeaderName, &str)) -> Self {
        let asked = self.by(Method::POST).with(name, value);
        Self {
            told: format!("{}, {}", asked.told, causes::excerpt(body)),
            body: body.to_owned(),
            ..asked
        }
    }

    fn about(self, cause: Cause) -> Self {
        Self { cause, ..self }
    }
}

/// All questions to a site with these settings.
pub(super) fn questions(settings: &Settings, host: &Host) -> Vec<Question> {
    let mut asked = Vec::new();
    for path in &settings.login_path {
        asked.push(Question::get(path, causes::LOGIN_VIEW, causes::LOGIN_PATH));
    }
    let Some(login) = asked.first().cloned() else { return asked };
    asked.extend(of_the_view(&login, settings));
    asked.extend(of_the_body(&login));
    asked.extend(of_the_token(&login, settings));
    asked.extend(of_the_secret(settings));
    asked.extend(of_the_middleware(&login, settings, host));
    asked
}

/// The view's metadata, and how a renderer and a parser are chosen.
fn of_the_view(login: &Question, settings: &Settings) -> Vec<Question> {
    let accept = |value: &str| login.clone().with(header::ACCEPT, value);
    let format = settings.url_format_override.as_deref().unwrap_or("format");
    let mut formatted = login.clone().about(causes::FORMAT);
    formatted.target = format!("{}?{format}=none", login.target);
    formatted.told = format!("GET {}", formatted.target);
    vec![
        login.clone().by(Method::OPTIONS).about(causes::TEXTS),
        accept("text/xml"),
        accept(&("a/b,".repeat(64) + "application/json")).about(causes::DRF),
        formatted,
        login.clone().post("x", (header::CONTENT_TYPE, "text/plain")).about(causes::TEXTS),
    ]
}

/// Bodies that are refused before a name in them is looked up.
fn of_the_body(login: &Question) -> Vec<Question> {
    let long = format!(
        "--XX\r\nContent-Disposition: form-data; name=\"username\"\r\nX: {}\r\n\r\n\r\n--XX--\r\n",
        "a".repeat(1100)
    );
    let coded = |name: &str| {
        format!(
            "--XX\r\nContent-Disposition{name}: form-data; name=\"username\"\r\nContent-Transfer-Encoding: base64\r\n\r\n!\r\n--XX--\r\n"
        )
    };
    vec![
        login.clone().by(Method::POST).about(causes::TEXTS),
        login.clone().post(r#"{"username": "", "password": null}"#, JSON).about(causes::TEXTS),
        login.clone().post("[]", JSON).about(causes::TEXTS),
        login.clone().post(r#"{"username": "",}"#, JSON).about(causes::PYTHON),
        login.clone().post(&long, FORM).about(causes::DJANGO),
        login.clone().post(&coded(""), FORM).about(causes::DJANGO),
        login.clone().post(&coded(" "), FORM).about(causes::DJANGO),
    ]
}

/// The `Authorization` header, which each view reads before it looks at the method.
fn of_the_token(login: &Question, settings: &Settings) -> Vec<Question> {
    let sent = |value: &str| login.clone().with(header::AUTHORIZATION, value);
    let ours = settings.token_keywords.iter().map(String::as_str);
    let mut words: Vec<&str> = Vec::new();
    for word in ours.chain(["Token", "Bearer"]) {
        if !words.iter().any(|other| other.eq_ignore_ascii_case(word)) {
            words.push(word);
        }
    }
    let first = words.first().copied().unwrap_or_default();
    let mut asked: Vec<Question> =
        words.iter().map(|word| sent(word).about(causes::KEYWORDS)).collect();
    asked.push(sent(&format!("{first} two words")).about(causes::KEYWORDS));
    asked.push(sent(&format!("{first} {NO_TOKEN}")).about(causes::KEYWORDS));
    asked.push(sent("Basic").about(causes::AUTHENTICATION));
    asked
}

/// The protected view without a token.
fn of_the_secret(settings: &Settings) -> Vec<Question> {
    let Some(path) = &settings.secret_path else { return Vec::new() };
    let secret = Question::get(path, causes::SECRET_VIEW, causes::SECRET_PATH);
    let refused = secret.clone().with(header::ACCEPT, "text/xml");
    vec![secret.clone(), secret.by(Method::HEAD), refused]
}

/// What stands around the views: slash, host, language, https.
fn of_the_middleware(login: &Question, settings: &Settings, host: &Host) -> Vec<Question> {
    let mut asked = Vec::new();
    let to = |name: &str| login.clone().with(header::HOST, name);
    asked.push(to(NO_HOST).about(causes::HOSTS));
    if let Some(bare) = host.name.strip_prefix("www.") {
        asked.push(to(bare).about(causes::WWW));
    }
    let lacking = login.target.strip_suffix('/').filter(|path| !path.is_empty());
    if let Some(path) = lacking.filter(|path| !settings.login_path.iter().any(|it| it == path)) {
        asked.push(Question::get(path, causes::SLASH, causes::SLASH));
    }
    let language = if settings.language_code.starts_with("de") { "fr" } else { "de" };
    let chosen = login.clone().by(Method::POST).with(header::ACCEPT_LANGUAGE, language);
    asked.push(chosen.about(causes::LANGUAGES));
    let told = HeaderName::from_static("x-forwarded-proto");
    let plain = Question { is_secure: false, ..login.clone() };
    if host.secure.is_none() {
        asked.push(plain.with(told, "https").about(causes::SCHEME));
    } else if !host.is_https {
        let told = format!("{} without a header of https", login.told);
        asked.push(Question { told, ..plain }.about(causes::SCHEME));
    }
    asked
}
