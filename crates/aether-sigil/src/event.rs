//! What is reported of every read and every write.

use std::{fmt, sync::Arc};

use serde::Serialize;

use crate::{definition::Definition, timestamp::Timestamp, value::Value};

/// One read or one write of one Sigil.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SigilEvent {
    /// The Sigil that was read or written.
    pub sigil: Arc<Definition>,
    /// The value that was read, or that is now in place.
    pub value: Value,
    /// When the event was made; not the SourceTimestamp of the value.
    pub timestamp: Timestamp,
    /// Which of the two it was.
    pub operation: Operation,
    /// Through which door it came, and who was there.
    pub origin: Origin,
}

/// The five fields of the specification's `SigilEvent`, section 9.
#[derive(Serialize)]
struct FiveFields<'a> {
    sigil_id: &'a str,
    node_id: &'a str,
    value: &'a Value,
    timestamp: Timestamp,
    operation: Operation,
}

impl SigilEvent {
    /// Returns the default JSON form: exactly `sigil_id`, `node_id`, `value`, `timestamp`
    /// (RFC 3339, UTC, microseconds) and `operation`.
    ///
    /// Follows the specification "AWS IoT Core (Claim Provisioning)", section 9.
    ///
    /// # Panics
    ///
    /// Never: all five fields have a JSON form.
    pub fn to_json(&self) -> String {
        let fields = FiveFields {
            sigil_id: self.sigil.id().as_str(),
            node_id: self.sigil.node_id_text(),
            value: &self.value,
            timestamp: self.timestamp,
            operation: self.operation,
        };
        #[expect(clippy::expect_used, reason = "text keys and scalar values always serialise")]
        serde_json::to_string(&fields).expect("five scalar fields")
    }
}

/// What was done with a Sigil.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(clippy::exhaustive_enums, reason = "the specification, section 9, knows these two")]
pub enum Operation {
    /// The value was asked for.
    Read,
    /// The value was replaced.
    Write,
}

/// Through which door a read or a write came, and who was there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    door: Door,
    actor: Option<Arc<str>>,
}

/// The ways to a Sigil.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Door {
    /// The program's own code, Weaves included.
    Code,
    /// A client of the OPC UA server.
    OpcUa,
}

impl Origin {
    /// The program's own code.
    pub const CODE: Self = Self { door: Door::Code, actor: None };

    /// A client of the OPC UA server, named by its user or application.
    pub const fn opc_ua(actor: Option<Arc<str>>) -> Self {
        Self { door: Door::OpcUa, actor }
    }

    /// Returns the door.
    pub const fn door(&self) -> Door {
        self.door
    }

    /// Returns who was there, where that is known.
    pub fn actor(&self) -> Option<&str> {
        self.actor.as_deref()
    }

    /// Whether this is somebody outside the program, whom `writable = false` stops.
    pub const fn is_outside(&self) -> bool {
        match self.door {
            Door::Code => false,
            Door::OpcUa => true,
        }
    }
}

/// Takes the events of the Sigils it is attached to.
///
/// An implementation is called while the Sigil is locked, so that events of one Sigil arrive in
/// the order of its reads and writes. It must return quickly, must not block on a slow consumer,
/// and must not touch a Sigil.
pub trait EventSink: fmt::Debug + Send + Sync {
    /// Takes one event.
    fn accept(&self, event: SigilEvent);
}
