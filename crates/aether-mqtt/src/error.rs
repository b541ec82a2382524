//! What can go wrong: connecting, publishing, subscribing, and the end of a session.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::{InvalidOptions, SignError};

type Source = Box<dyn Error + Send + Sync>;

/// Why a connection was not made.
///
/// [`is_retryable`](Self::is_retryable) tells whether the same attempt may succeed later.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// A setting is out of range. Final.
    #[error("the connection's settings are not valid")]
    Settings(#[source] InvalidOptions),
    /// The host name could not be resolved.
    #[error("could not resolve host {host:?}")]
    Dns {
        /// The name looked up.
        host: String,
        /// What the resolver said.
        source: Source,
    },
    /// The network failed before the broker had accepted the connection.
    #[error("could not reach {endpoint}")]
    Io {
        /// Host and port.
        endpoint: String,
        /// What the operating system said.
        source: Source,
    },
    /// DNS, TCP, TLS and CONNACK together took too long.
    #[error("no connection to {endpoint} within {within:?}")]
    Timeout {
        /// Host and port.
        endpoint: String,
        /// The time that was allowed.
        within: Duration,
    },
    /// No secure connection: the broker's certificate was not accepted here (unknown root, other name, not valid now),
    /// or the two sides share no TLS parameters.
    #[error("no secure connection to {endpoint}")]
    Tls {
        /// Host and port.
        endpoint: String,
        /// What the TLS library said.
        source: Source,
    },
    /// Our own private key, which stays elsewhere, did not sign the TLS handshake.
    #[error("the private key did not sign the connection to {endpoint}")]
    Sign {
        /// Host and port.
        endpoint: String,
        /// What its holder said.
        source: Arc<SignError>,
    },
    /// The broker did not accept the client certificate.
    ///
    /// In TLS 1.3 this arrives after the handshake (RFC 8446, section 4.4.2.4).
    #[error("{endpoint} refused the client certificate with TLS alert \"{alert}\"")]
    CertificateRefused {
        /// Host and port.
        endpoint: String,
        /// Name of the alert, as in RFC 8446, section 6.
        alert: String,
    },
    /// The broker answered the CONNECT with a refusal (MQTT 3.1.1, section 3.2.2.3).
    #[error("{endpoint} refused the connection with return code {return_code} ({})", meaning(*return_code))]
    Refused {
        /// Host and port.
        endpoint: String,
        /// 1 protocol version, 2 identifier, 3 unavailable, 4 user name or password, 5 not authorized.
        return_code: u8,
    },
    /// The broker closed the connection without an answer. AWS IoT Core does so on a policy that denies the connect.
    #[error("{endpoint} closed the connection before accepting it")]
    Closed {
        /// Host and port.
        endpoint: String,
    },
    /// The broker answered with something that is not a CONNACK.
    #[error("{endpoint} did not answer the connect as MQTT 3.1.1 requires")]
    Protocol {
        /// Host and port.
        endpoint: String,
        /// What was wrong with the answer.
        source: Source,
    },
}

impl ConnectError {
    /// Whether the same attempt may succeed later, without a change on this side.
    ///
    /// False for settings out of range, for the refusals of protocol version, client id, user name and password, and for
    /// a key whose [error](SignError::is_retryable) is final. A
    /// refused certificate, a policy that denies, and a broker that is not trusted (a clock not yet set, a portal in
    /// between) can all be put right elsewhere.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Settings(_) => false,
            Self::Sign { source, .. } => source.is_retryable(),
            Self::Refused { return_code, .. } => !matches!(return_code, 1 | 2 | 4),
            Self::Dns { .. }
            | Self::Io { .. }
            | Self::Timeout { .. }
            | Self::Tls { .. }
            | Self::CertificateRefused { .. }
            | Self::Closed { .. }
            | Self::Protocol { .. } => true,
        }
    }
}

fn meaning(return_code: u8) -> &'static str {
    match return_code {
        1 => "unacceptable protocol version",
        2 => "identifier rejected",
        3 => "server unavailable",
        4 => "bad user name or password",
        5 => "not authorized",
        _ => "reserved",
    }
}

/// Why a publish was not acknowledged.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// As many publishes as allowed are unacknowledged. Try again when a ticket has resolved.
    #[error("{limit} publishes are not acknowledged yet")]
    WindowFull {
        /// The most that may be unacknowledged.
        limit: usize,
    },
    /// The payload is larger than a broker such as AWS IoT Core takes. Final for this message.
    #[error("the payload has {bytes} bytes, at most {limit} are allowed")]
    TooLarge {
        /// Size found, in bytes.
        bytes: usize,
        /// Largest size, in bytes.
        limit: usize,
    },
    /// The session is over. Try again in a new one.
    #[error("the session ended before the publish was acknowledged")]
    Ended(#[source] SessionEnded),
}

/// Why a subscription was not made.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SubscribeError {
    /// The broker answered with the failure code (MQTT 3.1.1, section 3.9.3).
    #[error("the broker refused the subscription to {filter:?}")]
    Refused {
        /// The filter refused.
        filter: String,
    },
    /// The session is over.
    #[error("the session ended before the subscription was acknowledged")]
    Ended(#[source] SessionEnded),
}

/// A session is over, and why.
#[derive(Clone, Debug)]
pub struct SessionEnded {
    reason: EndReason,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

/// What ended a session.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EndReason {
    /// The broker closed the connection. AWS IoT Core does so on a publish or subscribe its policy denies.
    ClosedByPeer,
    /// The broker sent a TLS alert.
    TlsAlert {
        /// Name of the alert, as in RFC 8446, section 6.
        alert: String,
    },
    /// The broker did not answer a ping within the keep-alive.
    KeepAlive,
    /// A publish or subscribe stayed unacknowledged too long.
    AckTimeout {
        /// The age that was allowed.
        after: Duration,
    },
    /// The network failed.
    Io,
    /// The broker sent what MQTT 3.1.1 does not allow.
    Protocol,
    /// Nobody took the incoming messages while they kept coming.
    Overflow {
        /// Messages that were waiting.
        waiting: usize,
    },
    /// This side ended it: [`Session::disconnect`](crate::Session::disconnect), or the session was dropped.
    Disconnected,
}

impl SessionEnded {
    /// A session that ended for `reason`.
    #[must_use]
    pub fn new(reason: EndReason) -> Self {
        Self { reason, source: None }
    }

    /// The same, with the error that caused it.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(Arc::from(source.into()));
        self
    }

    /// What ended the session.
    #[must_use]
    pub fn reason(&self) -> &EndReason {
        &self.reason
    }
}

impl fmt::Display for SessionEnded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reason {
            EndReason::ClosedByPeer => f.write_str("the broker closed the connection"),
            EndReason::TlsAlert { alert } => write!(f, "the broker ended the connection with TLS alert \"{alert}\""),
            EndReason::KeepAlive => f.write_str("the broker did not answer a ping within the keep-alive"),
            EndReason::AckTimeout { after } => write!(f, "the broker left a request unacknowledged for {after:?}"),
            EndReason::Io => f.write_str("the network connection failed"),
            EndReason::Protocol => f.write_str("the broker broke the MQTT protocol"),
            EndReason::Overflow { waiting } => write!(f, "{waiting} incoming messages were not taken"),
            EndReason::Disconnected => f.write_str("the session was closed by this side"),
        }
    }
}

impl Error for SessionEnded {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|e| e as &(dyn Error + 'static))
    }
}
