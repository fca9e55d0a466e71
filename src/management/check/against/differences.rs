//! In what answers differ, told once for each cause.

use http::{HeaderName, header};

use super::causes::{self, Cause, excerpt};
use super::exchange::{Answer, Host};
use super::questions::Question;
use super::reasons;
use super::site::Site;
use crate::management::check::clock;
use crate::management::check::issues::{Issue, Issues};
use crate::settings::Settings;

/// What servers and proxies add of their own, and what says how a body is framed.
const SERVERS: [&str; 12] = [
    "age",
    "alt-svc",
    "cache-control",
    "connection",
    "content-length",
    "date",
    "expires",
    "keep-alive",
    "server",
    "trailer",
    "transfer-encoding",
    "via",
];
/// What Django and DRF write into `Vary` of such answers.
const VARY: [&str; 3] = ["accept", "accept-language", "cookie"];

/// Whether a difference is one that clients of the endpoints meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Error,
    Warning,
}

/// One issue in the making.
struct Found {
    kind: Kind,
    id: &'static str,
    object: String,
    message: String,
    hint: &'static str,
    /// How many more answers have it.
    more: usize,
}

/// What was found so far, in the order of the questions.
pub(super) struct Differences {
    site: String,
    /// A number that each answer has its own of.
    request_id: Option<String>,
    found: Vec<Found>,
}

impl Differences {
    pub(super) fn new(site: &Site, settings: &Settings) -> Self {
        let request_id = settings.request_id_header.as_ref().map(|name| name.to_lowercase());
        Self { site: site.to_string(), request_id, found: Vec::new() }
    }

    pub(super) fn count(&self, kind: Kind) -> usize {
        self.found.iter().filter(|found| found.kind == kind).count()
    }

    pub(super) fn into_issues(self, issues: &mut Issues) {
        for Found { kind, id, object, message, hint, more } in self.found {
            let more = match more {
                0 => String::new(),
                1 => " So is 1 more answer.".to_owned(),
                more => format!(" So are {more} more answers."),
            };
            let issue = Issue::new(&object, id, format!("{message}{more}"), hint);
            let level = match kind {
                Kind::Error => &mut issues.errors,
                Kind::Warning => &mut issues.warnings,
            };
            level.push(issue);
        }
    }

    /// All in which two answers differ. Those of two kinds are not looked at further: then the answer is `false`.
    pub(super) fn compare(
        &mut self,
        question: &Question,
        host: &Host,
        site: &Answer,
        ours: &Answer,
    ) -> bool {
        self.add_foreign(question, site);
        if site.status != ours.status || site.is_page() != ours.is_page() {
            let cause = reasons::of_kinds(question, host, site, ours);
            self.add(question, cause, "the answer", &summary(site), &summary(ours));
            return false;
        }
        for (name, cause) in &causes::HEADERS {
            let (there, here) = (normal(name, site), normal(name, ours));
            // Of which charset a page is says that page itself.
            let of_page = *name == header::CONTENT_TYPE && site.is_page();
            if there != here && !of_page {
                let by_request = || reasons::of_header(name, question, host, site, ours);
                let cause = cause.unwrap_or_else(by_request);
                self.add(question, cause, name.as_str(), &there, &here);
            }
        }
        let text = |answer: &Answer| String::from_utf8_lossy(&answer.body).into_owned();
        if site.body != ours.body && site.is_page() {
            self.add_page(question, site);
        } else if site.body != ours.body {
            let texts_differ =
                self.found.iter().any(|found| found.object == causes::TEXTS.settings);
            let cause = reasons::of_bodies(question, texts_differ);
            self.add(question, cause, "the body", &text(site), &text(ours));
        }
        true
    }

    fn add(&mut self, question: &Question, cause: Cause, what: &str, site: &str, ours: &str) {
        let message = format!(
            "{}: {what} of the site is {}, ours {}.",
            question.told,
            shown(site),
            shown(ours)
        );
        self.push(Kind::Error, "E008", cause.settings, message, cause.hint);
    }

    /// A page for people, in other words or another form.
    fn add_page(&mut self, question: &Question, site: &Answer) {
        let message =
            format!("{}: the {} page is one of the site's own.", question.told, site.status);
        let hint = "This service answers Django's built-in pages. If the site has DEBUG on, ask one that has not.";
        let object = self.site.clone();
        self.push(Kind::Warning, "W005", &object, message, hint);
    }

    /// What neither Django nor DRF adds.
    fn add_foreign(&mut self, question: &Question, site: &Answer) {
        let known = |name: &HeaderName| {
            let name = name.as_str();
            SERVERS.contains(&name)
                || causes::HEADERS.iter().any(|(known, _)| known == name)
                || self.request_id.as_deref() == Some(name)
        };
        let mut foreign: Vec<String> = site
            .headers
            .keys()
            .filter(|name| !known(name))
            .map(|name| name.as_str().to_owned())
            .collect();
        let varying = words(&site.header(&header::VARY));
        foreign.extend(
            varying
                .into_iter()
                .filter(|word| word != "accept-encoding" && !VARY.contains(&word.as_str()))
                .map(|word| format!("vary: {word}")),
        );
        for name in foreign {
            let message = format!("{}: the site answers with the header {name}.", question.told);
            let hint = "This service does not. If a proxy in front adds it, it will add it here too; if a middleware does, let the proxy do it.";
            self.push(Kind::Warning, "W006", &format!("{} ({name})", self.site), message, hint);
        }
    }

    /// Without an answer, where others had one.
    pub(super) fn add_silence(&mut self, question: &Question, why: &str) {
        let message = format!("{}: the site gives no answer: {why}.", question.told);
        let cause = causes::FAULT;
        self.push(Kind::Error, "E008", cause.settings, message, cause.hint);
    }

    /// What is there takes something else than a name and a password.
    pub(super) fn add_other_view(&mut self, question: &Question) {
        let message = format!("{}: the view of the site takes other fields.", question.told);
        let cause = causes::LOGIN_VIEW;
        self.push(Kind::Error, "E008", cause.settings, message, cause.hint);
    }

    /// The clocks differ.
    pub(super) fn add_skew(&mut self, ahead: Option<i64>) {
        let Some(ahead) = ahead else { return };
        let object = self.site.clone();
        self.push(Kind::Warning, "W007", &object, clock::differs("the site", ahead), clock::HINT);
    }

    /// Something of these settings answers in the view's place, whatever the site does.
    pub(super) fn add_bar(&mut self, question: &Question, ours: &Answer) {
        if ours.status == http::StatusCode::METHOD_NOT_ALLOWED {
            return;
        }
        let message = format!(
            "{}: this service's own answer is {}, so that no question comes to the view.",
            question.told,
            summary(ours)
        );
        let hint = "If it is a redirect to https, set SECURE_PROXY_SSL_HEADER; if a bad request, ALLOWED_HOSTS.";
        let object = self.site.clone();
        self.push(Kind::Error, "E010", &object, message, hint);
    }

    fn push(
        &mut self,
        kind: Kind,
        id: &'static str,
        object: &str,
        message: String,
        hint: &'static str,
    ) {
        let known = self.found.iter_mut().find(|found| found.object == object && found.id == id);
        if let Some(found) = known {
            found.more += 1;
        } else {
            let object = object.to_owned();
            self.found.push(Found { kind, id, object, message, hint, more: 0 });
        }
    }
}

/// Status, and where a redirect goes, or what is said.
fn summary(answer: &Answer) -> String {
    let location = answer.location();
    let text = String::from_utf8_lossy(&answer.body);
    let said = if answer.is_page() { "a page" } else { text.trim() };
    let said = if location.is_empty() { said } else { &location };
    format!("{} {said}", answer.status.as_u16())
}

/// A header as it is compared: of `Vary` and `Allow` the words in any order, of `Vary` only Django's own.
fn normal(name: &HeaderName, answer: &Answer) -> String {
    let value = answer.header(name);
    if *name == header::ALLOW {
        words(&value).join(", ")
    } else if *name == header::VARY {
        let varying = words(&value);
        varying
            .into_iter()
            .filter(|word| VARY.contains(&word.as_str()))
            .collect::<Vec<_>>()
            .join(", ")
    } else {
        value
    }
}

/// The words of a list in lower case, sorted.
fn words(list: &str) -> Vec<String> {
    let mut words: Vec<String> = list
        .split(',')
        .map(|word| word.trim().to_lowercase())
        .filter(|word| !word.is_empty())
        .collect();
    words.sort_unstable();
    words
}

fn shown(text: &str) -> String {
    if text.is_empty() { "missing".to_owned() } else { excerpt(text) }
}
