//! Where the broker is.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

/// A broker's host name and port.
///
/// The host is also the name that the broker's certificate must carry and that is sent as TLS server name indication.
/// A DNS name or an IPv4 address; IPv6 addresses need a DNS name that leads to them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    host: Box<str>,
    port: u16,
}

/// Why a host and port are not an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidEndpoint {
    /// The host is not a DNS name or IPv4 address.
    #[error(
        "endpoint host {found:?} is not a DNS name or IPv4 address, expected for example \"<prefix>-ats.iot.eu-west-1.amazonaws.com\""
    )]
    Host {
        /// The host given.
        found: Box<str>,
    },
    /// The host is an IPv6 address.
    #[error("endpoint host {found:?} is an IPv6 address, expected a DNS name or an IPv4 address")]
    Ipv6 {
        /// The host given.
        found: Box<str>,
    },
    /// The port is 0.
    #[error("endpoint port 0 is not valid, expected 1 to 65535, for AWS IoT Core 8883 or 443")]
    Port,
}

impl Endpoint {
    /// An endpoint at `host` and `port`.
    ///
    /// # Errors
    ///
    /// [`InvalidEndpoint`] if the host is neither a DNS name (RFC 1123, section 2.1; underscores are let through) nor
    /// an IPv4 address, or if the port is 0.
    pub fn new(host: &str, port: u16) -> Result<Self, InvalidEndpoint> {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        if bare.parse::<Ipv6Addr>().is_ok() {
            return Err(InvalidEndpoint::Ipv6 { found: host.into() });
        }
        if !is_host(host) {
            return Err(InvalidEndpoint::Host { found: host.into() });
        }
        if port == 0 {
            return Err(InvalidEndpoint::Port);
        }
        Ok(Self { host: host.into(), port })
    }

    /// The host name or IPv4 address.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The TCP port, never 0.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

fn is_host(host: &str) -> bool {
    if host.parse::<Ipv4Addr>().is_ok() {
        return true;
    }
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // A name whose last label is all digits is a mistyped address, never a DNS name.
    let numeric_end = host.rsplit('.').next().is_some_and(|l| l.bytes().all(|b| b.is_ascii_digit()));
    host.len() <= 253 && !numeric_end && host.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_dns_name_or_an_ipv4_address() {
        for host in ["localhost", "a1b2-ats.iot.eu-west-1.amazonaws.com", "127.0.0.1", "plant_broker.local"] {
            let endpoint = Endpoint::new(host, 8883).unwrap();
            assert_eq!(endpoint.host(), host);
            assert_eq!(endpoint.to_string(), format!("{host}:8883"));
        }
        for host in ["", "https://x", "a b", "host:8883", "-x", "a..b", "300.1.1.1"] {
            assert!(matches!(Endpoint::new(host, 8883), Err(InvalidEndpoint::Host { .. })), "{host:?}");
        }
        assert!(matches!(Endpoint::new("[::1]", 8883), Err(InvalidEndpoint::Ipv6 { .. })));
        assert_eq!(Endpoint::new("localhost", 0), Err(InvalidEndpoint::Port));
    }
}
