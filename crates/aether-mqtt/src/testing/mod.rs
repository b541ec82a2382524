//! A broker in memory that a test drives: it refuses, holds, drops, delays, duplicates and hangs up on demand.
//!
//! ```
//! use aether_mqtt::Connector as _;
//! use aether_mqtt::testing::{self, FakeBroker, PublishReaction};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let broker = FakeBroker::new();
//! broker.on_publish(|publish| match publish.topic.as_str() {
//!     "forbidden" => PublishReaction::hang_up(),
//!     _ => PublishReaction::acknowledge(),
//! });
//!
//! let session = broker.connector().connect(&testing::options("device-1")).await?;
//! session.publish(&"device-1".parse()?, b"21.5"[..].into())?.await?;
//! assert_eq!(broker.publishes()[0].payload, b"21.5");
//!
//! let ticket = session.publish(&"forbidden".parse()?, b""[..].into())?;
//! assert!(ticket.await.is_err());
//! # Ok(())
//! # }
//! ```

mod broker;
mod reaction;
mod session;

pub use broker::{Connected, FakeBroker, FakeConnector, Published, Subscribed};
pub use reaction::{ConnectReaction, PublishReaction, SubscribeReaction};

use crate::{ClientId, ConnectOptions, Credentials, Endpoint};

/// A fresh self-signed certificate and its private key (ECDSA P-256), both in PEM.
///
/// # Panics
///
/// If `common_name` cannot stand in a certificate.
#[must_use]
pub fn self_signed(common_name: &str) -> (String, String) {
    let key = rcgen::KeyPair::generate().expect("a P-256 key can be made");
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name.push(rcgen::DnType::CommonName, common_name);
    let certificate = params.self_signed(&key).expect("the common name can stand in a certificate");
    (certificate.pem(), key.serialize_pem())
}

/// A certificate for somebody else's public key (SubjectPublicKeyInfo, DER), signed by a CA made for it, in PEM: what a
/// cloud answers a signing request with.
///
/// # Panics
///
/// If the key is not readable, or `common_name` cannot stand in a certificate.
#[must_use]
pub fn certificate_of(public_key_der: &[u8], common_name: &str) -> String {
    let subject = rcgen::SubjectPublicKeyInfo::from_der(public_key_der).expect("a public key");
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name.push(rcgen::DnType::CommonName, common_name);
    let key = rcgen::KeyPair::generate().expect("a P-256 key can be made");
    let issuer = rcgen::Issuer::new(rcgen::CertificateParams::default(), key);
    params.signed_by(&subject, &issuer).expect("the common name can stand in a certificate").pem()
}

/// Fresh credentials of a self-signed certificate.
///
/// # Panics
///
/// If `common_name` cannot stand in a certificate.
#[must_use]
pub fn credentials(common_name: &str) -> Credentials {
    let (certificate, key) = self_signed(common_name);
    Credentials::from_pem(certificate.as_bytes(), key.as_bytes()).expect("a fresh pair belongs together")
}

/// Options to connect as `client_id`, to an endpoint that only a fake answers.
///
/// # Panics
///
/// If `client_id` is not a valid client identifier.
#[must_use]
pub fn options(client_id: &str) -> ConnectOptions {
    let client_id: ClientId = client_id.parse().expect("a valid client id");
    let endpoint = Endpoint::new("broker.invalid", 8883).expect("a valid endpoint");
    let credentials = credentials(client_id.as_str());
    ConnectOptions::new(endpoint, client_id, credentials)
}
