//! `rest_framework.exceptions`: what can go wrong with a request, and what a client is told.
//!
//! The reason and the answer are two things: a source error is for the log, the wire text
//! is DRF's. `views::exception_handler` is the only place that turns one into a response.

use std::error::Error;
use std::fmt;

use serde_json::{Map, Value, json};

use super::messages::{self, Message, Text};
use crate::django::utils::translation::Translation;

/// Why a request is not answered with its view's data.
#[derive(Debug)]
pub enum APIException {
    /// 400 `{"detail": …}`: the body cannot be read as its media type.
    ParseError(String),
    /// 400: lists of messages by field, in the order of the fields.
    ValidationError(Vec<(&'static str, Vec<Text>)>),
    /// 401: the `Authorization` header names a token that opens nothing.
    AuthenticationFailed(Message),
    /// 401: the view wants a user and the request has none.
    NotAuthenticated,
    /// 403: the view wants another user.
    PermissionDenied,
    /// 403: a session does not prove that its owner meant this; Django's reason.
    CsrfFailed(String),
    /// 404 as JSON: `?format=` names no renderer of the view.
    NotFound,
    /// 405 with the method as the client sent it.
    MethodNotAllowed(String),
    /// 406: no renderer of the view satisfies `Accept`.
    NotAcceptable,
    /// 415 with the `Content-Type` as the client sent it.
    UnsupportedMediaType(String),
    /// 400 as Django's HTML page: `django.core.exceptions.SuspiciousOperation` and its kind.
    SuspiciousOperation(&'static str),
    /// 408: the client did not send its body in time. The server's own answer.
    RequestTimeout,
    /// 413: the body is over the service's own bound. The server's own answer.
    ContentTooLarge,
    /// 503: the database or the hashing queue cannot take the request now.
    ServiceUnavailable(Box<dyn Error + Send + Sync>),
    /// 500 as Django's HTML page: a fault of ours.
    ServerError(Box<dyn Error + Send + Sync>),
}

impl APIException {
    /// The database or the hashing pool failed; `source` is logged, never sent.
    pub fn unavailable(source: impl Error + Send + Sync + 'static) -> Self {
        Self::ServiceUnavailable(Box::new(source))
    }

    /// One message under `non_field_errors`, as `Serializer.validate` raises it.
    #[must_use]
    pub fn non_field_error(text: impl Into<Text>) -> Self {
        Self::ValidationError(vec![("non_field_errors", vec![text.into()])])
    }

    /// `APIException.status_code`.
    #[must_use]
    pub fn status_code(&self) -> u16 {
        match self {
            Self::ParseError(_) | Self::ValidationError(_) | Self::SuspiciousOperation(_) => 400,
            Self::AuthenticationFailed(_) | Self::NotAuthenticated => 401,
            Self::PermissionDenied | Self::CsrfFailed(_) => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed(_) => 405,
            Self::NotAcceptable => 406,
            Self::RequestTimeout => 408,
            Self::ContentTooLarge => 413,
            Self::UnsupportedMediaType(_) => 415,
            Self::ServerError(_) => 500,
            Self::ServiceUnavailable(_) => 503,
        }
    }

    /// `APIException.default_code`, for the log and the metrics.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::ParseError(_) => "parse_error",
            Self::ValidationError(_) => "invalid",
            Self::AuthenticationFailed(_) => "authentication_failed",
            Self::NotAuthenticated => "not_authenticated",
            Self::PermissionDenied | Self::CsrfFailed(_) => "permission_denied",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed(_) => "method_not_allowed",
            Self::NotAcceptable => "not_acceptable",
            Self::UnsupportedMediaType(_) => "unsupported_media_type",
            Self::SuspiciousOperation(reason) => reason,
            Self::RequestTimeout => "request_timeout",
            Self::ContentTooLarge => "content_too_large",
            Self::ServiceUnavailable(_) => "service_unavailable",
            Self::ServerError(_) => "error",
        }
    }

    /// `APIException.detail` as the JSON that the client gets, in its language, or `None` where
    /// Django sends its HTML page instead.
    #[must_use]
    pub fn detail(&self, translation: &Translation) -> Option<Value> {
        let text = match self {
            Self::SuspiciousOperation(_) | Self::ServerError(_) => return None,
            Self::ValidationError(errors) => {
                let texts = |texts: &[Text]| -> Vec<String> {
                    texts.iter().map(|text| text.translated(translation)).collect()
                };
                let lists =
                    errors.iter().map(|(field, list)| ((*field).to_owned(), json!(texts(list))));
                return Some(Value::Object(lists.collect::<Map<_, _>>()));
            }
            Self::ParseError(text) => Text::Plain(text.clone().into()),
            Self::AuthenticationFailed(message) => (*message).into(),
            Self::NotAuthenticated => messages::NOT_AUTHENTICATED.into(),
            Self::PermissionDenied => messages::PERMISSION_DENIED.into(),
            Self::CsrfFailed(reason) => Text::Plain(format!("CSRF Failed: {reason}").into()),
            Self::NotFound => messages::NOT_FOUND.into(),
            Self::MethodNotAllowed(method) => {
                Text::Formatted(messages::METHOD_NOT_ALLOWED, method.clone())
            }
            Self::NotAcceptable => messages::NOT_ACCEPTABLE.into(),
            Self::UnsupportedMediaType(media_type) => {
                Text::Formatted(messages::UNSUPPORTED_MEDIA_TYPE, media_type.clone())
            }
            Self::RequestTimeout => "The request body did not arrive in time.".into(),
            Self::ContentTooLarge => "The request body is too large.".into(),
            Self::ServiceUnavailable(_) => {
                "Service temporarily unavailable, try again later.".into()
            }
        };
        Some(json!({ "detail": text.translated(translation) }))
    }
}

impl fmt::Display for APIException {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ServiceUnavailable(source) | Self::ServerError(source) => write!(f, "{source}"),
            Self::SuspiciousOperation(reason) => f.write_str(reason),
            // The other texts are the client's own input echoed: no place for them in a log.
            other => write!(f, "status {}", other.status_code()),
        }
    }
}

impl Error for APIException {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::ServiceUnavailable(source) | Self::ServerError(source) => Some(source.as_ref()),
            _ => None,
        }
    }
}
