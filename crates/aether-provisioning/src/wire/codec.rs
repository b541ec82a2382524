//! JSON and CBOR, which carry the same members under the same names.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::AnswerProblem;

/// How deep an answer may be nested; the deepest that the service sends is a map in a map.
const MAX_DEPTH: usize = 16;

/// How requests and answers are written. Default: [`Json`](Self::Json).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "the service knows these two")]
pub enum Encoding {
    /// JSON (RFC 8259).
    #[default]
    Json,
    /// CBOR (RFC 8949): smaller by the overhead of PEM's line ends and little else.
    Cbor,
}

/// A text that names no encoding.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is no encoding, expected \"json\" or \"cbor\"")]
pub struct InvalidEncoding {
    found: String,
}

impl FromStr for Encoding {
    type Err = InvalidEncoding;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "json" => Ok(Self::Json),
            "cbor" => Ok(Self::Cbor),
            _ => Err(InvalidEncoding { found: text.to_owned() }),
        }
    }
}

impl fmt::Display for Encoding {
    /// The last level of the request topics.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Json => "json",
            Self::Cbor => "cbor",
        })
    }
}

impl Encoding {
    pub(super) fn write(self, content: &impl Serialize) -> Vec<u8> {
        match self {
            Self::Json => serde_json::to_vec(content).expect("texts under text keys are always JSON"),
            Self::Cbor => {
                let mut bytes = Vec::new();
                ciborium::into_writer(content, &mut bytes).expect("texts under text keys are always CBOR");
                bytes
            }
        }
    }

    pub(super) fn read<T: DeserializeOwned>(self, payload: &[u8]) -> Result<T, AnswerProblem> {
        match self {
            // The reader's own message may repeat what it met, and that may be the key.
            Self::Json => {
                serde_json::from_slice(payload).map_err(|e| AnswerProblem::Json { line: e.line(), column: e.column() })
            }
            Self::Cbor => {
                let mut rest = payload;
                let value = ciborium::de::from_reader_with_recursion_limit(&mut rest, MAX_DEPTH);
                match value {
                    Ok(value) if rest.is_empty() => Ok(value),
                    Ok(_) | Err(_) => {
                        Err(AnswerProblem::Cbor { bytes: payload.len(), read: payload.len() - rest.len() })
                    }
                }
            }
        }
    }
}
