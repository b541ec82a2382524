//! What a connection is made with.

use std::time::Duration;

use crate::{ClientId, Credentials, Endpoint, ServerRoots};

/// Everything a [`Connector`](crate::Connector) needs for one connection.
///
/// TLS 1.2 or 1.3 with the server name always sent and verified; ALPN `x-amzn-mqtt-ca` exactly when the port is 443
/// (AWS IoT Core, "Device communication protocols"); MQTT 3.1.1 with a clean session. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    endpoint: Endpoint,
    client_id: ClientId,
    credentials: Credentials,
    roots: ServerRoots,
    keep_alive: Duration,
    connect_timeout: Duration,
    ack_timeout: Duration,
}

/// A setting of [`ConnectOptions`] that is out of its range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{setting} of {found:?} is out of range, expected {least:?} to {most:?}")]
pub struct InvalidOptions {
    setting: &'static str,
    found: Duration,
    least: Duration,
    most: Duration,
}

impl ConnectOptions {
    /// Shortest keep-alive.
    pub const MIN_KEEP_ALIVE: Duration = Duration::from_secs(5);
    /// Longest keep-alive, AWS IoT Core's own upper bound.
    pub const MAX_KEEP_ALIVE: Duration = Duration::from_secs(20 * 60);

    /// Options for a connection to `endpoint` as `client_id`, proven by `credentials`, with every default.
    #[must_use]
    pub fn new(endpoint: Endpoint, client_id: ClientId, credentials: Credentials) -> Self {
        Self {
            endpoint,
            client_id,
            credentials,
            roots: ServerRoots::default(),
            keep_alive: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(20),
            ack_timeout: Duration::from_secs(30),
        }
    }

    /// Who may vouch for the broker. Default: Mozilla's roots.
    #[must_use]
    pub fn roots(mut self, roots: ServerRoots) -> Self {
        self.roots = roots;
        self
    }

    /// Time between two pings to the broker. Default: 30 s. Range: 5 s to 20 min; whole seconds are sent.
    #[must_use]
    pub fn keep_alive(mut self, keep_alive: Duration) -> Self {
        self.keep_alive = keep_alive;
        self
    }

    /// Longest time for DNS, TCP, TLS and CONNACK together. Default: 20 s. Range: 10 ms to 10 min.
    #[must_use]
    pub fn connect_timeout(mut self, connect_timeout: Duration) -> Self {
        self.connect_timeout = connect_timeout;
        self
    }

    /// Oldest age of a publish without its PUBACK, or a subscribe without its SUBACK, before the connection counts as
    /// dead and is dropped. Default: 30 s. Range: 10 ms to 10 min.
    #[must_use]
    pub fn ack_timeout(mut self, ack_timeout: Duration) -> Self {
        self.ack_timeout = ack_timeout;
        self
    }

    /// Checks every setting against its range. Connectors do this first.
    ///
    /// # Errors
    ///
    /// [`InvalidOptions`] names the first setting out of range, the value found and the range.
    pub fn check(&self) -> Result<(), InvalidOptions> {
        let (shortest, longest) = (Duration::from_millis(10), Duration::from_secs(600));
        in_range("keep_alive", self.keep_alive, Self::MIN_KEEP_ALIVE, Self::MAX_KEEP_ALIVE)?;
        in_range("connect_timeout", self.connect_timeout, shortest, longest)?;
        in_range("ack_timeout", self.ack_timeout, shortest, longest)
    }

    /// Where to connect to.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The client identifier to connect as.
    #[must_use]
    pub fn client_id(&self) -> &ClientId {
        &self.client_id
    }

    /// The certificate and key to connect with.
    #[must_use]
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// Who may vouch for the broker.
    #[must_use]
    pub fn server_roots(&self) -> &ServerRoots {
        &self.roots
    }

    /// Time between two pings.
    #[must_use]
    pub fn keep_alive_interval(&self) -> Duration {
        self.keep_alive
    }

    /// Longest time for connecting.
    #[must_use]
    pub fn connect_limit(&self) -> Duration {
        self.connect_timeout
    }

    /// Oldest age of an unacknowledged publish or subscribe.
    #[must_use]
    pub fn ack_limit(&self) -> Duration {
        self.ack_timeout
    }
}

fn in_range(setting: &'static str, found: Duration, least: Duration, most: Duration) -> Result<(), InvalidOptions> {
    if (least..=most).contains(&found) { Ok(()) } else { Err(InvalidOptions { setting, found, least, most }) }
}
