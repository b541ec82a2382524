//! The client's own side: connect, subscribe, receive, publish.

use std::io;
use std::net::SocketAddr;

use super::Credentials;

/// An MQTT 3.1.1 client that shares no code with Aether's device side.
#[derive(Debug)]
pub struct Observer {}

impl Observer {
    /// Connects.
    ///
    /// # Errors
    ///
    /// [`ObserverError`].
    pub async fn connect(
        _address: SocketAddr,
        _credentials: &Credentials,
        _client_id: &str,
    ) -> Result<Self, ObserverError> {
        Err(ObserverError::HungUp)
    }

    /// Subscribes.
    ///
    /// # Errors
    ///
    /// [`ObserverError`].
    pub async fn subscribe(&self, _filter: &str) -> Result<(), ObserverError> {
        Err(ObserverError::HungUp)
    }

    /// Publishes.
    ///
    /// # Errors
    ///
    /// [`ObserverError`].
    pub async fn publish(&self, _topic: &str, _payload: &[u8]) -> Result<(), ObserverError> {
        Err(ObserverError::HungUp)
    }

    /// Waits for the next message; `None` once the connection is gone.
    pub async fn next(&mut self) -> Option<Message> {
        None
    }

    /// Waits until the connection is gone.
    pub async fn closed(&self) {}

    /// Says goodbye and closes.
    pub async fn disconnect(self) {}
}

/// A received message.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message {
    /// Topic it was published to.
    pub topic: String,
    /// Its payload.
    pub payload: Vec<u8>,
}

/// Why an [`Observer`] call failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ObserverError {
    /// The address cannot be reached.
    #[error("could not reach {address}")]
    Unreachable {
        /// The address.
        address: SocketAddr,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The TLS handshake failed.
    #[error("TLS handshake with {address} failed")]
    Tls {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The certificate or key cannot be used.
    #[error("credentials cannot be used")]
    Credentials(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The broker answered CONNECT with a refusal.
    #[error("broker refused the connection with return code {code}")]
    Refused {
        /// CONNACK return code, MQTT 3.1.1 section 3.2.2.3.
        code: u8,
    },
    /// The broker answered SUBSCRIBE with a failure code.
    #[error("broker refused the subscription to {filter}")]
    SubscriptionRefused {
        /// The filter.
        filter: String,
    },
    /// The broker closed the connection.
    #[error("broker hung up")]
    HungUp,
    /// The broker did not answer in time.
    #[error("no {awaited} within {seconds} s")]
    TimedOut {
        /// What was awaited.
        awaited: &'static str,
        /// How long.
        seconds: u64,
    },
}
