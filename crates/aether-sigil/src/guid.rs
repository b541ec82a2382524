//! A globally unique identifier in the text form of OPC UA Part 6, section 5.1.3.

use std::{fmt, str::FromStr};

/// A GUID, printed as `72962b91-fa75-4ae6-8d28-b404dc7daf63`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Guid([u8; 16]);

/// A text that is not a GUID.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is not a GUID: expected 8-4-4-4-12 hexadecimal digits")]
pub struct InvalidGuid {
    found: String,
}

impl Guid {
    /// Makes a GUID from its bytes in the order in which they are printed.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Returns the bytes in the order in which they are printed.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// Positions of the dashes in the text form.
const DASHES: [usize; 4] = [8, 13, 18, 23];

impl FromStr for Guid {
    type Err = InvalidGuid;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidGuid { found: text.to_owned() };
        if text.len() != 36 || !text.is_ascii() {
            return Err(invalid());
        }
        let mut bytes = [0_u8; 16];
        let mut digits = 0;
        for (at, c) in text.chars().enumerate() {
            if DASHES.contains(&at) {
                if c != '-' {
                    return Err(invalid());
                }
                continue;
            }
            let digit = c.to_digit(16).and_then(|d| u8::try_from(d).ok()).ok_or_else(invalid)?;
            bytes[digits / 2] = bytes[digits / 2] << 4 | digit;
            digits += 1;
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            if matches!(at, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Guid({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guid_is_printed_as_it_was_read() {
        let text = "72962b91-fa75-4ae6-8d28-b404dc7daf63";
        assert_eq!(text.parse::<Guid>().unwrap().to_string(), text);
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "72962b91", "72962b91-fa75-4ae6-8d28-b404dc7daf6g", "72962b91xfa75-4ae6-8d28-b404dc7daf63"] {
            assert!(text.parse::<Guid>().is_err(), "{text}");
        }
    }
}
