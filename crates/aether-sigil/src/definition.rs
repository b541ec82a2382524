//! What a Sigil is, apart from its present value: name, type, access, bounds.

use std::{borrow::Borrow, cmp::Ordering, fmt, sync::Arc};

use crate::{
    event::Origin,
    node_id::{InvalidNodeId, NodeId},
    sample::StatusCode,
    value::{Value, ValueType},
};

/// The stable key of a Sigil: by default the identifier of its NodeId, such as `Plant.Temperature`.
///
/// Always the text of an identifier: at least 1 character, at most 4,096, or 5,464 where the identifier
/// is opaque and its text base64. A value of this type is the proof.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SigilId(Arc<str>);

impl SigilId {
    /// Returns the key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for SigilId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SigilId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Everything about a Sigil that does not change while it runs.
#[derive(Debug, PartialEq)]
pub struct Definition {
    pub(crate) id: SigilId,
    pub(crate) node_id: NodeId,
    pub(crate) node_id_text: Box<str>,
    pub(crate) value_type: ValueType,
    pub(crate) description: Option<Box<str>>,
    pub(crate) writable: bool,
    pub(crate) minimum: Option<Value>,
    pub(crate) maximum: Option<Value>,
}

impl Definition {
    pub(crate) fn new(node_id: NodeId, value_type: ValueType) -> Self {
        let id = SigilId(node_id.identifier().to_string().into());
        let node_id_text = node_id.to_string().into();
        Self { id, node_id, node_id_text, value_type, description: None, writable: true, minimum: None, maximum: None }
    }

    /// Returns the stable key.
    pub const fn id(&self) -> &SigilId {
        &self.id
    }

    /// Returns the address on the OPC UA server.
    pub const fn node_id(&self) -> &NodeId {
        &self.node_id
    }

    /// Returns the address as text, without formatting it anew.
    pub const fn node_id_text(&self) -> &str {
        &self.node_id_text
    }

    /// Returns the type that every value of this Sigil has.
    pub const fn value_type(&self) -> ValueType {
        self.value_type
    }

    /// Returns the text for people, where there is one.
    pub fn description(&self) -> Option<&str> {
        self.description.as_deref()
    }

    /// Whether those outside the program may write.
    pub const fn writable(&self) -> bool {
        self.writable
    }

    /// Returns the smallest value that a write may bring.
    pub const fn minimum_value(&self) -> Option<&Value> {
        self.minimum.as_ref()
    }

    /// Returns the largest value that a write may bring.
    pub const fn maximum_value(&self) -> Option<&Value> {
        self.maximum.as_ref()
    }

    /// The write gate: says whether `value` may be written from `origin`.
    ///
    /// # Errors
    ///
    /// The first rule that refuses, in the order type, access, bounds. NaN is within no bounds.
    pub fn admit(&self, value: &Value, origin: &Origin) -> Result<(), WriteError> {
        if value.value_type() != self.value_type {
            let (expected, found) = (self.value_type, value.value_type());
            return Err(WriteError::Type { sigil: self.id.clone(), expected, found });
        }
        if origin.is_outside() && !self.writable {
            return Err(WriteError::NotWritable { sigil: self.id.clone() });
        }
        self.within_bounds(value)
    }

    pub(crate) fn within_bounds(&self, value: &Value) -> Result<(), WriteError> {
        let ordered = |bound: &Option<Value>, allowed: [Ordering; 2]| {
            bound.as_ref().is_none_or(|b| value.partial_cmp_same_type(b).is_some_and(|o| allowed.contains(&o)))
        };
        let above = ordered(&self.minimum, [Ordering::Greater, Ordering::Equal]);
        let below = ordered(&self.maximum, [Ordering::Less, Ordering::Equal]);
        if above && below {
            return Ok(());
        }
        Err(WriteError::OutOfBounds {
            sigil: self.id.clone(),
            value: value.clone(),
            minimum: self.minimum.clone(),
            maximum: self.maximum.clone(),
        })
    }
}

/// Why a write was refused. All of them are final: the same write will be refused again.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The value has another type than the Sigil.
    #[error("sigil `{sigil}` holds {expected}, not {found}")]
    Type {
        /// The Sigil.
        sigil: SigilId,
        /// The Sigil's type.
        expected: ValueType,
        /// The value's type.
        found: ValueType,
    },
    /// The Sigil is not writable from outside the program.
    #[error("sigil `{sigil}` is not writable from outside")]
    NotWritable {
        /// The Sigil.
        sigil: SigilId,
    },
    /// The value is outside the Sigil's bounds.
    #[error("sigil `{sigil}` does not take {}: allowed is {} to {}", json(value), bound(minimum), bound(maximum))]
    OutOfBounds {
        /// The Sigil.
        sigil: SigilId,
        /// The value that was refused.
        value: Value,
        /// The smallest value allowed.
        minimum: Option<Value>,
        /// The largest value allowed.
        maximum: Option<Value>,
    },
}

fn json(value: &Value) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| format!("{value:?}"))
}

fn bound(value: &Option<Value>) -> String {
    value.as_ref().map_or_else(|| "any".to_owned(), json)
}

impl BuildError {
    /// Returns the name of the setting that is wrong.
    pub const fn setting(&self) -> &'static str {
        match self {
            Self::NodeId(_) => "node_id",
            Self::BoundType { setting, .. } | Self::BoundNaN { setting, .. } => setting,
            Self::Bounds { .. } => "minimum_value",
            Self::InitialValue(_) => "initial_value",
        }
    }
}

impl WriteError {
    /// Returns the StatusCode with which an OPC UA server answers such a write (Part 4, section 5.11.4).
    pub const fn status_code(&self) -> StatusCode {
        match self {
            Self::Type { .. } => StatusCode::BAD_TYPE_MISMATCH,
            Self::NotWritable { .. } => StatusCode::BAD_NOT_WRITABLE,
            Self::OutOfBounds { .. } => StatusCode::BAD_OUT_OF_RANGE,
        }
    }
}

/// Why a Sigil could not be made.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// `node_id` is not a NodeId.
    #[error("sigil setting `node_id`")]
    NodeId(#[from] InvalidNodeId),
    /// A bound has another type than the initial value, or the type has no order.
    #[error("sigil `{sigil}` setting `{setting}`: {found} given, expected an ordered {expected}")]
    BoundType {
        /// The Sigil.
        sigil: SigilId,
        /// `minimum_value` or `maximum_value`.
        setting: &'static str,
        /// The type of the bound.
        found: ValueType,
        /// The type of the Sigil.
        expected: ValueType,
    },
    /// A bound is NaN.
    #[error("sigil `{sigil}` setting `{setting}`: NaN given, expected a number")]
    BoundNaN {
        /// The Sigil.
        sigil: SigilId,
        /// `minimum_value` or `maximum_value`.
        setting: &'static str,
    },
    /// The bounds leave no value.
    #[error(
        "sigil `{sigil}` settings `minimum_value` and `maximum_value`: {} is above {}",
        json(minimum),
        json(maximum)
    )]
    Bounds {
        /// The Sigil.
        sigil: SigilId,
        /// The smallest value allowed.
        minimum: Value,
        /// The largest value allowed.
        maximum: Value,
    },
    /// The initial value is outside the bounds.
    #[error("sigil setting `initial_value`")]
    InitialValue(#[source] WriteError),
}
