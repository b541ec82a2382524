//! The runtime that turns a machine into a trusted, observable citizen of the cloud.
//!
//! ```text
//!   Sigils ──▶ OPC UA server        Weaves ──▶ read and write Sigils
//!      │
//!      └─ one event per read and write ─▶ outbox ─▶ courier ─▶ topic of the Thing
//!                                                      ▲
//!   claim certificate ─▶ fleet provisioning ─▶ identity ┘
//! ```
//!
//! Depend on this crate to run a whole gateway; on the crates it wires together to use one layer
//! alone: `aether-sigil`, `aether-weave`, `aether-opcua`, `aether-provisioning`, `aether-mqtt`,
//! `aether-outbox`, `aether-delivery`.
//!
//! It holds wiring, lifecycle and configuration. It speaks no protocol and decides nothing about
//! who may write what: that is the business of the layers.
//!
//! # What runs when
//!
//! The OPC UA server and the Weaves start at once and never wait for the cloud. Beside them the
//! device looks for a stored identity, or trades its claim certificate for one (AWS IoT Core,
//! fleet provisioning by claim), connects with it, and publishes one MQTT event for every Sigil
//! read and write, at QoS 1, to the topic named after its Thing. Events made earlier wait in the
//! outbox, **in memory** in this version: they survive any loss of the connection and not the end
//! of the process.
//!
//! # From outside
//!
//! While it runs, other processes of the same user ask and steer it through the socket `control.sock` in its state
//! directory: [`ControlClient`], which `aether rotate` uses. What is stored of a device is looked at, exported for other
//! programs and rotated without running it by [`DeviceAtRest`].
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//! use aether_nexus::{Nexus, Stage};
//! use aether_sigil::Sigil;
//! use aether_weave::Weave;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let temperature = Sigil::builder("ns=2;s=Plant.Temperature", 25.0).build()?;
//! let poller = {
//!     let temperature = temperature.clone();
//!     Weave::builder("poller", Duration::from_secs(2), move || {
//!         let temperature = temperature.clone();
//!         async move { temperature.read().await.map(|value| println!("{value}")) }
//!     })
//! };
//!
//! // Without an `aws_iot_endpoint` the plant side runs alone.
//! let (listening, listens) = std::sync::mpsc::channel();
//! let nexus = Nexus::builder()
//!     .opc_ua_url("opc.tcp://127.0.0.1:0")
//!     .sigil(&temperature)
//!     .weave(poller.build()?)
//!     .on_stage(move |stage| listening.send(stage).expect("somebody listens"))
//!     .build()?;
//!
//! let handle = nexus.handle();
//! let runs = tokio::spawn(nexus.run());
//! let stage = tokio::task::spawn_blocking(move || listens.recv()).await??;
//! assert!(matches!(stage, Stage::OpcUaListening { .. }));
//! handle.stop();
//! runs.await??;
//! # Ok(())
//! # }
//! ```
//!
//! # Features
//!
//! - `pkcs11` (off by default): device keys in PKCS#11 tokens, named by a URI in the setting `aws_iot.key`.

mod at_rest;
mod builder;
mod check;
mod cloud;
pub mod config;
mod control;
mod error;
mod nexus;
mod settings;
mod shutdown;
mod sink;
mod stage;
mod state;
mod token;

pub use aether_provisioning::ExportFormat;
pub use at_rest::{
    AtRestError, DeviceAtRest, ExportedIdentity, IdentityState, StoredCertificate, StoredIdentities, StoredIdentity,
    StoredKey,
};
pub use builder::NexusBuilder;
pub use cloud::{IdentityStatus, RotateError};
pub use config::ConfigError;
pub use control::{ControlClient, ControlError, Refusal};
pub use error::{BuildError, RunError};
pub use nexus::{Nexus, NexusHandle};
pub use settings::{Environment, ProcessEnvironment};
pub use stage::Stage;
pub use token::{JwtVerifier, TokenError, TokenVerifier};
