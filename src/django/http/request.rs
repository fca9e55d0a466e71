//! `django.http.request`: scheme, host and path as Django sees them.

use std::borrow::Cow;
use std::net::SocketAddr;

use http::header::{HOST, HeaderMap, HeaderName};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use poem::Request;

use crate::django::utils::http::text_of_header;
use crate::django::utils::text::strip;
use crate::settings::Settings;

const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");

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

/// `request.META[…]`: a header as text, repeated ones joined with a comma, as WSGI does.
#[must_use]
pub fn header_text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let mut lines = headers.get_all(name).iter().map(|value| text_of_header(value.as_bytes()));
    let first = lines.next()?;
    Some(lines.fold(first, |joined, line| joined + "," + &line))
}

/// `HttpRequest.scheme`: this service itself speaks plain HTTP.
#[must_use]
pub fn scheme(headers: &HeaderMap, settings: &Settings) -> &'static str {
    let is_secure = settings.proxy_ssl_header().is_some_and(|(name, secure)| {
        let told = header_text(headers, &name);
        told.and_then(|told| told.split(',').next().map(|first| strip(first) == secure))
            .unwrap_or(false)
    });
    if is_secure { "https" } else { "http" }
}

/// `HttpRequest.get_host`: the host as it was sent, if it is one that is served.
#[must_use]
pub fn get_host(request: &Request, settings: &Settings) -> Option<String> {
    let local = request.local_addr().as_socket_addr().copied();
    let host = raw_host(request.headers(), local, settings);
    is_allowed_host(&host, &settings.allowed_hosts).then_some(host)
}

/// `_get_raw_host`. Without a `Host` header it is the address that was connected to, as WSGI's
/// `SERVER_NAME`.
fn raw_host(headers: &HeaderMap, local: Option<SocketAddr>, settings: &Settings) -> String {
    let forwarded = settings.use_x_forwarded_host.then(|| header_text(headers, &FORWARDED_HOST));
    if let Some(host) = forwarded.flatten().or_else(|| header_text(headers, &HOST)) {
        return host;
    }
    let Some(local) = local else { return String::new() };
    let port = get_port(headers, Some(local), settings);
    let usual = if scheme(headers, settings) == "https" { "443" } else { "80" };
    if port == usual { local.ip().to_string() } else { format!("{}:{port}", local.ip()) }
}

/// `HttpRequest.get_port`
#[must_use]
pub fn get_port(headers: &HeaderMap, local: Option<SocketAddr>, settings: &Settings) -> String {
    let forwarded = settings.use_x_forwarded_port.then(|| header_text(headers, &FORWARDED_PORT));
    let own = || local.map_or_else(String::new, |local| local.port().to_string());
    forwarded.flatten().unwrap_or_else(own)
}

fn is_allowed_host(host: &str, allowed: &[String]) -> bool {
    let Some(domain) = split_domain_port(host) else {
        return false;
    };
    if allowed.is_empty() {
        return LOCALHOST.iter().any(|pattern| is_same_domain(&domain, pattern));
    }
    allowed.iter().any(|pattern| pattern == "*" || is_same_domain(&domain, pattern))
}

/// `HttpRequest.build_absolute_uri("/")` without its slash: where a client finds this service.
/// The host has passed `get_host`.
#[must_use]
pub fn root_uri(headers: &HeaderMap, local: Option<SocketAddr>, settings: &Settings) -> String {
    format!("{}://{}", scheme(headers, settings), raw_host(headers, local, settings))
}

/// `split_domain_port`: the domain in lower case without its last dot, if the whole is valid.
fn split_domain_port(host: &str) -> Option<String> {
    let host = host.to_ascii_lowercase();
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
#[must_use]
pub fn is_same_domain(host: &str, pattern: &str) -> bool {
    let pattern = pattern.to_lowercase();
    match pattern.strip_prefix('.') {
        Some(domain) => host == domain || host.ends_with(&pattern),
        None => !pattern.is_empty() && host == pattern,
    }
}

/// `HttpRequest.path_info`: the path with its percent escapes decoded, but for those of bytes that
/// are no UTF-8 (`repercent_broken_unicode`).
#[must_use]
pub fn path_info(raw: &str) -> Cow<'_, str> {
    let bytes: Cow<'_, [u8]> = percent_decode_str(raw).into();
    if let Cow::Borrowed(_) = bytes {
        return Cow::Borrowed(if raw.is_empty() { "/" } else { raw });
    }
    let mut path = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        path.push_str(chunk.valid());
        path.extend(percent_encode(chunk.invalid(), NON_ALPHANUMERIC));
    }
    Cow::Owned(path)
}

/// `HttpRequest.path`: what stands before the paths of this site, and a decoded path.
#[must_use]
pub fn full_path_info(path_info: &str, settings: &Settings) -> String {
    let script_name = settings.force_script_name.as_deref().unwrap_or_default();
    let (script_name, path) = (script_name.trim_end_matches('/'), path_info.replacen('/', "", 1));
    format!("{script_name}/{path}")
}

/// `HttpRequest.get_full_path` of a decoded path and a raw query, with one more slash or without.
#[must_use]
pub fn get_full_path(path: &str, query: Option<&str>, append_slash: bool) -> String {
    let path = percent_encode(path.as_bytes(), PATH);
    let slash = if append_slash { "/" } else { "" };
    match query {
        None | Some("") => format!("{path}{slash}"),
        Some(query) => format!("{path}{slash}?{}", percent_encode(query.as_bytes(), QUERY)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(host: &str, patterns: &[&str]) -> bool {
        let patterns: Vec<String> = patterns.iter().map(|&pattern| pattern.to_owned()).collect();
        is_allowed_host(host, &patterns)
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
        assert_eq!(raw_host(&HeaderMap::new(), local, &settings), "127.0.0.1:8000");
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
    fn what_is_no_utf8_stays_escaped() {
        assert_eq!(path_info("/%73ecret/%C3%A9"), "/secret/é");
        assert_eq!(path_info("/%ffa%e2%82/%C3%28"), "/%FFa%E2%82/%C3(");
        assert_eq!(path_info("/secret"), "/secret");
    }

    #[test]
    fn a_redirect_keeps_the_query_and_escapes_what_a_uri_cannot_hold() {
        assert_eq!(get_full_path("/secret", None, true), "/secret/");
        assert_eq!(get_full_path("/secret", Some(""), true), "/secret/");
        assert_eq!(get_full_path("/secret", Some("a"), false), "/secret?a");
        assert_eq!(
            get_full_path("/secret", Some("a=\"<>&b=%41\\"), true),
            "/secret/?a=%22%3C%3E&b=%41%5C"
        );
    }
}
