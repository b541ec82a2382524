//! Serves Sigils over OPC UA.
//!
//! ```text
//!             read, write, browse   ┌───────────────┐  read_from, write_from
//!  OPC UA  ────────────────────────▶│ nodes: answers│─────────────────────────▶ Sigil
//!  clients                          │ on the spot   │
//!          ◀────────────────────────│ queue         │◀───────────────────────── ChangeListener
//!             notifications         └───────────────┘  every change, in order
//! ```
//!
//! Depend on this crate to let OPC UA clients browse, read, write and subscribe to the Sigils of a
//! program; on `aether-sigil` alone to have Sigils without a server; on `aether-nexus` to run a
//! whole gateway.
//!
//! It refuses to decide who may write what: that is the write gate of `aether-sigil`, and the
//! settings here that say what a client without a user may do. It keeps no copy of a value, and no
//! history.
//!
//! # Example
//!
//! ```
//! use std::{sync::Arc, time::Duration};
//! use aether_opcua::OpcUaServer;
//! use aether_sigil::{Sigil, SigilSet};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let temperature = Sigil::builder("ns=2;s=Plant.Temperature", 25.0)
//!     .description("Process temperature value.")
//!     .build()?;
//! let sigils = Arc::new(SigilSet::new([temperature.into()])?);
//!
//! let bound = OpcUaServer::builder("opc.tcp://127.0.0.1:0".parse()?, sigils).bind().await?;
//! assert!(bound.is_open(), "on a loopback address policy None and anonymous write are the default");
//! assert!(bound.url().starts_with("opc.tcp://127.0.0.1:"));
//!
//! let running = bound.start();
//! // Clients come and go.
//! running.stop(Duration::from_secs(2)).await;
//! # Ok(())
//! # }
//! ```
//!
//! # What clients see
//!
//! - Under *Objects* an object named after the device, with one variable for each Sigil. All
//!   stand in namespace 2, so that `ns=2;s=Plant.Temperature` in a Sigil is the NodeId on the wire.
//! - A Sigil with both bounds, if they are numbers, is an *AnalogItemType* with its *EURange*.
//! - A Read of a Value makes one `read` event, a Write one `write` event, both with the user or
//!   the client application's name. A subscription is not a Read: its first value and its
//!   notifications make no event, nor do reads of other attributes.
//! - A write is checked in this order: the node is known, writable (`BadNotWritable`), the user may
//!   write (`BadUserAccessDenied`), no index range (`BadIndexRangeNoData`), the status is Good
//!   (`BadWriteNotSupported`), exactly the Sigil's scalar type (`BadTypeMismatch`), then the Sigil's
//!   own gate (`BadOutOfRange`).
//! - Changes are pushed and not sampled. Whatever sampling interval a client asks for, the answer is the
//!   shortest, and every change reaches it as far as the queue that it asks for allows (at most 100
//!   values); a change of the status alone is a change. Two ways are left to thin values out, and both
//!   end with the newest: a negative interval (one value in each publishing interval) and an interval
//!   set by ModifyMonitoredItems. The library moves the SourceTimestamp of a value it held back.
//!
//! # Security
//!
//! On a loopback address the default is policy None with anonymous read and write; on any other
//! address secured endpoints only (Basic256Sha256, Aes128-Sha256-RsaOaep, Aes256-Sha256-RsaPss, each
//! with Sign and SignAndEncrypt) and anonymous read. Keys appear in no log and no error.
//!
//! By default every client application's certificate is accepted: it buys an encrypted channel and
//! says nothing about a user. What strangers can still do: each new certificate is one file written and
//! removed again within a quarter of a second; connections are not limited in number; and a
//! hundred sessions opened and never activated keep others out for up to a minute. On a network
//! with strangers set [`ClientCertificates::Trusted`] and put a firewall before the port.

mod auth;
mod builder;
mod certificate;
mod changes;
mod clients;
mod error;
mod host;
mod library;
mod nodes;
mod running;
mod settings;
mod url;
mod value;

pub use builder::{BoundServer, OpcUaServer, ServerBuilder};
pub use error::{ServeError, StartError};
pub use running::RunningServer;
pub use settings::{Anonymous, ClientCertificates, Security, UnknownChoice};
pub use url::{InvalidOpcUaUrl, OpcUaUrl};
