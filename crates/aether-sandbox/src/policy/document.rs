//! One policy document, read strictly.

use serde_json::{Map, Value};

use super::pattern::{Pattern, PatternError};

/// Longest policy document AWS takes, white space not counted (sheet, 1.6).
const MAX_CHARS: usize = 2048;

/// A policy: its name and its statements in order.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    pub(super) name: String,
    pub(super) statements: Vec<Statement>,
}

/// One statement of a policy.
#[derive(Clone, Debug)]
pub(super) struct Statement {
    pub(super) effect: Effect,
    /// In lower case: actions compare without case (sheet, 3.1).
    pub(super) actions: Vec<Pattern>,
    pub(super) resources: Vec<Pattern>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Allow,
    Deny,
}

/// Why a document is not a policy this evaluator can decide by.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PolicyError {
    #[error("policy is not JSON")]
    Json(#[source] serde_json::Error),
    #[error("policy has {chars} characters without white space, expected at most {MAX_CHARS}")]
    TooLong { chars: usize },
    #[error("{place} is {found}, expected {expected}")]
    Shape { place: String, found: String, expected: &'static str },
    #[error("{place} is not supported yet, expected only {expected}")]
    Unsupported { place: String, expected: &'static str },
    #[error("{place} cannot be used")]
    Pattern {
        place: String,
        #[source]
        source: PatternError,
    },
}

impl Policy {
    /// Reads the document of the policy called `name`.
    pub(crate) fn parse(name: &str, text: &str) -> Result<Self, PolicyError> {
        let chars = text.chars().filter(|c| !c.is_whitespace()).count();
        if chars > MAX_CHARS {
            return Err(PolicyError::TooLong { chars });
        }
        let document: Value = serde_json::from_str(text).map_err(PolicyError::Json)?;
        let document = object(&document, "policy")?;
        refuse_others(document, "policy", &["Version", "Id", "Statement"], "Version, Id and Statement")?;
        let version = document.get("Version");
        if version.and_then(Value::as_str) != Some("2012-10-17") {
            return Err(shape("Version", version, "\"2012-10-17\""));
        }
        let statements = match document.get("Statement") {
            Some(Value::Array(list)) => list.iter().collect(),
            Some(one @ Value::Object(_)) => vec![one],
            other => return Err(shape("Statement", other, "a list of statements")),
        };
        Ok(Self {
            name: name.to_owned(),
            statements: statements
                .into_iter()
                .enumerate()
                .map(|(index, statement)| Statement::parse(index, statement))
                .collect::<Result<_, _>>()?,
        })
    }
}

impl Statement {
    fn parse(index: usize, value: &Value) -> Result<Self, PolicyError> {
        let place = format!("Statement[{index}]");
        let statement = object(value, &place)?;
        refuse_others(statement, &place, &["Sid", "Effect", "Action", "Resource"], "Sid, Effect, Action and Resource")?;
        let effect = match statement.get("Effect").and_then(Value::as_str) {
            Some("Allow") => Effect::Allow,
            Some("Deny") => Effect::Deny,
            Some(_) | None => {
                let place = format!("{place}.Effect");
                return Err(shape(&place, statement.get("Effect"), "\"Allow\" or \"Deny\""));
            }
        };
        let actions = texts(statement, &place, "Action")?
            .into_iter()
            .map(|(place, text)| {
                let action = text.to_ascii_lowercase();
                match action == "*" || action.starts_with("iot:") {
                    true => pattern(place, &action),
                    false => Err(PolicyError::Shape {
                        place,
                        found: format!("{text:?}"),
                        expected: "an action such as \"iot:Publish\"",
                    }),
                }
            })
            .collect::<Result<_, _>>()?;
        let resources = texts(statement, &place, "Resource")?
            .into_iter()
            .map(|(place, text)| match text == "*" || text.starts_with("arn:") {
                true => pattern(place, text),
                false => Err(PolicyError::Shape {
                    place,
                    found: format!("{text:?}"),
                    expected: "\"*\" or a resource name that starts with \"arn:\"",
                }),
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { effect, actions, resources })
    }
}

fn pattern(place: String, text: &str) -> Result<Pattern, PolicyError> {
    Pattern::parse(text).map_err(|source| PolicyError::Pattern { place, source })
}

/// The texts of a member that may be one string or a list of strings.
fn texts<'a>(
    statement: &'a Map<String, Value>,
    place: &str,
    member: &str,
) -> Result<Vec<(String, &'a str)>, PolicyError> {
    const EXPECTED: &str = "a string or a list of strings";
    let place = format!("{place}.{member}");
    match statement.get(member) {
        Some(Value::String(text)) => Ok(vec![(place, text)]),
        Some(Value::Array(list)) if !list.is_empty() => list
            .iter()
            .enumerate()
            .map(|(index, item)| {
                let place = format!("{place}[{index}]");
                match item.as_str() {
                    Some(text) => Ok((place, text)),
                    None => Err(shape(&place, Some(item), EXPECTED)),
                }
            })
            .collect(),
        other => Err(shape(&place, other, EXPECTED)),
    }
}

fn object<'a>(value: &'a Value, place: &str) -> Result<&'a Map<String, Value>, PolicyError> {
    value.as_object().ok_or_else(|| shape(place, Some(value), "an object"))
}

fn refuse_others(
    object: &Map<String, Value>,
    place: &str,
    known: &[&str],
    expected: &'static str,
) -> Result<(), PolicyError> {
    match object.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(PolicyError::Unsupported { place: format!("{place}.{key}"), expected }),
        None => Ok(()),
    }
}

fn shape(place: &str, found: Option<&Value>, expected: &'static str) -> PolicyError {
    let found = found.map_or_else(|| "missing".to_owned(), Value::to_string);
    PolicyError::Shape { place: place.to_owned(), found, expected }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_statement(statement: &str) -> String {
        format!(r#"{{"Version":"2012-10-17","Statement":[{statement}]}}"#)
    }

    #[track_caller]
    fn refused(document: &str, words: &[&str]) {
        let error = Policy::parse("p", document).unwrap_err();
        let mut said = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            said = format!("{said}: {cause}");
            source = cause.source();
        }
        for word in words {
            assert!(said.contains(word), "{said:?} does not say {word:?}");
        }
    }

    #[test]
    fn strings_and_lists_and_a_single_statement_are_read() {
        let list = with_statement(r#"{"Effect":"Allow","Action":["iot:Publish","iot:Receive"],"Resource":"*"}"#);
        assert_eq!(Policy::parse("p", &list).unwrap().statements[0].actions.len(), 2);
        let single =
            r#"{"Version":"2012-10-17","Statement":{"Sid":"a","Effect":"Deny","Action":"iot:*","Resource":["*"]}}"#;
        assert_eq!(Policy::parse("p", single).unwrap().statements[0].effect, Effect::Deny);
    }

    #[test]
    fn what_the_evaluator_does_not_understand_is_refused_by_name() {
        let ok = r#""Effect":"Allow","Action":"iot:Publish","Resource":"*""#;
        for extra in ["Condition", "NotAction", "NotResource", "Principal"] {
            let statement = format!(r#"{{{ok},"{extra}":{{}}}}"#);
            refused(&with_statement(&statement), &["Statement[0]", extra, "not supported yet"]);
        }
        refused(
            &with_statement(
                r#"{"Effect":"Allow","Action":"iot:Publish","Resource":"arn:${iot:Connection.Thing.ThingName}"}"#,
            ),
            &["Statement[0].Resource", "iot:Connection.Thing.ThingName", "not supported yet"],
        );
    }

    #[test]
    fn a_malformed_document_says_where_and_what_is_expected() {
        refused("{", &["not JSON"]);
        refused("[]", &["policy", "object"]);
        refused(r#"{"Version":"2008-10-17","Statement":[]}"#, &["Version", "2012-10-17"]);
        refused(r#"{"Version":"2012-10-17"}"#, &["Statement", "missing"]);
        refused(&with_statement(r#"{"Effect":"allow","Action":"iot:X","Resource":"*"}"#), &["Effect", "\"Allow\""]);
        refused(&with_statement(r#"{"Effect":"Allow","Action":"s3:Get","Resource":"*"}"#), &["Action", "s3:Get"]);
        refused(&with_statement(r#"{"Effect":"Allow","Action":[],"Resource":"*"}"#), &["Action", "list of strings"]);
        refused(
            &with_statement(r#"{"Effect":"Allow","Action":"iot:X","Resource":["topic/a"]}"#),
            &["Resource[0]", "arn:"],
        );
        let long = "x".repeat(MAX_CHARS);
        refused(
            &with_statement(&format!(r#"{{"Effect":"Allow","Action":"iot:X","Resource":"arn:{long}"}}"#)),
            &["2048"],
        );
    }
}
