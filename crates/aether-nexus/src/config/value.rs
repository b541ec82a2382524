//! Values of Sigils as TOML writes them.

use std::sync::Arc;

use aether_sigil::{Value as SigilValue, ValueType};
use toml::Value;

/// A TOML value that does not fit the type it should have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is not a {expected}")]
pub(super) struct WrongValue {
    found: String,
    expected: String,
}

/// The type that a TOML value has where no `data_type` says otherwise.
pub(super) fn natural_type(value: &Value) -> Result<ValueType, WrongValue> {
    Ok(match value {
        Value::Boolean(_) => ValueType::Boolean,
        Value::Integer(_) => ValueType::Int64,
        Value::Float(_) => ValueType::Double,
        Value::String(_) => ValueType::String,
        Value::Datetime(_) => ValueType::DateTime,
        Value::Array(_) | Value::Table(_) => {
            return Err(WrongValue { found: value.to_string(), expected: "scalar value".to_owned() });
        }
    })
}

/// Reads a TOML value as a value of exactly `wanted`.
#[expect(clippy::wildcard_enum_match_arm, reason = "a type that a later version of aether-sigil adds")]
pub(super) fn sigil_value(value: &Value, wanted: ValueType) -> Result<SigilValue, WrongValue> {
    let wrong = || WrongValue { found: value.to_string(), expected: wanted.to_string() };
    macro_rules! integer {
        ($variant:ident) => {
            value.as_integer().and_then(|i| i.try_into().ok()).map(SigilValue::$variant)
        };
    }
    // A whole number may stand for a floating-point one, as in `minimum_value = 0`.
    #[expect(clippy::cast_precision_loss, reason = "whole numbers in configuration files are small")]
    let float = || value.as_float().or_else(|| value.as_integer().map(|i| i as f64));
    let text = || value.as_str();
    let read = match wanted {
        ValueType::Boolean => value.as_bool().map(SigilValue::Boolean),
        ValueType::SByte => integer!(SByte),
        ValueType::Byte => integer!(Byte),
        ValueType::Int16 => integer!(Int16),
        ValueType::UInt16 => integer!(UInt16),
        ValueType::Int32 => integer!(Int32),
        ValueType::UInt32 => integer!(UInt32),
        ValueType::Int64 => integer!(Int64),
        ValueType::UInt64 => integer!(UInt64),
        #[expect(clippy::cast_possible_truncation, reason = "a Float is what was asked for")]
        ValueType::Float => float().map(|f| SigilValue::Float(f as f32)),
        ValueType::Double => float().map(SigilValue::Double),
        ValueType::String => text().map(|t| SigilValue::String(t.into())),
        ValueType::Guid => text().and_then(|t| t.parse().ok()).map(SigilValue::Guid),
        ValueType::DateTime => match value {
            Value::Datetime(time) => time.to_string().parse().ok(),
            _ => text().and_then(|t| t.parse().ok()),
        }
        .map(SigilValue::DateTime),
        // Bytes have no form of their own in TOML: an array of numbers from 0 to 255.
        ValueType::ByteString => value
            .as_array()
            .and_then(|bytes| bytes.iter().map(|b| b.as_integer().and_then(|i| u8::try_from(i).ok())).collect())
            .map(|bytes: Arc<[u8]>| SigilValue::ByteString(bytes)),
        _ => None,
    };
    read.ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn toml(text: &str) -> Value {
        format!("v = {text}").parse::<toml::Table>().unwrap().remove("v").unwrap()
    }

    #[test]
    fn each_toml_kind_has_a_natural_type() {
        for (text, expected) in [
            ("true", ValueType::Boolean),
            ("25", ValueType::Int64),
            ("25.0", ValueType::Double),
            ("'on'", ValueType::String),
            ("2026-11-22T09:30:00Z", ValueType::DateTime),
        ] {
            let value = toml(text);
            assert_eq!(natural_type(&value), Ok(expected), "{text}");
            assert_eq!(sigil_value(&value, expected).unwrap().value_type(), expected, "{text}");
        }
        assert!(natural_type(&toml("[1]")).is_err());
    }

    #[test]
    #[expect(clippy::wildcard_enum_match_arm, reason = "every other type is a number")]
    fn every_type_has_a_toml_form() {
        let forms = |value_type| match value_type {
            ValueType::Boolean => "true",
            ValueType::String => "'a'",
            ValueType::DateTime => "'2026-11-22T09:30:00Z'",
            ValueType::Guid => "'72962b91-fa75-4ae6-8d28-b404dc7daf63'",
            ValueType::ByteString => "[1, 255]",
            _ => "7",
        };
        for &wanted in ValueType::ALL {
            assert_eq!(sigil_value(&toml(forms(wanted)), wanted).unwrap().value_type(), wanted);
        }
    }

    #[test]
    fn a_value_that_does_not_fit_is_named_with_the_type() {
        for (text, wanted) in [("256", ValueType::Byte), ("-1", ValueType::UInt64), ("'x'", ValueType::Double)] {
            let error = sigil_value(&toml(text), wanted).unwrap_err().to_string();
            assert!(error.contains(wanted.as_str()), "{error}");
        }
    }
}
