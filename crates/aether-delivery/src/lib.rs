//! Moves what waits in an outbox through an MQTT session, and removes it on PUBACK only.
//!
//! ```text
//!  Outbox ──next_after──▶ ┌─────────┐ ──publish (QoS 1)──▶ broker
//!         ◀─acknowledge── │ Courier │ ◀──────PUBACK───────
//!                         └─────────┘
//!      reconnects with back-off; after every reconnect begins at the oldest unacknowledged entry
//! ```
//!
//! Depend on this crate to keep an [`Outbox`](aether_outbox::Outbox) flowing to one topic; on
//! `aether-mqtt` for a single session without a queue.
//!
//! It stores nothing, makes no payloads and obtains no identity.
//!
//! # What it promises
//!
//! - An entry leaves the outbox when its PUBACK arrived and never before, whatever the broker
//!   remembers of earlier connections.
//! - Entries are handed to the session in order, at most [`window`](CourierBuilder::window) of them
//!   unacknowledged. After a broken connection those without a PUBACK are sent again: at least once.
//! - A connection that fails is tried again for ever, with exponential back-off and full jitter.
//!
//! A broker that hangs up on every publish (a policy that forbids the topic) is therefore tried
//! for ever too, ever more slowly; telling such messages apart and setting them aside is not done yet.
//!
//! # Example
//!
//! ```
//! use std::{sync::Arc, time::Duration};
//! use aether_delivery::Courier;
//! use aether_mqtt::testing::{FakeBroker, options};
//! use aether_outbox::{Limits, MemoryJournal, Outbox};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let broker = FakeBroker::new();
//! let outbox = Arc::new(Outbox::new(MemoryJournal::new(Limits::default())));
//! outbox.append(b"made before there was a connection")?;
//!
//! let courier = Courier::builder(Arc::new(broker.connector()), options("press-3"), "press-3".parse()?, outbox.clone());
//! let courier = courier.start();
//! outbox.wait_empty().await;
//! assert_eq!(broker.publishes()[0].topic.as_str(), "press-3");
//! assert_eq!(courier.stop(Duration::from_secs(1)).await.waiting, 0);
//! # Ok(())
//! # }
//! ```

mod courier;
mod pace;
mod pump;

pub use courier::{Courier, CourierBuilder, Link, RunningCourier};
pub use pace::Pace;
