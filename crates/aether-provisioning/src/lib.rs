//! A device identity from AWS IoT Core fleet provisioning by claim, that survives a kill at any point.
//!
//! ```text
//!  claim certificate ─▶ connect ─▶ CreateKeysAndCertificate ─▶ RegisterThing ─▶ Identity
//!                                        │                          │
//!                                        ▼ synced to disk           ▼ synced to disk
//!                                  key, token ─────────────▶ Thing name ──────▶ active
//!                                           IdentityStore              first good connect
//! ```
//!
//! Depend on it if you want a device to get its own Thing name, certificate and key from a claim certificate it was
//! shipped with, and to have exactly one usable answer on disk whenever the power fails.
//!
//! It refuses to open a socket or to read a clock in its core: [`Provisioner`] is a state machine that is given what
//! happens and says what to do; [`provision`] is the loop that does it, over any [`Connector`](aether_mqtt::Connector). It
//! knows no topic but those of fleet provisioning, and publishes nothing else: the connection that proved the new identity
//! is handed on.
//!
//! # Example
//!
//! ```
//! use std::sync::Arc;
//!
//! use aether_mqtt::{Connector, Credentials, Endpoint, ServerRoots};
//! use aether_provisioning::{Claim, IdentityStore, Provisioned, provision};
//!
//! async fn identity(
//!     connector: &dyn Connector,
//!     claim_certificate: Credentials,
//!     store: &Arc<dyn IdentityStore>,
//! ) -> Result<Provisioned, Box<dyn std::error::Error>> {
//!     let endpoint = Endpoint::new("a1b2c3-ats.iot.eu-west-1.amazonaws.com", 8883)?;
//!     let claim = Claim::new(endpoint, ServerRoots::mozilla(), claim_certificate, "Aether".parse()?)
//!         .parameters([("SerialNumber".into(), "P3-00017".into())].into());
//!     Ok(provision(connector, &claim, store, &|stage| tracing::info!(?stage)).await?)
//! }
//! # use aether_mqtt::testing::{self, FakeBroker, PublishReaction};
//! # use aether_provisioning::MemoryStore;
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let broker = FakeBroker::new();
//! # broker.on_publish(|publish| {
//! #     let accepted = format!("{}/accepted", publish.topic).parse().unwrap();
//! #     let (certificate, key) = testing::self_signed("AWS IoT Certificate");
//! #     let answer = match publish.topic.as_str() {
//! #         "$aws/certificates/create/json" => serde_json::json!({
//! #             "certificateId": "5d0c0e6f", "certificatePem": certificate, "privateKey": key,
//! #             "certificateOwnershipToken": "token",
//! #         }),
//! #         _ => serde_json::json!({ "thingName": "line7-press3" }),
//! #     };
//! #     PublishReaction::acknowledge().reply(accepted, answer.to_string())
//! # });
//!
//! # let connector = broker.connector();
//! # let claim_certificate = testing::credentials("AetherClaimCert");
//! let store: Arc<dyn IdentityStore> = Arc::new(MemoryStore::default());
//! let provisioned = identity(&connector, claim_certificate, &store).await?;
//! assert_eq!(provisioned.identity.thing_name().as_str(), "line7-press3");
//! // The session that proved the identity goes on.
//! let session = provisioned.session.expect("it has just connected");
//! session.publish(&"line7-press3".parse()?, Arc::from(*b"hello"))?.await?;
//! # Ok(())
//! # }
//! ```
//!
//! # What a kill leaves
//!
//! | kill | kept | next start |
//! | --- | --- | --- |
//! | before the certificate is issued | nothing | claims again |
//! | after it | certificate, key, token, time of issue | registers with the token within its hour, else claims again |
//! | after the Thing is registered | the identity | connects with it |
//! | after its first good connect | the identity, active | connects with it |
//!
//! Two windows are the cloud's alone to see. A certificate that was issued and whose answer has not arrived: AWS deletes it
//! after an hour, as nothing was registered with it. And a Thing that was registered and whose answer is not on disk yet:
//! the token may be spent then, and if it is, another certificate is asked for and the first stays behind, active.
//!
//! # Keys made on the device
//!
//! A [`KeySource`] makes the private key: [`SoftwareKeys`] in this process, or one over a token. A [`SigningRequest`] asks
//! for its certificate, and is checked before the cloud sees it.
//!
//! # Parameters and policies
//!
//! [`Parameter`] takes a template parameter's value from the settings, a file, the environment or a [`Fact`] about the
//! device, such as its serial number or MAC address. [`policy`] writes the AWS IoT policies that the claim certificate
//! and the device's own need, with nothing beyond.
//!
//! # Other programs
//!
//! An [`Export`] writes the identity for the AWS IoT Device Client, or as a bridge of Mosquitto.
//!
//! # Secrets
//!
//! Private keys and ownership tokens appear in no `Debug` output, no error and no log at any level.
//!
//! # What is kept, and what of it survives
//!
//! [`DirectoryStore`] keeps identities in files: its documentation has the layout, the rename each step takes effect
//! with, and what a kill before and after it leaves. It takes a lock against a second process, refuses files that others
//! can get at, and passes over what is damaged or has expired: the previous identity takes the place of the active one,
//! and where there is none, the claim is used again. [`Contents::findings`] says what was passed over; nothing damaged
//! is removed. [`check_secret_file`] holds the claim's own key file to the same rule.
//!
//! # Features
//!
//! - `test-util` (off by default): `simulated`, a disk in memory that fails, is killed and loses what was not synced.
//!
//! `__fuzz` (off by default) gives fuzz targets a way in and is no part of the interface.

#[cfg(feature = "__fuzz")]
#[doc(hidden)]
pub mod __fuzz;
mod claim;
mod claim_document;
mod driver;
mod error;
mod export;
mod facts;
mod flow;
mod identity;
mod keys;
mod names;
pub mod policy;
mod retry;
mod stage;
mod store;
mod time;
mod wire;

pub use claim::{Claim, KeyPlan};
pub use claim_document::{ClaimDocument, InvalidClaimDocument};
pub use driver::{Adoption, OnStage, Provisioned, adopt_until, provision, provision_until, renew_until};
pub use error::{AnswerProblem, ProvisionError, Step};
pub use export::{Export, ExportError, ExportFormat, Exported, IdentityFiles, InvalidExportFormat};
pub use facts::{Fact, FactError, InvalidFact, Parameter, ParameterError};
pub use flow::{Action, Input, Login, Now, OwnKey, Provisioner, Record, Start};
pub use identity::{Identity, IssuedCertificate, OwnershipToken};
pub use keys::{InvalidKeyKind, InvalidRequest, KeyError, KeyKind, KeySource, SigningRequest, SoftwareKeys};
pub use names::{CertificateId, InvalidName, TemplateName, ThingName};
pub use retry::{InvalidRetry, RetryPolicy};
pub use stage::Stage;
#[cfg(any(test, feature = "test-util"))]
#[doc(hidden)]
pub use store::simulated;
pub use store::{
    Contents, DirectoryStore, Fault, Finding, IdentityStore, MemoryStore, Staged, StoreError, check_secret_file,
};
pub use wire::{Encoding, InvalidEncoding};
