//! An offline AWS IoT Core for development, CI and integrators.
//!
//! ```text
//!              mutual TLS       CONNECT, PUBLISH, SUBSCRIBE, each delivery
//!  device ──▶ certificates ──▶ IoT policies ──▶ topics ──▶ other clients
//!             of the registry,       │             └─────▶ fleet provisioning:
//!             registered CAs         ▼                     key, certificate, Thing
//!                              decision log
//! ```
//!
//! Depend on it if your tests or your workbench need a broker that is as strict as AWS: client
//! certificates with a status, the claim and device policies evaluated word by word, a hang-up where
//! AWS hangs up, and provisioning by claim over the real topics. As a program it is
//! `aether sandbox up`.
//!
//! It refuses to depend on the crates of the device side: it is a second, independent reading of AWS's
//! documents, and the device side has to agree with it. It is no broker for production. It logs no
//! key, no ownership token and no payload.
//!
//! # Example
//!
//! A sandbox on a free port and in a directory of its own, and its observer watching every topic:
//!
//! ```
//! use aether_sandbox::{Observer, Sandbox};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let sandbox = Sandbox::builder().start().await?;
//!
//! let credentials = sandbox.files().observer_credentials()?;
//! let observer = Observer::connect(sandbox.local_addr(), &credentials, "watcher").await?;
//! observer.subscribe("#").await?;
//! // Point your device at sandbox.local_addr(), sandbox.files().ca(), .claim_cert() and .claim_key(),
//! // then wait for observer.next() to give you what it publishes.
//!
//! // The observer's policy lets it publish nothing: the sandbox hangs up.
//! assert!(observer.publish("press-3", b"25.0").await.is_err());
//! sandbox.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! # The control plane
//!
//! With [`SandboxBuilder::control`], `boto3` and the `aws` command line work once `AWS_ENDPOINT_URL_IOT`
//! and `AWS_ENDPOINT_URL_IOT_DATA_PLANE` are [`Sandbox::control_url`], with any credentials: a
//! signature has to be there, and is not checked. So whoever reaches the port may do everything. It
//! listens on loopback addresses unless told otherwise, and refuses pages of other origins and names
//! it does not know (DNS rebinding).
//!
//! # The directory
//!
//! | file | what it is |
//! | --- | --- |
//! | `ca.pem` | root of the server certificate, for clients to trust |
//! | `claim.pem`, `claim.key` | claim certificate: may provision, nothing else |
//! | `observer.pem`, `observer.key` | operator certificate: receives everything, publishes nothing |
//! | `policies/*.json` | IoT policies, written at the first start and evaluated from there |
//! | `template.json` | the provisioning template, likewise |
//! | `audit.jsonl` | every decision, one JSON object a line ([`AuditRecord::to_json`]) |
//! | `sessions.jsonl`, `retained.jsonl` | persistent sessions with their stored messages, and retained messages |
//! | `account.jsonl`, `customer-cas/`, `private/`, `settings.json`, `lock` | the sandbox's own |
//!
//! Private keys have mode 0600 and the directories it makes 0700, both from their creation. A
//! directory that was there before keeps its mode; one that group or others may look into is warned
//! of at the start. Policies and template may be edited while no sandbox runs; what cannot be
//! evaluated stops the next start with the file and the place. A sandbox started again on its
//! directory knows its Things and certificates.
//!
//! Resource names use the Region `eu-west-1` and the account `123456789012`.
//!
//! # What it keeps to, and what it leaves out
//!
//! | matter | behaviour |
//! | --- | --- |
//! | MQTT | 3.1.1 and 5, QoS 0 and 1; MQTT 5 without subscription identifiers and AUTH |
//! | violation of a policy | MQTT 3.1.1: the connection is closed, without CONNACK, SUBACK or PUBACK; MQTT 5: reason 0x87 in CONNACK, SUBACK or PUBACK, and in DISCONNECT for QoS 0; a delivery is left out silently |
//! | QoS 2 | MQTT 3.1.1: a PUBLISH or SUBSCRIBE gets no answer, a last will with it no CONNACK; MQTT 5: reason 0x9B |
//! | sessions | persistent ones live for 1 h without a connection, on disk too; stored messages come at 10 a second, new ones pass them |
//! | retained messages | one a topic, on disk too; for a subscription to exactly that topic alone |
//! | client id | up to 128 bytes, none that starts with `$`; without one a clean session gets `$GEN/…`; a second connection takes over; one CONNECT a second |
//! | topics | 256 bytes, 7 slashes; `a/#` does not take in `a`; `$` topics are reserved for the service; `$share/<name>/…` for both versions; `$aws/rules/…` is taken and goes to no client |
//! | limits | [`Limits`]: AWS's unless set otherwise. Messages beyond 100 a second on one connection are discarded without PUBACK |
//! | keep-alive | 30 to 1200 s, the nearest is taken, 0 stands for 1200 s; closed after one and a half times of it |
//! | lifecycle events | `$aws/events/presence/…` and `$aws/events/subscriptions/…`, QoS 1 |
//! | TLS | 1.2 and 1.3, client certificate required, no resumption. ALPN: none, or `x-amzn-mqtt-ca` among the names offered ([`AlpnRule`]). SNI: one of the server certificate's names ([`SandboxBuilder::endpoint_name`]) or none ([`SniRule`]); needed with certificates of the mode `SNI_ONLY` |
//! | client certificates | X.509 version 1 and 3, RSA of 2048 to 8192 bits, ECDSA on P-256 and P-384 (no P-521: ring has none), SHA-256 and better; dates by the sandbox's clock, and an expiry cuts the connection. A registered one may have any signer; what follows the leaf is ignored |
//! | certificates that are not active | `PENDING_ACTIVATION` fails the handshake with the alert `certificate_unknown`, the others are closed on at CONNECT; a status taken away cuts the connection |
//! | just-in-time registration | by active CAs with automatic registration, once the client has proven its key: stored as pending, announced on `$aws/events/certificates/registered/<CA id>` each time it is shown, the handshake fails. With a template on the CA nothing is announced: it is carried out, and a failure shows in the decision log |
//! | customer CAs in files | version 3 with `CA:TRUE`, or version 1 and self-signed, with keys and signatures as above; what they sign is a claim at once; removing the file from `customer-cas/` takes one back for new connections |
//! | pending certificates | deleted when their ownership token expires, after an hour |
//! | policies | all of `aether-iot-policy`: conditions, variables of client id, Thing, certificate and address, policies of Thing groups and the groups above; a change counts from the next packet on; [`Sandbox::explain`] tells why |
//! | provisioning | `CreateKeysAndCertificate`, `CreateCertificateFromCsr` and `RegisterThing`, each in JSON and in CBOR; a certificate from a CSR keeps its subject and takes over no extension |
//! | templates | all of [`aether_iot_template`]; Thing types, Thing groups and billing groups have to exist; a policy in the template is created under the hash of its document |
//! | hooks | [`ProvisioningHook`]: asked after the token was found good and before anything is created, 5 s, 64 KiB; only a JSON `true` allows |
//! | claims of trusted users | five minutes, for one template |
//! | control plane | AWS's REST-JSON over plain HTTP: endpoint, certificates, CAs, policies, Things, types, groups, billing groups, templates, claims, `RegisterThing`, `TestAuthorization`, tags; of the data plane `Publish`, retained messages and `DeleteConnection`. Not: transfers between accounts, shadows, jobs, rules, dynamic groups, registry events, MQTT 5 properties of published messages; asked for, they say so with 501 |
//!
//! The specification's policies are kept word for word, and they tie a topic to the client id, but
//! no client id to a certificate. So any device certificate may connect under any client id and
//! publish on that Thing's topic, and a claim certificate may connect under a device's client id and
//! thereby cut the device off. The cure, on AWS and here, is `${iot:Connection.Thing.ThingName}` with
//! the condition `iot:Connection.Thing.IsAttached`.
//!
//! Where AWS's documents leave the behaviour open, the choice made here is one of these: an
//! ownership token works once; a client id stands for itself in a policy, so `*` in one is no wildcard.
//!
//! # Sources
//!
//! Comments cite the project's fact sheet on AWS IoT Core by section. It restates these documents:
//! section 1 the AWS IoT Developer Guide's *Device provisioning MQTT API*, section 2 *Provisioning
//! templates*, section 3 *AWS IoT Core policies* and *policy variables*, section 4 *MQTT*,
//! *Lifecycle events* and the AWS General Reference's quotas. "The specification" is the guide
//! *AWS IoT Core (Claim Provisioning)* for Aether.
//!
//! # Features
//!
//! `__fuzz` and `__bench` (off by default) give fuzz targets and benchmarks a way in and are no part of
//! the interface.
//!
//! Needs a Unix system: file modes are part of what it promises.

#[cfg(feature = "__bench")]
#[doc(hidden)]
pub mod __bench;
#[cfg(feature = "__fuzz")]
#[doc(hidden)]
pub mod __fuzz;
mod sandbox;

mod access;
mod account;
mod admin;
mod audit;
mod broker;
mod builder;
mod ca;
mod clock;
mod control;
mod disk;
mod error;
mod explain;
mod faults;
mod files;
mod ground;
mod id;
mod journal;
mod key;
mod observer;
mod pki;
mod provisioning;
mod random;
mod record;
mod state;
mod trust;
#[cfg(test)]
mod whole;

#[cfg(test)]
extern crate self as aether_sandbox;
#[cfg(test)]
#[path = "../tests/support/mod.rs"]
mod support;

pub use aether_iot_policy::{Action, Explanation};
pub use audit::{AuditDecision, AuditEvent, AuditRecord, AuditStream, StatementRef};
pub use broker::{InvalidLimits, Limits};
pub use builder::SandboxBuilder;
pub use ca::register_ca;
pub use error::{RegisterCaError, StartError};
pub use explain::{ExplainError, Explained, Question};
pub use faults::InvalidFaults;
pub use files::Files;
pub use id::{CaId, CertificateId, InvalidId};
pub use key::KeyKind;
pub use observer::{Credentials, CredentialsError, Message, Observer, ObserverError};
pub use provisioning::{ClaimError, InvalidHook, ProvisioningClaim, ProvisioningHook};
pub use record::{CertificateKind, CertificateRecord, CertificateStatus, ThingRecord};
pub use sandbox::{ResetError, Sandbox, SetStatusError};
pub use trust::{AlpnRule, SniRule};
