//! `django.views.defaults`: the HTML pages of errors that no view answers.

use poem::Response;
use poem::http::{HeaderValue, StatusCode, header};

/// `bad_request`.
#[must_use]
pub fn bad_request() -> Response {
    respond(StatusCode::BAD_REQUEST, bad_request_page())
}

/// The page of `bad_request`.
#[must_use]
pub fn bad_request_page() -> String {
    page("Bad Request (400)", "")
}

/// `permission_denied`.
#[must_use]
pub fn permission_denied() -> Response {
    respond(StatusCode::FORBIDDEN, page("403 Forbidden", ""))
}

/// `page_not_found`.
#[must_use]
pub fn page_not_found() -> Response {
    let text = "The requested resource was not found on this server.";
    respond(StatusCode::NOT_FOUND, page("Not Found", text))
}

fn page(title: &str, text: &str) -> String {
    format!(
        "\n<!doctype html>\n<html lang=\"en\">\n<head>\n  <title>{title}</title>\n</head>\n\
         <body>\n  <h1>{title}</h1><p>{text}</p>\n</body>\n</html>\n"
    )
}

fn respond(status: StatusCode, html: String) -> Response {
    let mut response = Response::builder().status(status).body(html);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    response
}
