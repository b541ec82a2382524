//! Puts the events of Sigils into the outbox, in the specification's JSON form.

use std::sync::Arc;

use aether_outbox::Outbox;
use aether_sigil::{EventSink, SigilEvent};
use tracing::error;

/// The [`EventSink`] of a runtime that is connected to a cloud.
#[derive(Debug)]
pub(crate) struct OutboxSink(pub(crate) Arc<Outbox>);

impl EventSink for OutboxSink {
    fn accept(&self, event: SigilEvent) {
        if let Err(cause) = self.0.append(event.to_json().as_bytes()) {
            error!(sigil = %event.sigil.id(), error = &cause as &dyn std::error::Error, "event lost");
        }
    }
}
