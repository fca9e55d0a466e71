//! `check --against URL`: a running Django and this service are asked the same, and their answers compared.
//!
//! Ours come from the service itself, in this process: there is no second list of what is to be
//! answered. Server, framing and date are not compared, and of `Vary` and `Allow` not the order.

mod causes;
mod differences;
mod exchange;
mod questions;
mod reasons;
mod site;

use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Duration, Utc};
use http::header;
use poem::{Endpoint, Request, Response};

pub use self::site::Site;

use self::differences::{Differences, Kind};
use self::exchange::{Answer, Host};
use self::questions::{Question, questions};
use super::clock::skew;
use super::issues::{Issue, Issues};
use crate::db::Database;
use crate::management::CommandError;
use crate::settings::Settings;
use crate::state::State;
use crate::urls;

/// Asks all questions and adds what differs; the text says what was compared.
pub(super) async fn check_answers(
    settings: &Settings,
    database: &Database,
    site: &Site,
    issues: &mut Issues,
) -> Result<String, CommandError> {
    if settings.login_path.iter().any(|path| site.prefix.ends_with(path.trim_end_matches('/'))) {
        let message = "the path of a view stands in the URL.".to_owned();
        let hint = "Write the site's address alone; the paths are those of LOGIN_PATH.";
        issues.errors.push(Issue::new(&site.to_string(), "E009", message, hint));
        return Ok(format!("{site} was not asked."));
    }
    let state = State::new(settings.clone(), database.clone()).map_err(CommandError::new)?;
    let state = Arc::new(state);
    let fixed = urls::Fixed::new(&state.settings).map_err(CommandError::new)?;
    let service = urls::application(&fixed, &state).map_err(CommandError::new)?;
    let host = Host::of(&site.authority, site.is_https(), settings);
    let asked = questions(settings, &host);
    let mut found = Differences::new(site, settings);
    for (at, question) in asked.iter().enumerate() {
        let before = (state.now)();
        let theirs = site.ask(question, &host).await;
        let after = (state.now)();
        let ours = answer(&service, question, &host).await.map_err(CommandError::new)?;
        match theirs {
            Ok(theirs) => {
                if at == 0 {
                    found.add_skew(ahead(&theirs, (before, after)));
                    found.add_bar(question, &ours);
                }
                let is_same = found.compare(question, &host, &theirs, &ours);
                let is_options = question.method == http::Method::OPTIONS;
                // Whatever answers in the view's place would answer all that is to come; and who has enough of
                // questions is asked no more.
                if !is_same && (at == 0 || is_options || theirs.is_at_fault()) {
                    break;
                }
                // Another view takes other fields: it gets no POST.
                if is_options && theirs.fields() != ours.fields() {
                    found.add_other_view(question);
                    break;
                }
            }
            Err(error) if at == 0 => {
                let message = format!("the site cannot be asked: {}.", site::told(&error));
                let hint = "Check the URL and that the site is up. A certificate must be one that this machine trusts (SSL_CERT_FILE, SSL_CERT_DIR).";
                issues.errors.push(Issue::new(&site.to_string(), "E009", message, hint));
                return Ok(format!("{site} was not asked."));
            }
            Err(error) => {
                found.add_silence(question, &site::told(&error));
                break;
            }
        }
    }
    let kinds = [found.count(Kind::Error), found.count(Kind::Warning)];
    let text = match kinds {
        [0, _] => format!(
            "{site}, asked as {}: its {} answers are those of this service.",
            host.name,
            asked.len()
        ),
        _ => format!("{site}, asked as {}: its answers are not those of this service.", host.name),
    };
    found.into_issues(issues);
    Ok(text)
}

/// What this service answers.
async fn answer(
    service: &impl Endpoint<Output = Response>,
    question: &Question,
    host: &Host,
) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>> {
    let mut request = Request::builder()
        .method(question.method.clone())
        .uri(question.target.parse()?)
        .body(question.body.clone());
    request.headers_mut().extend(question.headers(host));
    let mut response = service.get_response(request).await;
    let body = response.take_body().into_bytes().await?;
    let is_head = question.method == http::Method::HEAD;
    Ok(Answer {
        status: response.status(),
        headers: std::mem::take(response.headers_mut()),
        body: if is_head { Bytes::new() } else { body },
    })
}

/// Seconds by which the site's clock is ahead; its `Date` has whole ones.
fn ahead(answer: &Answer, looks: (DateTime<Utc>, DateTime<Utc>)) -> Option<i64> {
    let told = DateTime::parse_from_rfc2822(&answer.header(&header::DATE)).ok()?.to_utc();
    skew(told, looks, Duration::seconds(1))
}
