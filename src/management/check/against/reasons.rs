//! Which cause a difference has.

use http::{HeaderName, StatusCode, header};

use super::causes::{self, Cause};
use super::exchange::{Answer, Host};
use super::questions::Question;

/// Why the two answer in different kinds: another status, or a page for JSON.
pub(super) fn of_kinds(question: &Question, host: &Host, site: &Answer, ours: &Answer) -> Cause {
    let is_page = |answer: &Answer, status| answer.status == status && answer.is_page();
    let either = |status| is_page(site, status) != is_page(ours, status);
    if site.is_at_fault() {
        causes::FAULT
    } else if site.status.is_redirection() || ours.status.is_redirection() {
        of_redirects(question, host, site, ours)
    } else if either(StatusCode::FORBIDDEN) {
        causes::AGENT
    } else if [site, ours].iter().all(|answer| is_challenge(answer.status)) {
        causes::AUTHENTICATION
    } else if either(StatusCode::BAD_REQUEST) && question.cause != causes::DJANGO {
        causes::HOSTS
    } else if either(StatusCode::NOT_FOUND) {
        question.path
    } else {
        question.cause
    }
}

/// The one or the other is DRF's answer to nobody, by the first class of the view.
fn is_challenge(status: StatusCode) -> bool {
    matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
}

/// Where the one redirect goes, or in what the two differ.
fn of_redirects(question: &Question, host: &Host, site: &Answer, ours: &Answer) -> Cause {
    let (there, here) = (site.location(), ours.location());
    let either = |part: &str| there.contains(part) != here.contains(part);
    if either(&format!("://www.{}/", question.host(host))) {
        causes::WWW
    } else if either("https://") {
        causes::REDIRECT
    } else if there.is_empty() != here.is_empty() {
        let appended = format!("{}/", question.target);
        if [&there, &here].iter().any(|to| to.ends_with(&appended)) {
            causes::SLASH
        } else {
            question.path
        }
    } else if there.ends_with(&here) || here.ends_with(&there) {
        causes::PREFIX
    } else if there.starts_with("https://") {
        causes::REDIRECT
    } else {
        question.cause
    }
}

/// Why two answers of one kind have other words. Another language is told once: what else a question would show is
/// seen when that is mended.
pub(super) fn of_bodies(question: &Question, texts_differ: bool) -> Cause {
    let own =
        [causes::DJANGO, causes::DRF, causes::PYTHON, causes::LANGUAGES].contains(&question.cause);
    if own && !texts_differ { question.cause } else { causes::TEXTS }
}

/// Why a header differs where the request decides it.
pub(super) fn of_header(
    name: &HeaderName,
    question: &Question,
    host: &Host,
    site: &Answer,
    ours: &Answer,
) -> Cause {
    let either = |word: &str| {
        let has = |answer: &Answer| answer.header(name).to_lowercase().contains(word);
        has(site) != has(ours)
    };
    match *name {
        header::LOCATION => of_redirects(question, host, site, ours),
        header::WWW_AUTHENTICATE if either("basic ") => causes::AUTHENTICATION,
        header::WWW_AUTHENTICATE => causes::KEYWORDS,
        header::VARY if either("cookie") => causes::AUTHENTICATION,
        header::VARY if either("accept-language") => causes::LANGUAGES,
        _ => question.cause,
    }
}
