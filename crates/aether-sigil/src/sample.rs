//! A value together with how good it is and when it was taken.

use std::fmt;

use crate::{timestamp::Timestamp, value::Value};

/// A value, its status and its SourceTimestamp, as OPC UA's DataValue (Part 4, section 7.11) has them.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Sample {
    /// The value.
    pub value: Value,
    /// How good the value is.
    pub status: StatusCode,
    /// When the value was taken at its source.
    pub source_timestamp: Timestamp,
}

impl Sample {
    /// Makes a sample of status Good.
    pub const fn good(value: Value, source_timestamp: Timestamp) -> Self {
        Self { value, status: StatusCode::GOOD, source_timestamp }
    }
}

/// A StatusCode of OPC UA (Part 4, section 7.39; numbers in Part 6, annex A.2).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StatusCode(u32);

impl StatusCode {
    /// The value is good.
    pub const GOOD: Self = Self(0);
    /// The value is doubtful.
    pub const UNCERTAIN: Self = Self(0x4000_0000);
    /// The value is bad, for no stated reason.
    pub const BAD: Self = Self(0x8000_0000);
    /// The user may not do this.
    pub const BAD_USER_ACCESS_DENIED: Self = Self(0x801F_0000);
    /// The source of the value cannot be reached.
    pub const BAD_NO_COMMUNICATION: Self = Self(0x8031_0000);
    /// The variable cannot be written.
    pub const BAD_NOT_WRITABLE: Self = Self(0x803B_0000);
    /// The value is outside its bounds.
    pub const BAD_OUT_OF_RANGE: Self = Self(0x803C_0000);
    /// The value has another type than the variable.
    pub const BAD_TYPE_MISMATCH: Self = Self(0x8074_0000);

    /// Makes a StatusCode from its number.
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// Returns the number.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Whether the severity is Good: the two highest bits are 00.
    pub const fn is_good(self) -> bool {
        self.0 >> 30 == 0
    }

    /// Whether the severity is Bad: the highest bit is set.
    pub const fn is_bad(self) -> bool {
        self.0 >> 31 == 1
    }
}

impl fmt::Display for StatusCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match *self {
            Self::GOOD => "Good",
            Self::UNCERTAIN => "Uncertain",
            Self::BAD => "Bad",
            Self::BAD_USER_ACCESS_DENIED => "BadUserAccessDenied",
            Self::BAD_NO_COMMUNICATION => "BadNoCommunication",
            Self::BAD_NOT_WRITABLE => "BadNotWritable",
            Self::BAD_OUT_OF_RANGE => "BadOutOfRange",
            Self::BAD_TYPE_MISMATCH => "BadTypeMismatch",
            Self(bits) => return write!(f, "0x{bits:08X}"),
        };
        f.write_str(name)
    }
}

impl fmt::Debug for StatusCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StatusCode({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn severity_is_in_the_two_highest_bits() {
        assert!(StatusCode::GOOD.is_good() && !StatusCode::GOOD.is_bad());
        assert!(!StatusCode::UNCERTAIN.is_good() && !StatusCode::UNCERTAIN.is_bad());
        assert!(StatusCode::BAD_NOT_WRITABLE.is_bad());
        assert_eq!(StatusCode::from_bits(0x8000_1234).to_string(), "0x80001234");
    }
}
