//! A bounded, ordered store-and-forward queue for payloads that must reach a broker.
//!
//! ```text
//!  append ─▶ ┌─────────────────────────────┐ ─▶ next_after   (to send, in order)
//!            │ 7  8  9  10  11  …          │
//!  full:     └─────────────────────────────┘ ◀─ acknowledge  (on PUBACK, in any order)
//!  oldest goes, and is counted
//! ```
//!
//! Depend on this crate for a queue whose entries leave only when somebody says they arrived; on
//! `aether-delivery` to send what waits in it over MQTT.
//!
//! It does not know what a payload means or where it goes.
//!
//! # What it promises now
//!
//! The one [`Journal`] in this version, [`MemoryJournal`], keeps entries in memory: they survive
//! any loss of the connection and **not** the end of the process. When the journal is full the
//! oldest entry is evicted; evictions and refusals are counted in [`Stats`] and logged.
//!
//! # Example
//!
//! ```
//! use aether_outbox::{Limits, MemoryJournal, Outbox};
//!
//! let outbox = Outbox::new(MemoryJournal::new(Limits::default()));
//! outbox.append(b"first")?;
//! outbox.append(b"second")?;
//!
//! let waiting = outbox.next_after(None, 10);
//! assert_eq!(&*waiting[0].payload, b"first");
//! // Sent, but not yet acknowledged: it is still there after a reconnect.
//! assert_eq!(outbox.next_after(None, 10).len(), 2);
//! outbox.acknowledge(waiting[0].sequence);
//! assert_eq!(&*outbox.next_after(None, 10)[0].payload, b"second");
//! # Ok::<(), aether_outbox::AppendError>(())
//! ```

mod journal;
mod memory;
mod outbox;

pub use journal::{AppendError, Entry, Journal, Sequence, Stats};
pub use memory::{Limits, MemoryJournal};
pub use outbox::Outbox;
