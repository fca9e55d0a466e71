//! As whom both are asked, and what they answer.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, StatusCode, header};
use poem::Request;

use crate::django::http::request::get_host;
use crate::settings::Settings;

/// A host under which both can be asked.
pub(super) struct Host {
    /// Of `Host`.
    pub(super) name: String,
    /// `SECURE_PROXY_SSL_HEADER`: what a proxy adds to what came over https.
    pub(super) secure: Option<(HeaderName, String)>,
    /// Whether the site is really asked so.
    pub(super) is_https: bool,
}

/// What is compared.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Answer {
    pub(super) fn is_page(&self) -> bool {
        self.header(&header::CONTENT_TYPE).starts_with("text/html")
    }

    /// Whether the site has failed, or throttles.
    pub(super) fn is_at_fault(&self) -> bool {
        self.status.is_server_error() || self.status == StatusCode::TOO_MANY_REQUESTS
    }

    /// The fields that a view takes by POST, as DRF's answer to OPTIONS tells them.
    pub(super) fn fields(&self) -> Vec<String> {
        let told: serde_json::Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let fields = told.pointer("/actions/POST").and_then(serde_json::Value::as_object);
        fields.into_iter().flat_map(serde_json::Map::keys).cloned().collect()
    }

    pub(super) fn location(&self) -> String {
        self.header(&header::LOCATION)
    }

    /// All lines of a header as one text; empty where there is none.
    pub(super) fn header(&self, name: &HeaderName) -> String {
        let lines = self.headers.get_all(name).iter();
        let lines: Vec<_> = lines.map(|line| String::from_utf8_lossy(line.as_bytes())).collect();
        lines.join(", ")
    }
}

impl Host {
    /// The site's own name if these settings serve it, else the first that they serve.
    pub(super) fn of(authority: &str, is_https: bool, settings: &Settings) -> Self {
        let listed = settings.allowed_hosts.iter().filter(|host| *host != "*");
        let listed = listed.map(|host| host.trim_start_matches('.').to_owned());
        let is_served = |host: &String| {
            let request = Request::builder().header(header::HOST, host).finish();
            get_host(&request, settings).is_some()
        };
        let mut names = std::iter::once(authority.to_owned()).chain(listed);
        let mut name = names.find(is_served).unwrap_or_else(|| authority.to_owned());
        if settings.prepend_www && !name.starts_with("www.") {
            name = format!("www.{name}");
        }
        let secure = settings.proxy_ssl_header().map(|(name, value)| (name, value.to_owned()));
        Self { name, secure, is_https }
    }
}
