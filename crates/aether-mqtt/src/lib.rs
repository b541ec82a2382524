//! One mutual-TLS MQTT session with acknowledged publishes, behind a small seam.
//!
//! ```text
//!                      Connector
//!                          │ connect(options)
//!                          ▼
//!   publish() ──▶ ┌─────────────────┐ ──▶
//!    ticket ◀──── │     Session     │      broker
//!     next() ◀─── │ MQTT 3.1.1, TLS │ ◀──
//!    ended() ◀─── └─────────────────┘
//! ```
//!
//! Depend on it if you want one MQTT connection under a client certificate, to AWS IoT Core or a broker like it, that
//! tells for each message whether the broker has it.
//!
//! It refuses to choose topics, to store anything and to provision. A [`Session`] is one connection and never
//! reconnects: the loop around it is the caller's, paced by [`Backoff`].
//!
//! # Example
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use aether_mqtt::{Backoff, ConnectOptions, Connector, Session};
//!
//! /// Delivers one message, however many connections that takes.
//! async fn deliver(connector: &dyn Connector, options: &ConnectOptions, payload: Arc<[u8]>) {
//!     let topic = "line7-press3".parse().expect("a valid topic");
//!     let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(120));
//!     loop {
//!         if let Ok(session) = connector.connect(options).await {
//!             if let Ok(ticket) = session.publish(&topic, Arc::clone(&payload)) {
//!                 if ticket.await.is_ok() {
//!                     return session.disconnect(Duration::from_secs(1)).await;
//!                 }
//!             }
//!         }
//!         tokio::time::sleep(backoff.next_random_delay()).await;
//!     }
//! }
//! # #[cfg(not(feature = "test-util"))]
//! # fn main() {}
//! # #[cfg(feature = "test-util")]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! #     use aether_mqtt::testing::{self, FakeBroker};
//! #     let broker = FakeBroker::new();
//! #     deliver(&broker.connector(), &testing::options("line7-press3"), b"21.5"[..].into()).await;
//! #     assert_eq!(broker.publishes().len(), 1);
//! # }
//! ```
//!
//! With a real broker, [`RumqttConnector`] stands in the place of the connector.
//!
//! # Keys
//!
//! A [`PrivateKey`] is read from PEM, or stays where it is behind a [`Signer`], as in a PKCS#11 token. Such a key signs
//! the TLS handshake on the thread that drives the connection and blocks it for that long.
//!
//! # Secrets
//!
//! Private keys appear in no `Debug` output, no error and no log at any level.
//!
//! # Features
//!
//! - `test-util` (off by default): `testing`, a broker in memory that can refuse, hold, drop, delay, duplicate and hang
//!   up.

mod backoff;
mod credentials;
mod ending;
mod endpoint;
mod error;
mod names;
mod options;
mod pem;
mod roots;
mod rumqtt;
mod session;
#[cfg(feature = "test-util")]
pub mod testing;
mod ticket;

pub use backoff::Backoff;
pub use credentials::{Credentials, CredentialsError, KeyAlgorithm, PrivateKey, SignError, SignatureScheme, Signer};
pub use endpoint::{Endpoint, InvalidEndpoint};
pub use error::{ConnectError, EndReason, PublishError, SessionEnded, SubscribeError};
pub use names::{ClientId, InvalidName, NameProblem, Topic, TopicFilter};
pub use options::{ConnectOptions, InvalidOptions};
pub use roots::{RootsError, ServerRoots};
pub use rumqtt::RumqttConnector;
pub use session::{Connector, MAX_PAYLOAD, MAX_UNACKNOWLEDGED, Message, Session};
pub use ticket::{PublishTicket, TicketResolver};
