//! What a variable can hold: the scalar built-in types of OPC UA Part 6, section 5.1.2.

use std::{cmp::Ordering, fmt, str::FromStr, sync::Arc};

use crate::{guid::Guid, timestamp::Timestamp};

/// Declares the table of value types once: variant, Rust type, and how a typed Sigil converts.
macro_rules! value_types {
    ($($(#[$doc:meta])* $variant:ident($inner:ty) from $rust:ty;)*) => {
        /// A scalar value with its type.
        #[derive(Clone, Debug, PartialEq)]
        #[non_exhaustive]
        pub enum Value {
            $($(#[$doc])* $variant($inner),)*
        }

        /// The type of a [`Value`], named as OPC UA names it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum ValueType {
            $($(#[$doc])* $variant,)*
        }

        impl Value {
            /// Returns the type of this value.
            pub const fn value_type(&self) -> ValueType {
                match self {
                    $(Self::$variant(_) => ValueType::$variant,)*
                }
            }
        }

        impl ValueType {
            /// Every type, in the order of OPC UA's built-in type numbers.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Returns the name that OPC UA gives to the type, such as `Double`.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => stringify!($variant),)*
                }
            }
        }

        $(
            impl sealed::Sealed for $rust {}

            impl SigilType for $rust {
                const VALUE_TYPE: ValueType = ValueType::$variant;

                fn into_value(self) -> Value {
                    Value::$variant(self.into())
                }

                fn from_value(value: &Value) -> Option<Self> {
                    match value {
                        Value::$variant(inner) => Some(From::from(inner.clone())),
                        _ => None,
                    }
                }
            }
        )*
    };
}

value_types! {
    /// `true` or `false`.
    Boolean(bool) from bool;
    /// 8 bits, signed.
    SByte(i8) from i8;
    /// 8 bits, unsigned.
    Byte(u8) from u8;
    /// 16 bits, signed.
    Int16(i16) from i16;
    /// 16 bits, unsigned.
    UInt16(u16) from u16;
    /// 32 bits, signed.
    Int32(i32) from i32;
    /// 32 bits, unsigned.
    UInt32(u32) from u32;
    /// 64 bits, signed.
    Int64(i64) from i64;
    /// 64 bits, unsigned.
    UInt64(u64) from u64;
    /// IEEE 754, 32 bits.
    Float(f32) from f32;
    /// IEEE 754, 64 bits.
    Double(f64) from f64;
    /// UTF-8 text.
    String(Arc<str>) from Arc<str>;
    /// A point in time.
    DateTime(Timestamp) from Timestamp;
    /// A globally unique identifier.
    Guid(Guid) from Guid;
    /// A run of bytes.
    ByteString(Arc<[u8]>) from Arc<[u8]>;
}

/// A Rust type that a [`Sigil`](crate::Sigil) can hold; the crate fixes which.
pub trait SigilType: sealed::Sealed + Clone + Send + Sync + 'static {
    /// The OPC UA type it stands for.
    const VALUE_TYPE: ValueType;

    /// Wraps the value with its type.
    fn into_value(self) -> Value;

    /// Unwraps a value of exactly this type; `None` for any other.
    fn from_value(value: &Value) -> Option<Self>;
}

impl sealed::Sealed for String {}

impl SigilType for String {
    const VALUE_TYPE: ValueType = ValueType::String;

    fn into_value(self) -> Value {
        Value::String(self.into())
    }

    fn from_value(value: &Value) -> Option<Self> {
        <Arc<str>>::from_value(value).map(|text| text.as_ref().to_owned())
    }
}

mod sealed {
    pub trait Sealed {}
}

impl Value {
    /// Orders two values of the same type; `None` for NaN and for different or unordered types.
    pub fn partial_cmp_same_type(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Boolean(a), Self::Boolean(b)) => a.partial_cmp(b),
            (Self::SByte(a), Self::SByte(b)) => a.partial_cmp(b),
            (Self::Byte(a), Self::Byte(b)) => a.partial_cmp(b),
            (Self::Int16(a), Self::Int16(b)) => a.partial_cmp(b),
            (Self::UInt16(a), Self::UInt16(b)) => a.partial_cmp(b),
            (Self::Int32(a), Self::Int32(b)) => a.partial_cmp(b),
            (Self::UInt32(a), Self::UInt32(b)) => a.partial_cmp(b),
            (Self::Int64(a), Self::Int64(b)) => a.partial_cmp(b),
            (Self::UInt64(a), Self::UInt64(b)) => a.partial_cmp(b),
            (Self::Float(a), Self::Float(b)) => a.partial_cmp(b),
            (Self::Double(a), Self::Double(b)) => a.partial_cmp(b),
            (Self::DateTime(a), Self::DateTime(b)) => a.partial_cmp(b),
            _ => None,
        }
    }
}

impl ValueType {
    /// Whether values of this type can have a minimum and a maximum.
    pub const fn is_ordered(self) -> bool {
        !matches!(self, Self::Boolean | Self::String | Self::Guid | Self::ByteString)
    }
}

impl fmt::Display for ValueType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A name that is not one of OPC UA's scalar types.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{found}` is not a value type: expected one of Boolean, SByte, Byte, Int16, UInt16, Int32, UInt32, Int64, UInt64, Float, Double, String, DateTime, Guid, ByteString"
)]
pub struct UnknownValueType {
    found: String,
}

impl FromStr for ValueType {
    type Err = UnknownValueType;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.iter().copied().find(|t| t.as_str() == name);
        known.ok_or_else(|| UnknownValueType { found: name.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_read_by_its_name() {
        for &value_type in ValueType::ALL {
            assert_eq!(value_type.as_str().parse(), Ok(value_type));
        }
        let error = "double".parse::<ValueType>().unwrap_err().to_string();
        assert!(error.contains("`double`") && error.contains("Double"));
    }

    #[test]
    fn a_value_is_unwrapped_only_as_its_own_type() {
        assert_eq!(f64::from_value(&Value::Double(1.5)), Some(1.5));
        assert_eq!(f32::from_value(&Value::Double(1.5)), None);
        assert_eq!(String::from_value(&"on".to_owned().into_value()), Some("on".to_owned()));
    }
}
