//! The JSON form of each value type.
//!
//! | type | JSON |
//! | --- | --- |
//! | Boolean | `true`, `false` |
//! | integers, 64 bits included | a number without fraction |
//! | Float, Double | a number; `"NaN"`, `"Infinity"`, `"-Infinity"` as text (OPC UA Part 6, section 5.4.2.4) |
//! | String | text |
//! | DateTime | RFC 3339 text, UTC, microseconds |
//! | Guid | text, 8-4-4-4-12 |
//! | ByteString | base64 text (RFC 4648, section 4) |

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use serde::{Serialize, Serializer};

use crate::{timestamp::Timestamp, value::Value};

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Boolean(v) => serializer.serialize_bool(*v),
            Self::SByte(v) => serializer.serialize_i8(*v),
            Self::Byte(v) => serializer.serialize_u8(*v),
            Self::Int16(v) => serializer.serialize_i16(*v),
            Self::UInt16(v) => serializer.serialize_u16(*v),
            Self::Int32(v) => serializer.serialize_i32(*v),
            Self::UInt32(v) => serializer.serialize_u32(*v),
            Self::Int64(v) => serializer.serialize_i64(*v),
            Self::UInt64(v) => serializer.serialize_u64(*v),
            Self::Float(v) if v.is_finite() => serializer.serialize_f32(*v),
            Self::Float(v) => serializer.serialize_str(not_finite(f64::from(*v))),
            Self::Double(v) if v.is_finite() => serializer.serialize_f64(*v),
            Self::Double(v) => serializer.serialize_str(not_finite(*v)),
            Self::String(v) => serializer.serialize_str(v),
            Self::DateTime(v) => v.serialize(serializer),
            Self::Guid(v) => serializer.collect_str(v),
            Self::ByteString(v) => serializer.serialize_str(&BASE64.encode(v)),
        }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

fn not_finite(value: f64) -> &'static str {
    if value.is_nan() {
        "NaN"
    } else if value > 0.0 {
        "Infinity"
    } else {
        "-Infinity"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guid::Guid;

    #[track_caller]
    fn check(value: Value, expected: &str) {
        assert_eq!(serde_json::to_string(&value).unwrap(), expected);
    }

    #[test]
    fn each_type_has_its_json_form() {
        check(Value::Boolean(true), "true");
        check(Value::SByte(-128), "-128");
        check(Value::Byte(255), "255");
        check(Value::Int16(-32768), "-32768");
        check(Value::UInt16(65535), "65535");
        check(Value::Int32(i32::MIN), "-2147483648");
        check(Value::UInt32(u32::MAX), "4294967295");
        check(Value::Int64(i64::MIN), "-9223372036854775808");
        check(Value::UInt64(u64::MAX), "18446744073709551615");
        check(Value::Float(0.1), "0.1");
        check(Value::Double(25.0), "25.0");
        check(Value::String("a \"b\"\n".into()), r#""a \"b\"\n""#);
        check(Value::DateTime(Timestamp::from_unix_micros(0)), r#""1970-01-01T00:00:00.000000Z""#);
        check(Value::Guid(Guid::from_bytes([0x0f; 16])), r#""0f0f0f0f-0f0f-0f0f-0f0f-0f0f0f0f0f0f""#);
        check(Value::ByteString([1, 2, 3][..].into()), r#""AQID""#);
    }

    #[test]
    fn what_json_has_no_number_for_is_text() {
        check(Value::Double(f64::NAN), r#""NaN""#);
        check(Value::Double(f64::INFINITY), r#""Infinity""#);
        check(Value::Float(f32::NEG_INFINITY), r#""-Infinity""#);
    }
}
