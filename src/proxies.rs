//! What a proxy in front says of a request: whom it is from, and its number.

use std::net::IpAddr;

use getrandom::Error;
use http::{HeaderMap, HeaderName, HeaderValue};
use poem::Addr;

use crate::settings::Networks;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// A UUID has so many signs. A key of DRF's has more, and is never taken for a number.
const MAX_ID: usize = 36;

/// Where the client is: the last address of `X-Forwarded-For`, read from the right, that is not of
/// a proxy we trust. The others could have been written by anybody.
#[must_use]
pub fn client(peer: &Addr, headers: &HeaderMap, trusted: &Networks) -> Option<IpAddr> {
    let mut client = address(peer);
    if !is_trusted(peer, trusted) {
        return client;
    }
    let lines = headers.get_all(&X_FORWARDED_FOR);
    let lines: Vec<&str> = lines.iter().filter_map(|line| line.to_str().ok()).collect();
    for written in lines.iter().rev().flat_map(|line| line.rsplit(',')) {
        // What is no address was written by nobody whom we trust.
        let Ok(address) = written.trim().parse::<IpAddr>() else { break };
        let address = address.to_canonical();
        client = Some(address);
        if !trusted.contains(address) {
            break;
        }
    }
    client
}

fn address(peer: &Addr) -> Option<IpAddr> {
    peer.as_socket_addr().map(|address| address.ip().to_canonical())
}

/// Whether what the peer says of a request is believed.
#[must_use]
pub fn is_trusted(peer: &Addr, trusted: &Networks) -> bool {
    address(peer).map_or_else(|| trusted.unix(), |address| trusted.contains(address))
}

/// The number of a request: the proxy's own, or a new one.
#[derive(Debug, Clone)]
pub struct RequestId(pub String);

impl RequestId {
    /// As it stands in `header`, if a trusted proxy wrote it and it could be nothing else.
    pub fn of(
        peer: &Addr,
        headers: &HeaderMap,
        header: &HeaderName,
        trusted: &Networks,
        random: fn(&mut [u8]) -> Result<(), Error>,
    ) -> Self {
        let is_sign = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.=".contains(&byte);
        let given = headers.get(header).map(HeaderValue::as_bytes).unwrap_or_default();
        if is_trusted(peer, trusted)
            && (1..=MAX_ID).contains(&given.len())
            && given.iter().copied().all(is_sign)
        {
            return Self(String::from_utf8_lossy(given).into_owned());
        }
        let mut bytes = [0; 16];
        // Without randomness the number says only that.
        let _ = random(&mut bytes);
        Self(format!("{:032x}", u128::from_be_bytes(bytes)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Raw, SettingValue};

    fn seen(peer: &str, lines: &[&str]) -> String {
        let trusted = Networks::parse(&Raw::Text("10.0.0.0/8,192.0.2.1,::1,unix".to_owned()));
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(X_FORWARDED_FOR, HeaderValue::from_bytes(line.as_bytes()).unwrap());
        }
        let peer = match peer {
            "unix" => Addr::custom("unix", ""),
            peer => Addr::socket(std::net::SocketAddr::new(peer.parse().unwrap(), 1)),
        };
        client(&peer, &headers, &trusted.unwrap()).map_or("-".to_owned(), |ip| ip.to_string())
    }

    #[test]
    fn the_header_of_a_stranger_is_not_read() {
        assert_eq!(seen("203.0.113.5", &["198.51.100.1"]), "203.0.113.5");
    }

    #[test]
    fn from_the_right_the_first_address_that_is_not_trusted_is_the_clients() {
        for (peer, lines, client) in [
            ("10.1.2.3", &["198.51.100.1"][..], "198.51.100.1"),
            ("10.1.2.3", &["1.2.3.4, 198.51.100.1, 10.9.9.9"], "198.51.100.1"),
            ("10.1.2.3", &["1.2.3.4", "198.51.100.1,192.0.2.1"], "198.51.100.1"),
            ("::ffff:10.1.2.3", &["2001:db8::1"], "2001:db8::1"),
            ("unix", &["198.51.100.1"], "198.51.100.1"),
        ] {
            assert_eq!(seen(peer, lines), client, "{peer} {lines:?}");
        }
    }

    #[test]
    fn what_is_no_address_ends_the_walk() {
        for (lines, client) in [
            (&[][..], "10.1.2.3"),
            (&[""], "10.1.2.3"),
            (&["198.51.100.1, unknown"], "10.1.2.3"),
            (&["198.51.100.1, unknown, 10.4.4.4"], "10.4.4.4"),
            (&["é"], "10.1.2.3"),
        ] {
            assert_eq!(seen("10.1.2.3", lines), client, "{lines:?}");
        }
        assert_eq!(seen("unix", &[]), "-");
    }

    #[test]
    fn a_number_that_could_be_something_else_is_not_taken() {
        let header = HeaderName::from_static("x-request-id");
        let from = |given: &str, peer: &str| {
            let headers = HeaderMap::from_iter([(header.clone(), given.parse().unwrap())]);
            let trusted = Networks::parse(&Raw::Text("10.0.0.1".to_owned())).unwrap();
            let peer = Addr::socket(std::net::SocketAddr::new(peer.parse().unwrap(), 1));
            RequestId::of(&peer, &headers, &header, &trusted, |_| Ok(())).0
        };
        let id = |given: &str| from(given, "10.0.0.1");
        assert_eq!(from("a", "10.0.0.2"), "0".repeat(32), "not by a stranger");
        for given in ["a", "0b0ba6a4-1f2e-4a4b-9a0e-2f1f0b0ba6a4", &"a".repeat(36)] {
            assert_eq!(id(given), given);
        }
        for given in ["", "a b", "a\u{e9}", "a\"b", &"a".repeat(37)] {
            assert_eq!(id(given), "0".repeat(32), "{given}");
        }
    }
}
