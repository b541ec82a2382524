//! Periodic async tasks with an absolute schedule and honest timing.
//!
//! ```text
//!            cycle_time
//!         |◀──────────▶|
//!  start  1            2            3            4     released at start + n × cycle_time
//!  ───────┴─[callback]─┴─[callback──┼──]─────────┴──▶  a missed release is skipped, not queued
//! ```
//!
//! Depend on this crate to run control loops, plant models and pollers on fixed cycles; on
//! `aether-nexus` to run them together with Sigils and the cloud.
//!
//! It does not know what a Sigil is, keeps no data and opens nothing.
//!
//! # Status
//!
//! | status | meaning | way back |
//! | --- | --- | --- |
//! | [`Status::Pending`] | not started | starting the set |
//! | [`Status::Running`] | the last cycle ended before the next release | |
//! | [`Status::Overrun`] | the last cycle ended after the next release was due; the missed releases were skipped | one cycle that ends in time |
//! | [`Status::Failed`] | the last cycle returned an error or panicked | one cycle that succeeds |
//! | [`Status::Stopped`] | the set was stopped | none |
//!
//! A failed cycle is logged (the first, then ever more seldom); the Weave goes on with its next
//! release. A Weave that panics or hangs never touches another: each runs in a task of its own. One
//! that hangs keeps the status it had; nothing watches it yet.
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//! use aether_weave::{Weave, WeaveSet};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (ticks, mut ticked) = tokio::sync::mpsc::unbounded_channel();
//! let weave = Weave::builder("blink", Duration::from_millis(5), move || {
//!     let ticks = ticks.clone();
//!     async move { ticks.send(()).map_err(|_| "nobody watches the lamp") }
//! })
//! .description("Blinks a lamp.")
//! .build()?;
//!
//! let running = WeaveSet::new([weave])?.start();
//! ticked.recv().await;
//! ticked.recv().await;
//! assert!(running.info("blink").expect("it is in the set").cycles >= 1);
//! running.stop(Duration::from_secs(1)).await;
//! # Ok(())
//! # }
//! ```

mod run;
mod set;
mod weave;

pub use run::{RunningWeaves, Status, WeaveInfo};
pub use set::{DuplicateLabel, WeaveSet};
pub use weave::{CallbackError, InvalidWeave, Label, Weave, WeaveBuilder};
