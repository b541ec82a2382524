//! An independent small MQTT 3.1.1 subscriber over mutual TLS.

mod client;
mod credentials;

pub use client::{Message, Observer, ObserverError};
pub use credentials::{Credentials, CredentialsError};
