//! Policy documents, read strictly.

use std::str::FromStr;

use crate::action::ActionSet;
use crate::condition::{Condition, Operator};
use crate::error::{Kind, Shown};
use crate::json::Json;
use crate::pattern::{Pattern, Wildcards};
use crate::reader::{Members, Placed};
use crate::{DocumentError, DocumentTooLong};

/// A policy document: statements in order, compiled for evaluation.
///
/// ```
/// use aether_iot_policy::Document;
///
/// let error = Document::parse(r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Permit"}]}"#).unwrap_err();
/// assert_eq!(error.to_string(), r#"Statement[0].Effect is "Permit", expected "Allow" or "Deny""#);
/// ```
#[derive(Clone, Debug)]
pub struct Document {
    statements: Vec<Statement>,
}

/// One statement of a document.
#[derive(Clone, Debug)]
pub(crate) struct Statement {
    pub(crate) sid: Option<String>,
    pub(crate) effect: Effect,
    pub(crate) actions: Element<ActionSet>,
    pub(crate) resources: Element<Vec<Pattern>>,
    pub(crate) conditions: Vec<Condition>,
}

/// A member of a statement or its opposite: `Action` or `NotAction`, `Resource` or `NotResource`.
#[derive(Clone, Debug)]
pub(crate) struct Element<T> {
    pub(crate) name: &'static str,
    pub(crate) negated: bool,
    pub(crate) value: T,
}

/// What a statement does to the requests it applies to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Effect {
    /// Allows them, unless a statement denies them.
    Allow,
    /// Denies them, whatever else allows them.
    Deny,
}

impl Effect {
    /// As documents write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "Allow",
            Self::Deny => "Deny",
        }
    }
}

impl Document {
    /// Longest document AWS takes, in characters other than white space (sheet, section 1.6).
    pub const MAX_CHARS: usize = 2048;

    /// Reads a document. Its size is not looked at: see [`check_size`](Self::check_size).
    ///
    /// # Errors
    ///
    /// The text is not JSON, repeats a member, or holds something a policy of AWS IoT Core has no
    /// place for. The error names the place, what was found and what is expected.
    pub fn parse(json: &str) -> Result<Self, DocumentError> {
        Ok(document(json)?)
    }

    /// Checks the length as AWS does when a policy is created.
    ///
    /// # Errors
    ///
    /// There are more than [`MAX_CHARS`](Self::MAX_CHARS) characters other than white space.
    pub fn check_size(json: &str) -> Result<(), DocumentTooLong> {
        match json.chars().filter(|c| !c.is_whitespace()).count() {
            chars if chars > Self::MAX_CHARS => Err(DocumentTooLong { chars }),
            _ => Ok(()),
        }
    }

    pub(crate) fn statements(&self) -> &[Statement] {
        &self.statements
    }
}

impl FromStr for Document {
    type Err = DocumentError;

    fn from_str(json: &str) -> Result<Self, DocumentError> {
        Self::parse(json)
    }
}

/// A document with the name it is known by.
///
/// What [`evaluate`](crate::evaluate) takes: a principal has several, and decisions name the one that decided.
#[derive(Clone, Debug)]
pub struct Policy {
    name: String,
    document: Document,
}

impl Policy {
    /// Gives `document` a name.
    pub fn new(name: impl Into<String>, document: Document) -> Self {
        Self { name: name.into(), document }
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The document.
    pub fn document(&self) -> &Document {
        &self.document
    }
}

impl AsRef<Policy> for Policy {
    fn as_ref(&self) -> &Policy {
        self
    }
}

fn document(json: &str) -> Result<Document, Kind> {
    let json = Json::parse(json).map_err(Kind::Json)?;
    let document = Members::of(&json, "policy document")?;
    document.refuse_others(&["Version", "Id", "Statement"], "Version, Id and Statement")?;
    document.optional_text("Id")?;
    if document.optional_text("Version")? != Some("2012-10-17") {
        return Err(document.shape("Version", "\"2012-10-17\""));
    }
    let statements = match document.get("Statement") {
        Some(Json::List(list)) if !list.is_empty() => {
            let numbered = list.iter().enumerate();
            numbered.map(|(index, json)| statement(json, format!("Statement[{index}]"))).collect::<Result<_, _>>()?
        }
        Some(one @ Json::Object(_)) => vec![statement(one, "Statement".to_owned())?],
        _ => return Err(document.shape("Statement", "a statement or a list of them")),
    };
    Ok(Document { statements })
}

fn statement(json: &Json, place: String) -> Result<Statement, Kind> {
    let members = Members::of(json, &place)?;
    members.refuse_others(
        &["Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Condition"],
        "Sid, Effect, Action, NotAction, Resource, NotResource and Condition",
    )?;
    let effect = match members.get("Effect") {
        Some(Json::Text(text)) if text == "Allow" => Effect::Allow,
        Some(Json::Text(text)) if text == "Deny" => Effect::Deny,
        _ => return Err(members.shape("Effect", "\"Allow\" or \"Deny\"")),
    };
    let actions = members.either("Action", "NotAction")?;
    let resources = members.either("Resource", "NotResource")?;
    Ok(Statement {
        sid: members.optional_text("Sid")?.map(str::to_owned),
        effect,
        actions: actions.map(action_set)?,
        resources: resources.map(|texts| texts.into_iter().map(resource).collect())?,
        conditions: members
            .get("Condition")
            .map_or(Ok(Vec::new()), |json| conditions(json, &members.path("Condition")))?,
    })
}

fn action_set(texts: Vec<Placed<'_>>) -> Result<ActionSet, Kind> {
    match texts.iter().find(|placed| !ActionSet::is_pattern(placed.text)) {
        Some(placed) => Err(placed.shape("an action such as \"iot:Publish\", or \"*\"")),
        None => Ok(ActionSet::new(texts.into_iter().map(|placed| placed.text.to_owned()).collect())),
    }
}

fn resource(placed: Placed<'_>) -> Result<Pattern, Kind> {
    if placed.text != "*" && !placed.text.starts_with("arn:") {
        return Err(placed.shape("\"*\" or a resource name that starts with \"arn:\""));
    }
    Pattern::parse(placed.text, Wildcards::Yes).map_err(|_| placed.shape("a closing brace after each \"${\""))
}

fn conditions(json: &Json, place: &str) -> Result<Vec<Condition>, Kind> {
    let mut conditions = Vec::new();
    let operators = Members::of(json, place)?;
    for (name, json) in operators.members {
        let operator = Operator::parse(name).ok_or_else(|| Kind::Unknown {
            place: operators.path(name),
            expected: "operators such as Bool, StringEquals, StringLike, NumericEquals, DateLessThan, IpAddress, ArnLike \
                       and Null, after ForAnyValue: or ForAllValues: and before IfExists where needed",
        })?;
        let keys = Members::of(json, &operators.path(name))?;
        for (key, json) in keys.members {
            let place = format!("{}[{}]", keys.place, Shown::quoted(key));
            let values = condition_values(json, &place)?;
            let condition = Condition::new(operator.clone(), key, &values).map_err(|invalid| Kind::Shape {
                place: match json {
                    Json::List(_) => format!("{place}[{}]", invalid.at),
                    Json::Null | Json::Bool(_) | Json::Number(_) | Json::Text(_) | Json::Object(_) => place,
                },
                found: Shown::quoted(&values[invalid.at]),
                expected: invalid.expected,
            })?;
            conditions.push(condition);
        }
    }
    Ok(conditions)
}

/// The values of a condition key: texts, numbers and truth values, one or a list.
fn condition_values(json: &Json, place: &str) -> Result<Vec<String>, Kind> {
    const EXPECTED: &str = "a text, a number, true, false or a list of these";
    let value = |json: &Json, place: &str| match json {
        Json::Text(text) => Ok(text.clone()),
        Json::Number(number) => Ok(number.clone()),
        Json::Bool(value) => Ok(value.to_string()),
        Json::Null | Json::List(_) | Json::Object(_) => {
            Err(Kind::Shape { place: place.to_owned(), found: Shown::new(json), expected: EXPECTED })
        }
    };
    match json {
        Json::List(list) if !list.is_empty() => {
            list.iter().enumerate().map(|(index, item)| value(item, &format!("{place}[{index}]"))).collect()
        }
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::Text(_) | Json::List(_) | Json::Object(_) => {
            value(json, place).map(|one| vec![one])
        }
    }
}

impl<T> Element<T> {
    fn map<U>(self, change: impl FnOnce(T) -> Result<U, Kind>) -> Result<Element<U>, Kind> {
        Ok(Element { name: self.name, negated: self.negated, value: change(self.value)? })
    }
}
