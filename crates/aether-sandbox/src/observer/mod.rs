//! An independent small MQTT 3.1.1 client over mutual TLS.
//!
//! ```text
//!  subscribe(), publish() ─▶ ┌──────┐ ─▶
//!                            │ Link │     broker
//!                  next() ◀─ └──────┘ ◀─
//! ```

mod client;
mod credentials;
mod error;
mod link;

pub use client::{Message, Observer};
pub use credentials::{Credentials, CredentialsError};
pub use error::ObserverError;
