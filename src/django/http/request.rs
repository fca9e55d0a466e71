//! `django.http.request`: the host rules, and the path as Django sees it.

use std::borrow::Cow;
use std::net::SocketAddr;

use http::{HeaderMap, HeaderValue, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};

use crate::django::utils::http::text_of_header;
use crate::django::utils::text::strip;
use crate::settings::Settings;

/// What `ALLOWED_HOSTS` stands for when it is empty and DEBUG is on.
const LOCALHOST: [&str; 3] = [".localhost", "127.0.0.1", "[::1]"];

/// `escape_uri_path`: what `urllib.parse.quote` leaves alone in a path.
const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b':')
    .remove(b'@')
    .remove(b'&')
    .remove(b'+')
    .remove(b'$')
    .remove(b',')
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'!')
    .remove(b'~')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')');

/// `iri_to_uri`: what is left alone in a query string.
const QUERY: &AsciiSet = &PATH
    .remove(b'#')
    .remove(b'%')
    .remove(b'[')
    .remove(b']')
    .remove(b'=')
    .remove(b';')
    .remove(b'?');

/// `HttpRequest.get_host`: whether the request is for a host that is served.
/// `host` is the raw one.
#[must_use]
pub fn is_allowed_host(host: &[u8], allowed: &[String]) -> bool {
    let Some(domain) = split_domain_port(host) else {
        return false;
    };
    if allowed.is_empty() {
        return LOCALHOST.iter().any(|pattern| is_same_domain(&domain, pattern));
    }
    allowed.iter().any(|pattern| pattern == "*" || is_same_domain(&domain, pattern))
}

/// `HttpRequest._get_raw_host`: what the client, or the proxy in front, calls the host.
///
/// Without any such header it is the address that was connected to, as WSGI's `SERVER_NAME`.
#[must_use]
pub fn raw_host(headers: &HeaderMap, local: Option<SocketAddr>, settings: &Settings) -> Vec<u8> {
    let forwarded = headers.get_all("x-forwarded-host").iter();
    let forwarded = forwarded.filter(|_| settings.use_x_forwarded_host);
    let forwarded: Vec<&[u8]> = forwarded.map(HeaderValue::as_bytes).collect();
    if !forwarded.is_empty() {
        // WSGI joins repeated headers with a comma, which no host can have.
        return forwarded.join(&b',');
    }
    match headers.get(header::HOST) {
        Some(host) => host.as_bytes().to_vec(),
        None => local.map(|address| address.to_string()).unwrap_or_default().into_bytes(),
    }
}

/// `HttpRequest.is_secure`. This service itself speaks plain HTTP; a proxy may tell of https.
#[must_use]
pub fn is_secure(headers: &HeaderMap, settings: &Settings) -> bool {
    settings.proxy_ssl_header().is_some_and(|(name, secure)| {
        let told = headers.get(name).map(|value| text_of_header(value.as_bytes()));
        told.is_some_and(|told| told.split(',').next().map(strip) == Some(secure))
    })
}

/// `HttpRequest.build_absolute_uri("/")` without its slash: where a client finds this service.
/// The host has passed `is_allowed_host`.
#[must_use]
pub fn root_uri(headers: &HeaderMap, local: Option<SocketAddr>, settings: &Settings) -> String {
    let scheme = if is_secure(headers, settings) { "https" } else { "http" };
    let host = raw_host(headers, local, settings);
    format!("{scheme}://{}", String::from_utf8_lossy(&host))
}

/// `split_domain_port`: the domain in lower case without its last dot, if the whole is valid.
fn split_domain_port(host: &[u8]) -> Option<String> {
    let host = str::from_utf8(host).ok()?.to_ascii_lowercase();
    let (domain, port) = match host.strip_prefix('[') {
        Some(inner) => {
            let (address, port) = inner.split_once(']')?;
            let tail =
                address.trim_start_matches(|c: char| c.is_ascii_hexdigit()).strip_prefix(':')?;
            let rest_is_valid = tail.bytes().all(|c| c.is_ascii_hexdigit() || b".:".contains(&c));
            if tail.is_empty() || !rest_is_valid {
                return None;
            }
            (host.get(..address.len() + 2)?, port)
        }
        None => host.split_at(host.find(':').unwrap_or(host.len())),
    };
    let is_name = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || b".-".contains(&c);
    let valid_domain = domain.starts_with('[') || domain.bytes().all(is_name);
    let valid_port = port.is_empty()
        || port
            .strip_prefix(':')
            .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|c| c.is_ascii_digit()));
    let domain = domain.strip_suffix('.').unwrap_or(domain);
    (valid_domain && valid_port && !domain.is_empty()).then(|| domain.to_owned())
}

/// `django.utils.http.is_same_domain`: a pattern with a leading dot takes subdomains too.
fn is_same_domain(host: &str, pattern: &str) -> bool {
    let pattern = pattern.to_lowercase();
    match pattern.strip_prefix('.') {
        Some(domain) => host == domain || host.ends_with(&pattern),
        None => !pattern.is_empty() && host == pattern,
    }
}

/// `HttpRequest.path_info`: the path with its percent escapes decoded.
#[must_use]
pub fn path_info(raw: &str) -> Cow<'_, str> {
    percent_decode_str(raw).decode_utf8_lossy()
}

/// `HttpRequest.get_full_path(force_append_slash=True)` of a decoded path and a raw query.
#[must_use]
pub fn full_path_with_slash(path: &str, query: Option<&str>) -> String {
    let path = percent_encode(path.as_bytes(), PATH);
    match query {
        None | Some("") => format!("{path}/"),
        Some(query) => format!("{path}/?{}", percent_encode(query.as_bytes(), QUERY)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(host: &str, patterns: &[&str]) -> bool {
        let patterns: Vec<String> = patterns.iter().map(|&pattern| pattern.to_owned()).collect();
        is_allowed_host(host.as_bytes(), &patterns)
    }

    #[test]
    fn a_star_allows_every_well_formed_host_and_no_other() {
        for host in ["a", "A.b:1", "a.", "127.0.0.1:99999999", "[::1]", "[::1]:8", "[a:1.2]", "-"] {
            assert!(allowed(host, &["*"]), "{host}");
        }
        let malformed = [
            "", ".", "a b", "a_b", "u@h", "a/b", "a,b", "%41", "é", "a:", "a:b", "[::1", "[]",
            "[1]", "[:]", "[::1]x", "a:1:2", "[g::1]",
        ];
        for host in malformed {
            assert!(!allowed(host, &["*"]), "{host}");
        }
    }

    #[test]
    fn a_leading_dot_allows_subdomains() {
        for (host, allows) in
            [("x.org", true), ("a.X.org:1", true), ("x.org.", true), ("ax.org", false)]
        {
            assert_eq!(allowed(host, &[".X.org"]), allows, "{host}");
        }
        assert!(!allowed("a.x.org", &["x.org"]));
    }

    #[test]
    fn an_empty_list_allows_localhost_only() {
        for (host, allows) in
            [("localhost:1", true), ("a.localhost", true), ("[::1]", true), ("x", false)]
        {
            assert_eq!(allowed(host, &[]), allows, "{host}");
        }
    }

    #[test]
    fn without_a_host_header_the_local_address_counts() {
        let local = Some("127.0.0.1:8000".parse().unwrap());
        let settings = Settings::defaults().unwrap();
        assert_eq!(raw_host(&HeaderMap::new(), local, &settings), b"127.0.0.1:8000");
        assert_eq!(root_uri(&HeaderMap::new(), local, &settings), "http://127.0.0.1:8000");
    }

    #[test]
    fn the_root_is_what_the_proxy_says_where_it_may() {
        let mut settings = Settings::defaults().unwrap();
        let mut headers = HeaderMap::new();
        headers.insert("host", "inner:8000".parse().unwrap());
        headers.insert("x-forwarded-host", "api.example.com".parse().unwrap());
        headers.insert("x-forwarded-proto", "https, http".parse().unwrap());
        assert_eq!(root_uri(&headers, None, &settings), "http://inner:8000");
        settings.use_x_forwarded_host = true;
        let pair = ["HTTP_X_FORWARDED_PROTO", "https"];
        settings.secure_proxy_ssl_header = pair.map(str::to_owned).to_vec();
        assert_eq!(root_uri(&headers, None, &settings), "https://api.example.com");
    }

    #[test]
    fn a_redirect_keeps_the_query_and_escapes_what_a_uri_cannot_hold() {
        assert_eq!(full_path_with_slash("/secret", None), "/secret/");
        assert_eq!(full_path_with_slash("/secret", Some("")), "/secret/");
        assert_eq!(
            full_path_with_slash("/secret", Some("a=\"<>&b=%41\\")),
            "/secret/?a=%22%3C%3E&b=%41%5C"
        );
    }
}
