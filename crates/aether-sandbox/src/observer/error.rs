//! What can go wrong with an observer.

use std::error::Error;
use std::io;
use std::net::SocketAddr;

/// Why an [`Observer`](crate::Observer) call failed.
///
/// [`Unreachable`](Self::Unreachable), [`HungUp`](Self::HungUp) and [`TimedOut`](Self::TimedOut) may
/// pass by themselves; the others are final until somebody changes something.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ObserverError {
    /// No TCP connection could be made.
    #[error("could not reach {address}")]
    Unreachable {
        /// The address.
        address: SocketAddr,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The TLS handshake failed; a refused client certificate shows here.
    #[error("TLS handshake with {address} failed")]
    Tls {
        /// The address.
        address: SocketAddr,
        /// Why, the broker's alert included.
        #[source]
        source: io::Error,
    },
    /// The root, certificate or key cannot be used.
    #[error("credentials cannot be used")]
    Credentials(#[source] Box<dyn Error + Send + Sync>),
    /// The broker answered CONNECT with a refusal.
    #[error("broker refused the connection with return code {code}")]
    Refused {
        /// CONNACK return code (MQTT 3.1.1, section 3.2.2.3).
        code: u8,
    },
    /// The broker answered SUBSCRIBE with the failure code.
    #[error("broker refused the subscription to {filter}")]
    SubscriptionRefused {
        /// The filter.
        filter: String,
    },
    /// The broker closed the connection: its only answer to what a policy does not allow.
    #[error("broker hung up")]
    HungUp,
    /// The broker did not answer in time.
    #[error("no {awaited} within {seconds} s")]
    TimedOut {
        /// The packet that was awaited.
        awaited: &'static str,
        /// How long it was awaited.
        seconds: u64,
    },
}
