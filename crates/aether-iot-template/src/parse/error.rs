//! Why a body is no template.

use serde_json::Value;

use crate::kind::TemplateKind;
use crate::limits::{MAX_TEMPLATE_CHARS, quoted};

/// Why a document is not a template. Places are paths such as `Resources.thing.Properties.ThingName`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// The body is not JSON.
    #[error("template is not JSON")]
    Json(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The body is too long.
    #[error("template has {chars} characters, expected at most {MAX_TEMPLATE_CHARS}")]
    TooLong {
        /// Characters of the body.
        chars: usize,
    },
    /// A value is not of the form or from the range its place asks for.
    #[error("{place} is {found}, expected {expected}")]
    Shape {
        /// Where it stands.
        place: String,
        /// What stands there; `missing` if nothing does.
        found: String,
        /// What may stand there.
        expected: String,
    },
    /// A member or function that templates do not have.
    #[error("{place} is unknown, expected {expected}")]
    Unknown {
        /// Where it stands, with its name.
        place: String,
        /// The names there are.
        expected: String,
    },
    /// A section, function or property that templates of this kind do not have (sheet, 2.1).
    #[error("{place} is not available in a template for {kind}")]
    NotInThisKind {
        /// Where it stands, with its name.
        place: String,
        /// The kind of the template.
        kind: TemplateKind,
    },
    /// A name that `Parameters` does not list.
    #[error("{place} refers to {name}, expected a name listed in Parameters")]
    UnknownParameter {
        /// Where it stands.
        place: String,
        /// The name.
        name: String,
    },
}

pub(super) fn shape(place: &str, found: Option<&Value>, expected: &str) -> TemplateError {
    let found = match found {
        None => "missing".to_owned(),
        Some(Value::String(text)) => quoted(text),
        Some(value) => cut(&value.to_string()),
    };
    TemplateError::Shape { place: cut(place), found, expected: expected.to_owned() }
}

pub(super) fn unknown(place: &str, known: &[&str]) -> TemplateError {
    let expected = match known.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => "nothing".to_owned(),
    };
    TemplateError::Unknown { place: cut(place), expected }
}

pub(super) fn not_in(place: &str, kind: TemplateKind) -> TemplateError {
    TemplateError::NotInThisKind { place: cut(place), kind }
}

/// `text`, cut after 200 characters.
pub(super) fn cut(text: &str) -> String {
    const SHOWN: usize = 200;
    match text.char_indices().nth(SHOWN) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}
