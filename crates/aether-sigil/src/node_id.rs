//! The address of a variable on an OPC UA server, in the text form of OPC UA Part 6, section 5.3.1.10.

use std::{fmt, str::FromStr, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};

use crate::guid::Guid;

/// A namespace index and an identifier: `ns=2;s=Plant.Temperature`, `i=2258`, `ns=1;g=…`, `ns=3;b=…`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId {
    namespace: u16,
    identifier: Identifier,
}

/// The second half of a [`NodeId`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "OPC UA Part 3 section 8.2 fixes the four kinds")]
pub enum Identifier {
    /// `i=`
    Numeric(u32),
    /// `s=`, 1 to 4,096 characters.
    String(Arc<str>),
    /// `g=`
    Guid(Guid),
    /// `b=`, 1 to 4,096 bytes, base64 in text.
    Opaque(Arc<[u8]>),
}

/// A text that is not a NodeId.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is not a NodeId: {reason}; expected a form like ns=2;s=Plant.Temperature or ns=2;i=1001")]
pub struct InvalidNodeId {
    found: String,
    reason: &'static str,
}

/// Longest string or opaque identifier, OPC UA Part 3, section 8.2.3.
const MAX_IDENTIFIER: usize = 4096;

impl NodeId {
    /// Makes a NodeId from a namespace index and an identifier.
    ///
    /// # Errors
    ///
    /// A string or opaque identifier is empty or longer than 4,096.
    pub fn new(namespace: u16, identifier: Identifier) -> Result<Self, InvalidNodeId> {
        let node_id = Self { namespace, identifier };
        let length = match &node_id.identifier {
            Identifier::String(text) => text.chars().count(),
            Identifier::Opaque(bytes) => bytes.len(),
            Identifier::Numeric(_) | Identifier::Guid(_) => 1,
        };
        if (1..=MAX_IDENTIFIER).contains(&length) {
            Ok(node_id)
        } else {
            let reason = "the identifier is empty or longer than 4096";
            Err(InvalidNodeId { found: node_id.to_string(), reason })
        }
    }

    /// Returns the index into the server's namespace table.
    pub const fn namespace(&self) -> u16 {
        self.namespace
    }

    /// Returns the identifier within the namespace.
    pub const fn identifier(&self) -> &Identifier {
        &self.identifier
    }
}

impl FromStr for NodeId {
    type Err = InvalidNodeId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = |reason| InvalidNodeId { found: text.to_owned(), reason };
        let (namespace, identifier) = match text.strip_prefix("ns=") {
            None => (0, text),
            Some(rest) => {
                let (index, identifier) =
                    rest.split_once(';').ok_or_else(|| invalid("no `;` after the namespace index"))?;
                if !index.bytes().all(|b| b.is_ascii_digit()) {
                    return Err(invalid("the namespace index is not a number"));
                }
                (index.parse().map_err(|_| invalid("the namespace index is not a number from 0 to 65535"))?, identifier)
            }
        };
        let (kind, rest) =
            identifier.split_once('=').ok_or_else(|| invalid("no identifier of kind i=, s=, g= or b="))?;
        let identifier = match kind {
            "i" if rest.bytes().all(|b| b.is_ascii_digit()) => Identifier::Numeric(
                rest.parse().map_err(|_| invalid("the numeric identifier is not from 0 to 4294967295"))?,
            ),
            "i" => return Err(invalid("the numeric identifier is not a number")),
            "s" => Identifier::String(rest.into()),
            "g" => Identifier::Guid(rest.parse().map_err(|_| invalid("the identifier is not a GUID"))?),
            "b" => Identifier::Opaque(
                BASE64.decode(rest).map_err(|_| invalid("the opaque identifier is not base64"))?.into(),
            ),
            _ => return Err(invalid("the kind of the identifier is not i, s, g or b")),
        };
        Self::new(namespace, identifier).map_err(|e| invalid(e.reason))
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace != 0 {
            write!(f, "ns={};", self.namespace)?;
        }
        match &self.identifier {
            Identifier::Numeric(_) => write!(f, "i={}", self.identifier),
            Identifier::String(_) => write!(f, "s={}", self.identifier),
            Identifier::Guid(_) => write!(f, "g={}", self.identifier),
            Identifier::Opaque(_) => write!(f, "b={}", self.identifier),
        }
    }
}

/// Prints the identifier alone, without its kind.
impl fmt::Display for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Numeric(number) => write!(f, "{number}"),
            Self::String(text) => f.write_str(text),
            Self::Guid(guid) => write!(f, "{guid}"),
            Self::Opaque(bytes) => f.write_str(&BASE64.encode(bytes)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_kind_is_printed_as_it_was_read() {
        for text in [
            "ns=2;s=Plant.Temperature",
            "i=2258",
            "ns=1;g=72962b91-fa75-4ae6-8d28-b404dc7daf63",
            "ns=3;b=TWFzY2hpbmU=",
            "ns=2;s=a=b;c",
        ] {
            assert_eq!(text.parse::<NodeId>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_bad_text_is_named_with_the_reason() {
        for (text, reason) in [
            ("", "no identifier"),
            ("Plant.Temperature", "no identifier"),
            ("ns=2", "no `;`"),
            ("ns=x;s=a", "namespace index is not a number"),
            ("ns=65536;s=a", "0 to 65535"),
            ("ns=2;s=", "empty"),
            ("ns=2;i=-1", "not a number"),
            ("ns=2;i=4294967296", "4294967295"),
            ("ns=2;x=1", "kind"),
            ("ns=2;b=%", "base64"),
            ("ns=2;g=1", "GUID"),
            ("ns=+2;s=a", "namespace index is not a number"),
        ] {
            let error = text.parse::<NodeId>().unwrap_err().to_string();
            assert!(error.contains(reason) && error.contains(&format!("`{text}`")), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_refused_or_read_and_printed_without_change_of_meaning(text in ".{0,40}") {
            if let Ok(node_id) = text.parse::<NodeId>() {
                prop_assert_eq!(node_id.to_string().parse::<NodeId>().unwrap(), node_id);
            }
        }

        #[test]
        fn string_identifiers_survive_the_round_trip(namespace: u16, text in "\\PC{1,40}") {
            let node_id = NodeId::new(namespace, Identifier::String(text.as_str().into())).unwrap();
            prop_assert_eq!(node_id.to_string().parse::<NodeId>().unwrap(), node_id);
        }
    }
}
