//! The record of every decision: as a stream in memory and as JSON lines on disk.

mod record;
mod stream;

pub use record::{AuditDecision, AuditEvent, AuditRecord, StatementRef};
pub use stream::AuditStream;

pub(crate) fn stream_of(records: &tokio::sync::broadcast::Sender<AuditRecord>) -> AuditStream {
    AuditStream::new(records.subscribe())
}
