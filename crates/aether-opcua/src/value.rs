//! Between Aether's values and the OPC UA library's.

use std::sync::Arc;

use aether_sigil::{Guid, Identifier, NodeId, Sample, Timestamp, Value, ValueType};
use opcua::types::{
    self as ua, ByteString, DataTypeId, DataValue, DateTime, StatusCode, TimestampsToReturn, UAString, Variant,
};

/// 1601-01-01, where OPC UA's DateTime starts, in microseconds from 1970-01-01.
const EPOCH: i64 = -11_644_473_600_000_000;
/// A DateTime counts in 100 ns (Part 6, section 5.2.2.5).
const TICKS_PER_MICROSECOND: i64 = 10;

/// Whether values of `value_type` can be served. A type that `aether-sigil` learns later is not.
pub(crate) fn is_servable(value_type: ValueType) -> bool {
    data_type(value_type).is_some()
}

/// Returns the DataType attribute of `value_type`.
pub(crate) fn data_type(value_type: ValueType) -> Option<DataTypeId> {
    Some(match value_type {
        ValueType::Boolean => DataTypeId::Boolean,
        ValueType::SByte => DataTypeId::SByte,
        ValueType::Byte => DataTypeId::Byte,
        ValueType::Int16 => DataTypeId::Int16,
        ValueType::UInt16 => DataTypeId::UInt16,
        ValueType::Int32 => DataTypeId::Int32,
        ValueType::UInt32 => DataTypeId::UInt32,
        ValueType::Int64 => DataTypeId::Int64,
        ValueType::UInt64 => DataTypeId::UInt64,
        ValueType::Float => DataTypeId::Float,
        ValueType::Double => DataTypeId::Double,
        ValueType::String => DataTypeId::String,
        ValueType::DateTime => DataTypeId::DateTime,
        ValueType::Guid => DataTypeId::Guid,
        ValueType::ByteString => DataTypeId::ByteString,
        _ => return None,
    })
}

/// Turns a Sigil's value into what goes over the wire; null for a type that is not servable.
pub(crate) fn to_variant(value: &Value) -> Variant {
    match value {
        Value::Boolean(v) => Variant::Boolean(*v),
        Value::SByte(v) => Variant::SByte(*v),
        Value::Byte(v) => Variant::Byte(*v),
        Value::Int16(v) => Variant::Int16(*v),
        Value::UInt16(v) => Variant::UInt16(*v),
        Value::Int32(v) => Variant::Int32(*v),
        Value::UInt32(v) => Variant::UInt32(*v),
        Value::Int64(v) => Variant::Int64(*v),
        Value::UInt64(v) => Variant::UInt64(*v),
        Value::Float(v) => Variant::Float(*v),
        Value::Double(v) => Variant::Double(*v),
        Value::String(v) => Variant::String(UAString::from(v.as_ref())),
        Value::DateTime(v) => Variant::DateTime(Box::new(to_date_time(*v))),
        Value::Guid(v) => Variant::Guid(Box::new(to_guid(v))),
        Value::ByteString(v) => Variant::ByteString(ByteString::from(v.to_vec())),
        _ => Variant::Empty,
    }
}

/// Turns what a client sent into a Sigil's value. `None` where it is not exactly one scalar of a
/// servable type; a null String or ByteString is an empty one.
pub(crate) fn from_variant(variant: &Variant) -> Option<Value> {
    #[expect(clippy::wildcard_enum_match_arm, reason = "whatever a Sigil cannot hold is refused alike")]
    Some(match variant {
        Variant::Boolean(v) => Value::Boolean(*v),
        Variant::SByte(v) => Value::SByte(*v),
        Variant::Byte(v) => Value::Byte(*v),
        Variant::Int16(v) => Value::Int16(*v),
        Variant::UInt16(v) => Value::UInt16(*v),
        Variant::Int32(v) => Value::Int32(*v),
        Variant::UInt32(v) => Value::UInt32(*v),
        Variant::Int64(v) => Value::Int64(*v),
        Variant::UInt64(v) => Value::UInt64(*v),
        Variant::Float(v) => Value::Float(*v),
        Variant::Double(v) => Value::Double(*v),
        Variant::String(v) => Value::String(Arc::from(v.as_ref())),
        Variant::DateTime(v) => Value::DateTime(from_date_time(v)),
        Variant::Guid(v) => Value::Guid(from_guid(v)),
        Variant::ByteString(v) => Value::ByteString(Arc::from(v.as_ref())),
        _ => return None,
    })
}

/// Turns a value that can be a bound of EURange into a number.
pub(crate) fn to_f64(value: &Value) -> Option<f64> {
    to_variant(value).as_f64()
}

/// Turns a Sigil's sample into what goes over the wire. A Bad sample carries no value, as nobody may use it
/// (Part 4, section 7.11), so that a change to Bad is a change of the value too.
pub(crate) fn to_data_value(sample: &Sample) -> DataValue {
    DataValue {
        value: (!sample.status.is_bad()).then(|| to_variant(&sample.value)),
        status: Some(StatusCode::from(sample.status.bits())),
        source_timestamp: Some(to_date_time(sample.source_timestamp)),
        source_picoseconds: None,
        server_timestamp: Some(DateTime::now()),
        server_picoseconds: None,
    }
}

/// Leaves those timestamps that the client asked for.
pub(crate) fn keep_timestamps(mut value: DataValue, wanted: TimestampsToReturn) -> DataValue {
    if matches!(wanted, TimestampsToReturn::Server | TimestampsToReturn::Neither) {
        value.source_timestamp = None;
    }
    if matches!(wanted, TimestampsToReturn::Source | TimestampsToReturn::Neither) {
        value.server_timestamp = None;
    }
    value
}

/// Turns a time into OPC UA's.
pub(crate) fn to_date_time(time: Timestamp) -> DateTime {
    DateTime::from((time.unix_micros() - EPOCH).saturating_mul(TICKS_PER_MICROSECOND))
}

/// Turns OPC UA's time into ours; what is finer than a microsecond is cut off.
pub(crate) fn from_date_time(time: &DateTime) -> Timestamp {
    Timestamp::from_unix_micros((time.ticks() / TICKS_PER_MICROSECOND).saturating_add(EPOCH))
}

fn to_guid(guid: &Guid) -> ua::Guid {
    ua::Guid::from_bytes(swap_fields(*guid.as_bytes()))
}

fn from_guid(guid: &ua::Guid) -> Guid {
    Guid::from_bytes(swap_fields(guid.to_bytes()))
}

/// Turns the order in which a GUID is printed into that in which it is sent, and back: its first three
/// fields are numbers, least byte first (Part 6, section 5.2.2.6).
fn swap_fields(mut bytes: [u8; 16]) -> [u8; 16] {
    bytes[0..4].reverse();
    bytes[4..6].reverse();
    bytes[6..8].reverse();
    bytes
}

/// Turns a NodeId into OPC UA's.
pub(crate) fn to_node_id(node_id: &NodeId) -> ua::NodeId {
    let namespace = node_id.namespace();
    match node_id.identifier() {
        Identifier::Numeric(v) => ua::NodeId::new(namespace, *v),
        Identifier::String(v) => ua::NodeId::new(namespace, UAString::from(v.as_ref())),
        Identifier::Guid(v) => ua::NodeId::new(namespace, to_guid(v)),
        Identifier::Opaque(v) => ua::NodeId::new(namespace, ByteString::from(v.to_vec())),
    }
}

/// Turns OPC UA's NodeId into ours; `None` where it is empty or too long.
pub(crate) fn from_node_id(node_id: &ua::NodeId) -> Option<NodeId> {
    let identifier = match &node_id.identifier {
        ua::Identifier::Numeric(v) => Identifier::Numeric(*v),
        ua::Identifier::String(v) => Identifier::String(Arc::from(v.as_ref())),
        ua::Identifier::Guid(v) => Identifier::Guid(from_guid(v)),
        ua::Identifier::ByteString(v) => Identifier::Opaque(Arc::from(v.as_ref())),
    };
    NodeId::new(node_id.namespace, identifier).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one_of_each() -> Vec<Value> {
        vec![
            Value::Boolean(true),
            Value::SByte(-128),
            Value::Byte(255),
            Value::Int16(-32768),
            Value::UInt16(65535),
            Value::Int32(i32::MIN),
            Value::UInt32(u32::MAX),
            Value::Int64(i64::MIN),
            Value::UInt64(u64::MAX),
            Value::Float(-1.5),
            Value::Double(25.25),
            Value::String("Wärme".into()),
            Value::DateTime(Timestamp::from_unix_micros(1_795_339_800_000_250)),
            Value::Guid("72962b91-fa75-4ae6-8d28-b404dc7daf63".parse().unwrap()),
            Value::ByteString([0, 1, 254, 255].as_slice().into()),
        ]
    }

    #[test]
    fn every_type_survives_both_directions() {
        let values = one_of_each();
        assert_eq!(values.iter().map(Value::value_type).collect::<Vec<_>>(), ValueType::ALL);
        for value in values {
            assert!(is_servable(value.value_type()));
            assert_eq!(from_variant(&to_variant(&value)), Some(value));
        }
    }

    #[test]
    fn what_a_sigil_cannot_hold_is_refused() {
        for variant in [Variant::Empty, Variant::from(vec![1.0, 2.0]), Variant::StatusCode(StatusCode::Good)] {
            assert_eq!(from_variant(&variant), None);
        }
        assert_eq!(from_variant(&Variant::String(UAString::null())), Some(Value::String("".into())));
    }

    #[test]
    fn times_are_the_same_on_both_sides() {
        let printed = to_date_time("2026-11-22T09:30:00.25Z".parse().unwrap()).to_rfc3339();
        assert_eq!(printed, "2026-11-22T09:30:00.250Z");
        for text in ["1601-01-01T00:00:00Z", "1969-12-31T23:59:59.999999Z", "9999-12-31T23:59:58.999999Z"] {
            let time: Timestamp = text.parse().unwrap();
            assert_eq!(from_date_time(&to_date_time(time)), time, "{text}");
        }
    }

    #[test]
    fn each_kind_of_node_id_survives_both_directions_and_prints_alike() {
        for text in
            ["ns=2;s=Plant.Temperature", "ns=2;i=7", "ns=2;g=72962b91-fa75-4ae6-8d28-b404dc7daf63", "ns=2;b=AAH/"]
        {
            let node_id: NodeId = text.parse().unwrap();
            assert_eq!(to_node_id(&node_id).to_string(), text);
            assert_eq!(from_node_id(&to_node_id(&node_id)), Some(node_id));
        }
    }
}
