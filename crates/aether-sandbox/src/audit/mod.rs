//! The record of every decision: as a stream in memory and as JSON lines on disk.
//!
//! ```text
//!              ┌─▶ AuditStream …        (broadcast, a slow reader misses some)
//!  record() ───┼─▶ tracing
//!              └─▶ buffer ─▶ writer task ─▶ DIR/audit.jsonl, audit.1.jsonl
//! ```

mod file;
mod log;
mod record;
mod stream;

pub(crate) use log::{AuditLog, AuditWriter};
pub use record::{AuditDecision, AuditEvent, AuditRecord, StatementRef};
pub use stream::AuditStream;
