//! The address of an OPC UA server: `opc.tcp://host[:port][/path]`.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    str::FromStr,
};

/// The port that IANA gives to OPC UA, used where the address names none.
const DEFAULT_PORT: u16 = 4840;
const SCHEME: &str = "opc.tcp://";

/// Where an OPC UA server listens: `opc.tcp://host[:port][/path]`, port 4840 unless named.
///
/// The host is a name, an IPv4 address or an IPv6 address in brackets. Port 0 asks for any free
/// port. Follows OPC UA Part 6, section 7.2.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OpcUaUrl {
    host: Box<str>,
    port: u16,
    path: Box<str>,
}

impl OpcUaUrl {
    /// Returns the host as it was given, an IPv6 address without its brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the port.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Returns the path with its slash; empty where there is none.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether only this machine can reach the address: `127.0.0.0/8`, `::1` or `localhost`.
    pub fn is_loopback(&self) -> bool {
        match self.ip() {
            Some(ip) => ip.to_canonical().is_loopback(),
            None => self.host.eq_ignore_ascii_case("localhost"),
        }
    }

    /// Returns the host as an address, where it is one.
    pub(crate) fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    /// Returns the same address with another host and port.
    pub(crate) fn with(&self, host: &str, port: u16) -> Self {
        Self { host: host.into(), port, path: self.path.clone() }
    }

    /// Returns the host as it stands in an address: an IPv6 address in brackets.
    pub(crate) fn bracketed_host(&self) -> String {
        if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.to_string() }
    }
}

impl fmt::Display for OpcUaUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}:{}{}", self.bracketed_host(), self.port, self.path)
    }
}

/// A text that is not the address of an OPC UA server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is not an OPC UA address: {reason}; expected a form like opc.tcp://127.0.0.1:4840")]
pub struct InvalidOpcUaUrl {
    found: String,
    reason: &'static str,
}

impl FromStr for OpcUaUrl {
    type Err = InvalidOpcUaUrl;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = |reason| InvalidOpcUaUrl { found: text.to_owned(), reason };
        let rest = text.strip_prefix(SCHEME).ok_or_else(|| invalid("it does not start with opc.tcp://"))?;
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        if !path.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'?' | b'#')) {
            return Err(invalid("the path has a character that is not allowed"));
        }
        let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
            let (host, after) = rest.split_once(']').ok_or_else(|| invalid("the bracket is not closed"))?;
            host.parse::<Ipv6Addr>().map_err(|_| invalid("no IPv6 address stands in the brackets"))?;
            match after.strip_prefix(':') {
                Some(port) => (host, Some(port)),
                None if after.is_empty() => (host, None),
                None => return Err(invalid("something other than a port follows the bracket")),
            }
        } else {
            match authority.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, None),
            }
        };
        if host.is_empty() {
            return Err(invalid("the host is empty"));
        }
        if !authority.starts_with('[') && !is_host(host) {
            return Err(invalid("the host is neither a name nor an address"));
        }
        let port = match port {
            None => DEFAULT_PORT,
            Some(port) if port.bytes().all(|b| b.is_ascii_digit()) => {
                port.parse().map_err(|_| invalid("the port is not a number from 0 to 65535"))?
            }
            Some(_) => return Err(invalid("the port is not a number from 0 to 65535")),
        };
        Ok(Self { host: host.into(), port, path: path.into() })
    }
}

/// Whether `host` is made of labels as RFC 1123 has them; four numbers must be an IPv4 address.
fn is_host(host: &str) -> bool {
    let label = |l: &str| {
        (1..=63).contains(&l.len())
            && !l.starts_with('-')
            && !l.ends_with('-')
            && l.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    let numbers_only = host.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    host.len() <= 253
        && host.strip_suffix('.').unwrap_or(host).split('.').all(label)
        && (!numbers_only || host.parse::<IpAddr>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_with_its_defaults_and_printed_in_full() {
        for (text, printed) in [
            ("opc.tcp://127.0.0.1:4841", "opc.tcp://127.0.0.1:4841"),
            ("opc.tcp://plc-gw.example", "opc.tcp://plc-gw.example:4840"),
            ("opc.tcp://[::1]:0/aether", "opc.tcp://[::1]:0/aether"),
            ("opc.tcp://[fe80::1]", "opc.tcp://[fe80::1]:4840"),
        ] {
            let url = text.parse::<OpcUaUrl>().unwrap();
            assert_eq!(url.to_string(), printed);
            assert_eq!(printed.parse::<OpcUaUrl>().unwrap(), url);
        }
    }

    #[test]
    fn only_this_machine_is_loopback() {
        for (host, loopback) in [
            ("127.0.0.1", true),
            ("127.8.9.1", true),
            ("[::1]", true),
            ("[::ffff:127.0.0.1]", true),
            ("localhost", true),
            ("LocalHost", true),
            ("0.0.0.0", false),
            ("[::]", false),
            ("192.168.1.5", false),
            ("localhost.example", false),
        ] {
            let url: OpcUaUrl = format!("opc.tcp://{host}").parse().unwrap();
            assert_eq!(url.is_loopback(), loopback, "{host}");
        }
    }

    #[test]
    fn a_bad_text_is_named_with_the_reason() {
        for (text, reason) in [
            ("", "opc.tcp://"),
            ("http://127.0.0.1", "does not start"),
            ("opc.tcp://", "host is empty"),
            ("opc.tcp://:4840", "host is empty"),
            ("opc.tcp://h:x", "port is not"),
            ("opc.tcp://h:+1", "port is not"),
            ("opc.tcp://h:65536", "port is not"),
            ("opc.tcp://[::1", "not closed"),
            ("opc.tcp://[x]", "IPv6"),
            ("opc.tcp://[::1]x", "follows the bracket"),
            ("opc.tcp://a b", "neither a name"),
            ("opc.tcp://256.1.1.1", "neither a name"),
            ("opc.tcp://h/a b", "path"),
        ] {
            let error = text.parse::<OpcUaUrl>().unwrap_err().to_string();
            assert!(error.contains(reason) && error.contains(&format!("`{text}`")), "{text}: {error}");
        }
    }
}
