//! `django.middleware.csrf`: whether a request that may change something comes from the site's own pages.
//!
//! `CsrfViewMiddleware` itself lets DRF's views through; `SessionAuthentication` asks these rules. Nobody is given a
//! cookie here.

use std::net::{Ipv6Addr, SocketAddr};

use poem::http::{HeaderMap, header};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::django::http::request::{get_port, header_text, is_same_domain, root_uri};
use crate::settings::Settings;

/// `CSRF_SECRET_LENGTH`
const SECRET_LENGTH: usize = 32;
/// `CSRF_TOKEN_LENGTH`
const TOKEN_LENGTH: usize = 2 * SECRET_LENGTH;
/// `CSRF_ALLOWED_CHARS`
const ALLOWED: &[u8; 62] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

/// Why a request is refused: Django's reason.
pub type Reason = String;

/// The first half of `CsrfViewMiddleware.process_view`: `Origin`, and where there is none `Referer` of what came by
/// https. `local` is the address that was connected to.
pub fn check_source(
    headers: &HeaderMap,
    local: Option<SocketAddr>,
    settings: &Settings,
) -> Result<(), Reason> {
    let own = root_uri(headers, local, settings);
    if let Some(origin) = header_text(headers, &header::ORIGIN) {
        if origin == own || is_trusted(&origin, &settings.csrf_trusted_origins) {
            return Ok(());
        }
        return Err(format!(
            "Origin checking failed - {origin} does not match any trusted origins."
        ));
    }
    let Some(host) = own.strip_prefix("https://") else { return Ok(()) };
    let Some(referer) = header_text(headers, &header::REFERER) else {
        return Err("Referer checking failed - no Referer.".to_owned());
    };
    let Some(referer) = Url::split(&referer) else {
        return Err("Referer checking failed - Referer is malformed.".to_owned());
    };
    if referer.scheme != "https" {
        let reason = "Referer checking failed - Referer is insecure while host is secure.";
        return Err(reason.to_owned());
    }
    let good = match &settings.csrf_cookie_domain {
        None => host.to_owned(),
        Some(domain) => match get_port(headers, local, settings).as_str() {
            "443" | "80" => domain.clone(),
            port => format!("{domain}:{port}"),
        },
    };
    let trusted = settings.csrf_trusted_origins.iter().filter_map(|origin| Url::split(origin));
    let mut hosts = trusted.map(|origin| origin.netloc.trim_start_matches('*').to_owned());
    let is_trusted = hosts.any(|host| is_same_domain(&referer.netloc, &host));
    if is_trusted || is_same_domain(&referer.netloc, &good) {
        return Ok(());
    }
    let url = referer.text;
    Err(format!("Referer checking failed - {url} does not match any trusted origins."))
}

/// `_origin_verified` by `CSRF_TRUSTED_ORIGINS`.
fn is_trusted(origin: &str, trusted: &[String]) -> bool {
    if trusted.iter().any(|one| one == origin && !one.contains('*')) {
        return true;
    }
    let Some(origin) = Url::split(origin) else { return false };
    let subdomains = trusted.iter().filter(|one| one.contains('*'));
    subdomains.filter_map(|one| Url::split(one)).any(|one| {
        let host = one.netloc.trim_start_matches('*');
        one.scheme == origin.scheme && is_same_domain(&origin.netloc, host)
    })
}

/// `_get_secret` of the cookie's value.
pub fn secret(cookie: Option<&str>) -> Result<Zeroizing<String>, Reason> {
    let Some(cookie) = cookie else { return Err("CSRF cookie not set.".to_owned()) };
    check_format(cookie).map_err(|reason| format!("CSRF cookie {reason}."))?;
    Ok(unmasked(cookie))
}

/// The second half of `_check_token`; `source` is where the token comes from, as a sentence names it.
pub fn check_token(token: &str, source: &str, secret: &str) -> Result<(), Reason> {
    let fail = |reason| format!("CSRF token from {source} {reason}.");
    check_format(token).map_err(fail)?;
    let is_equal = bool::from(unmasked(token).as_bytes().ct_eq(secret.as_bytes()));
    if is_equal { Ok(()) } else { Err(fail("incorrect")) }
}

/// `_check_token_format`
fn check_format(token: &str) -> Result<(), &'static str> {
    if ![SECRET_LENGTH, TOKEN_LENGTH].contains(&token.chars().count()) {
        return Err("has incorrect length");
    }
    if !token.bytes().all(|sign| sign.is_ascii_alphanumeric()) {
        return Err("has invalid characters");
    }
    Ok(())
}

/// `_unmask_cipher_token`, of a token that is masked.
fn unmasked(token: &str) -> Zeroizing<String> {
    let Some((mask, cipher)) = token.split_at_checked(SECRET_LENGTH).filter(|(_, c)| !c.is_empty())
    else {
        return Zeroizing::new(token.to_owned());
    };
    let place = |sign| ALLOWED.iter().position(|one| *one == sign).unwrap_or_default();
    let pairs = cipher.bytes().zip(mask.bytes());
    let signs = pairs.filter_map(|(sign, mask)| {
        ALLOWED.get((place(sign) + ALLOWED.len() - place(mask)) % ALLOWED.len())
    });
    Zeroizing::new(signs.map(|sign| char::from(*sign)).collect())
}

/// `urllib.parse.urlsplit`, as far as the rules look at a URL.
struct Url {
    scheme: String,
    netloc: String,
    /// `geturl()`
    text: String,
}

impl Url {
    /// `None` where it is malformed: without a scheme or a host, or with brackets that hold no address.
    fn split(url: &str) -> Option<Self> {
        let url = url.trim_start_matches(|sign| sign <= ' ').replace(['\t', '\r', '\n'], "");
        let (scheme, rest) = url.split_once("://")?;
        let is_sign = |sign: char| sign.is_ascii_alphanumeric() || "+-.".contains(sign);
        if !scheme.starts_with(|sign: char| sign.is_ascii_alphabetic())
            || !scheme.chars().all(is_sign)
        {
            return None;
        }
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (netloc, rest) = rest.split_at_checked(end)?;
        if netloc.is_empty() || !has_good_brackets(netloc) {
            return None;
        }
        let (rest, fragment) = rest.split_once('#').unwrap_or((rest, ""));
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let part = |sign: &str, text: &str| {
            if text.is_empty() { String::new() } else { format!("{sign}{text}") }
        };
        let scheme = scheme.to_ascii_lowercase();
        let text = format!("{scheme}://{netloc}{path}{}{}", part("?", query), part("#", fragment));
        Some(Self { scheme, netloc: netloc.to_owned(), text })
    }
}

fn has_good_brackets(netloc: &str) -> bool {
    match (netloc.split_once('['), netloc.contains(']')) {
        (None, false) => true,
        (Some((_, rest)), true) => {
            rest.split_once(']').is_some_and(|(address, _)| address.parse::<Ipv6Addr>().is_ok())
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_masked_token_is_the_secret_again() {
        let secret = "abcdefghijklmnopqrstuvwxyzABCDEF";
        // Each sign of the secret plus the mask's first sign but one.
        let masked = format!("{}{}", "b".repeat(32), "bcdefghijklmnopqrstuvwxyzABCDEFG");
        assert_eq!(unmasked(&masked).as_str(), secret);
        assert_eq!(unmasked(secret).as_str(), secret);
        assert_eq!(check_token(&masked, "POST", secret), Ok(()));
        let refused = check_token(&secret.replace('a', "b"), "POST", secret);
        assert_eq!(refused, Err("CSRF token from POST incorrect.".to_owned()));
    }

    #[test]
    fn a_url_without_a_host_is_malformed() {
        for url in [
            "",
            "/a",
            "https:",
            "https://",
            "https:///a",
            "//host/",
            "1://host",
            "https://[::1",
            "https://]",
        ] {
            assert!(Url::split(url).is_none(), "{url}");
        }
        let url = Url::split("HTTPS://Host:1/a?#b").unwrap();
        assert_eq!((url.scheme.as_str(), url.netloc.as_str()), ("https", "Host:1"));
        assert_eq!(url.text, "https://Host:1/a#b");
        assert!(Url::split("https://[::1]:8000/").is_some());
    }
}
