//! Why a text is not a policy.

use std::fmt;

/// Why a document is not a policy that requests can be decided by.
///
/// Names the place as a JSON path, what stands there and what is expected.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct DocumentError(#[from] Kind);

#[derive(Debug, thiserror::Error)]
pub(crate) enum Kind {
    #[error("policy document is not JSON")]
    Json(#[source] serde_json::Error),
    #[error("{place} is {found}, expected {expected}")]
    Shape { place: String, found: Shown, expected: &'static str },
    #[error("{place} is not known, expected only {expected}")]
    Unknown { place: String, expected: &'static str },
}

/// A text of others as an error shows it, cut after a hundred characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shown(String);

impl Shown {
    /// The text in quotes, its special characters escaped.
    pub(crate) fn quoted(text: &str) -> Self {
        // Ten characters are the most that one becomes.
        Self::new(format_args!("{:?}", text.chars().take(101).collect::<String>()))
    }

    pub(crate) fn new(value: impl fmt::Display) -> Self {
        let mut text = value.to_string();
        if let Some((at, _)) = text.char_indices().nth(100) {
            text.truncate(at);
            text.push('…');
        }
        Self(text)
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl DocumentError {
    /// Where in the document, such as `Statement[0].Resource[1]`; `None` where it is not JSON at all.
    pub fn place(&self) -> Option<&str> {
        match &self.0 {
            Kind::Json(_) => None,
            Kind::Shape { place, .. } | Kind::Unknown { place, .. } => Some(place),
        }
    }
}

/// A document longer than AWS takes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("policy document has {chars} characters without white space, expected at most {}", crate::Document::MAX_CHARS)]
pub struct DocumentTooLong {
    pub(crate) chars: usize,
}
