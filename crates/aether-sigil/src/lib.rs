//! Variables of a plant: typed, bounded, writable or not, with an event for every read and write.
//!
//! ```text
//!  code ─────┐                       ┌─▶ EventSink       (one SigilEvent per read and write)
//!  Weave ────┼─▶ write gate ─▶ Sigil ┤
//!  OPC UA ───┘   type·access·bounds  └─▶ ChangeListener  (subscribers see the new Sample)
//! ```
//!
//! Depend on this crate to describe variables and to read and write them; on `aether-opcua` to
//! serve them to OPC UA clients; on `aether-nexus` to run a whole gateway.
//!
//! It performs no I/O and knows no protocol library. What an event becomes is the business of the
//! [`EventSink`] that is attached.
//!
//! # Example
//!
//! ```
//! use std::sync::{Arc, Mutex};
//! use aether_sigil::{EventSink, Sigil, SigilEvent};
//!
//! /// Keeps every event as the JSON text that goes to the cloud.
//! #[derive(Debug, Default)]
//! struct Recorder(Mutex<Vec<String>>);
//!
//! impl EventSink for Recorder {
//!     fn accept(&self, event: SigilEvent) {
//!         self.0.lock().unwrap().push(event.to_json());
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let level = Sigil::builder("ns=2;s=Tank.Level", 40.0)
//!     .description("Level of the tank in percent.")
//!     .minimum_value(0.0)
//!     .maximum_value(100.0)
//!     .build()?;
//! let recorder = Arc::new(Recorder::default());
//! level.any().attach_sink(recorder.clone())?;
//!
//! level.write(55.5).await?;
//! assert_eq!(level.read().await?, 55.5);
//! assert!(level.write(140.0).await.is_err(), "outside its bounds");
//!
//! let events = recorder.0.lock().unwrap();
//! assert_eq!(events.len(), 2, "a refused write changes nothing and reports no write");
//! assert!(events[0].contains(r#""operation":"write""#));
//! # Ok(())
//! # }
//! ```

mod any;
mod definition;
mod event;
mod guid;
mod json;
mod node_id;
mod sample;
mod set;
mod sigil;
mod timestamp;
mod value;

pub use any::{AlreadyAttached, AnySigil, ChangeListener, ReadError};
pub use definition::{BuildError, Definition, SigilId, WriteError};
pub use event::{Door, EventSink, Operation, Origin, SigilEvent};
pub use guid::{Guid, InvalidGuid};
pub use node_id::{Identifier, InvalidNodeId, NodeId};
pub use sample::{Sample, StatusCode};
pub use set::{DuplicateSigil, SigilSet};
pub use sigil::{DynamicBuilder, Sigil, SigilBuilder};
pub use timestamp::{InvalidTimestamp, Timestamp};
pub use value::{SigilType, UnknownValueType, Value, ValueType};
