//! Values: texts, references and functions (sheet, 2.5).

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::error::{cut, not_in, shape, unknown};
use super::{TemplateError, object};
use crate::expression::{List, Lookup, Node, Piece, Text};
use crate::kind::{CERTIFICATE_ID, TemplateKind};
use crate::limits::quoted;

const FUNCTIONS: &[&str] = &["Ref", "Fn::Join", "Fn::Select", "Fn::FindInMap", "Fn::Split", "Fn::Sub"];
const A_TEXT: &str = "a text or a function that gives one";
const A_LIST: &str = "a list or a function that gives one";
const JOIN: &str = "[\"delimiter\", a list or a function that gives one]";
const SELECT: &str = "[index from 0, a list or a function that gives one]";
const FIND: &str = "[map name, top level key, second level key]";
const SPLIT: &str = "[\"delimiter\" (not empty), a text or a function that gives one]";
const SUB: &str = "\"text with ${Name}\" or [\"text with ${Name}\", {\"Name\": value}]";

/// Reads values, knowing what the template may use.
pub(super) struct Reader<'a> {
    pub(super) kind: TemplateKind,
    pub(super) parameters: &'a BTreeMap<String, Option<String>>,
}

impl Reader<'_> {
    /// A value that is to be one text.
    pub(super) fn text(&self, place: &str, value: &Value) -> Result<Text, TemplateError> {
        if let Value::String(text) = value {
            return Ok(Text::Literal(text.clone()));
        }
        let Some((function, argument)) = self.call(place, value)? else {
            return Err(shape(place, Some(value), A_TEXT));
        };
        let inside = format!("{place}.{function}");
        let wrong = |expected| Err(shape(&inside, Some(argument), expected));
        match (function, argument) {
            ("Ref", Value::String(name)) => self.declared(&inside, name).map(Text::Ref),
            ("Fn::Join", Value::Array(parts)) => match parts.as_slice() {
                [Value::String(delimiter), items] => Ok(Text::Join {
                    delimiter: delimiter.clone(),
                    items: self.list(&format!("{inside}[1]"), items, Nulls::Refused)?,
                }),
                _ => wrong(JOIN),
            },
            ("Fn::Select", Value::Array(parts)) => match parts.as_slice() {
                [index, items] => Ok(Text::Select {
                    index: Box::new(self.index(&format!("{inside}[0]"), index)?),
                    items: self.list(&format!("{inside}[1]"), items, Nulls::Allowed)?,
                }),
                _ => wrong(SELECT),
            },
            ("Fn::FindInMap", argument) => Ok(Text::Find(Box::new(self.lookup(&inside, argument)?))),
            ("Fn::Sub", argument) => self.sub(&inside, argument),
            ("Ref", _) => wrong("the name of a parameter"),
            ("Fn::Join", _) => wrong(JOIN),
            ("Fn::Select", _) => wrong(SELECT),
            (_, _) => wrong("a text; Fn::Split gives a list, take from it with Fn::Select or Fn::Join"),
        }
    }

    /// A value that is to be a list of texts.
    pub(super) fn list(&self, place: &str, value: &Value, nulls: Nulls) -> Result<List, TemplateError> {
        if let Value::Array(items) = value {
            let read = |(at, item): (usize, &Value)| match (item, nulls) {
                (Value::Null, Nulls::Allowed) => Ok(None),
                _ => self.text(&format!("{place}[{at}]"), item).map(Some),
            };
            return items.iter().enumerate().map(read).collect::<Result<_, _>>().map(List::Items);
        }
        let Some((function, argument)) = self.call(place, value)? else {
            return Err(shape(place, Some(value), A_LIST));
        };
        let inside = format!("{place}.{function}");
        match (function, argument) {
            ("Fn::Split", Value::Array(parts)) => match parts.as_slice() {
                [Value::String(delimiter), source] if !delimiter.is_empty() => Ok(List::Split {
                    delimiter: delimiter.clone(),
                    source: Box::new(self.text(&format!("{inside}[1]"), source)?),
                }),
                _ => Err(shape(&inside, Some(argument), SPLIT)),
            },
            ("Fn::Split", _) => Err(shape(&inside, Some(argument), SPLIT)),
            ("Fn::FindInMap", argument) => Ok(List::Find(Box::new(self.lookup(&inside, argument)?))),
            (_, _) => Err(shape(place, Some(value), "a list, Fn::Split or Fn::FindInMap")),
        }
    }

    /// A flat map of names to texts.
    pub(super) fn texts(&self, place: &str, value: &Value) -> Result<BTreeMap<String, Text>, TemplateError> {
        object(Some(value), place)?
            .iter()
            .map(|(name, value)| Ok((name.clone(), self.text(&format!("{place}.{name}"), value)?)))
            .collect()
    }

    /// A part of a policy document: any JSON, with functions where a text may stand.
    pub(super) fn node(&self, place: &str, value: &Value) -> Result<Node, TemplateError> {
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => Ok(Node::Leaf(value.clone())),
            Value::String(text) => Ok(Node::Text(Text::Literal(text.clone()))),
            Value::Array(items) => items
                .iter()
                .enumerate()
                .map(|(at, item)| self.node(&format!("{place}[{at}]"), item))
                .collect::<Result<_, _>>()
                .map(Node::Array),
            Value::Object(members) => match self.call(place, value)? {
                Some(("Fn::Split", _)) => self.list(place, value, Nulls::Refused).map(Node::List),
                Some(_) => self.text(place, value).map(Node::Text),
                None => self.members(place, members).map(Node::Object),
            },
        }
    }

    fn members(&self, place: &str, members: &Map<String, Value>) -> Result<BTreeMap<String, Node>, TemplateError> {
        members.iter().map(|(name, value)| Ok((name.clone(), self.node(&format!("{place}.{name}"), value)?))).collect()
    }

    /// The function `value` calls and its argument; `None` if it is no function.
    pub(super) fn call<'v>(
        &self,
        place: &str,
        value: &'v Value,
    ) -> Result<Option<(&'v str, &'v Value)>, TemplateError> {
        let Some(members) = value.as_object() else { return Ok(None) };
        let Some((name, argument)) = members.iter().find(|(name, _)| *name == "Ref" || name.starts_with("Fn::")) else {
            return Ok(None);
        };
        let inside = format!("{place}.{name}");
        if members.len() != 1 {
            return Err(shape(place, Some(value), "a function alone, without other members beside it"));
        }
        if !FUNCTIONS.contains(&name.as_str()) {
            return Err(unknown(&inside, FUNCTIONS));
        }
        if name != "Ref" && self.kind != TemplateKind::Fleet {
            return Err(not_in(&inside, self.kind));
        }
        Ok(Some((name, argument)))
    }

    /// Checks that `name` may be referred to. In fleet templates the certificate id needs no
    /// declaration (sheet, 2.2); in the others every name does (sheet, 2.3).
    fn declared(&self, place: &str, name: &str) -> Result<String, TemplateError> {
        let undeclared_id = self.kind == TemplateKind::Fleet && name == CERTIFICATE_ID;
        match undeclared_id || self.parameters.contains_key(name) {
            true => Ok(name.to_owned()),
            false => Err(TemplateError::UnknownParameter { place: cut(place), name: quoted(name) }),
        }
    }

    fn index(&self, place: &str, value: &Value) -> Result<Text, TemplateError> {
        const EXPECTED: &str = "an index from 0, as a text or a number, or a function that gives one";
        let text = match value.as_number() {
            Some(number) => Text::Literal(number.to_string()),
            None => self.text(place, value)?,
        };
        if let Text::Literal(index) = &text
            && index.parse::<usize>().is_err()
        {
            return Err(shape(place, Some(value), EXPECTED));
        }
        Ok(text)
    }

    fn lookup(&self, place: &str, argument: &Value) -> Result<Lookup, TemplateError> {
        match argument.as_array().map(Vec::as_slice) {
            Some([map, top, second]) => Ok(Lookup {
                map: self.text(&format!("{place}[0]"), map)?,
                top: self.text(&format!("{place}[1]"), top)?,
                second: self.text(&format!("{place}[2]"), second)?,
            }),
            Some(_) | None => Err(shape(place, Some(argument), FIND)),
        }
    }

    fn sub(&self, place: &str, argument: &Value) -> Result<Text, TemplateError> {
        let wrong = || shape(place, Some(argument), SUB);
        let (text, variables) = match argument {
            Value::String(text) => (text, BTreeMap::new()),
            Value::Array(parts) => match parts.as_slice() {
                [Value::String(text), variables @ Value::Object(_)] => {
                    (text, self.texts(&format!("{place}[1]"), variables)?)
                }
                _ => return Err(wrong()),
            },
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => return Err(wrong()),
        };
        let pieces = pieces(text).ok_or_else(|| shape(place, Some(argument), "every ${ closed by } around a name"))?;
        for piece in &pieces {
            if let Piece::Variable(name) = piece
                && !variables.contains_key(name)
            {
                self.declared(place, name)?;
            }
        }
        Ok(Text::Sub { pieces, variables })
    }
}

/// Whether `null` may stand in a list.
#[derive(Clone, Copy, Debug)]
pub(super) enum Nulls {
    Allowed,
    Refused,
}

/// Takes the text of `Fn::Sub` apart. `${!Name}` stands for a literal `${Name}`, as CloudFormation has
/// it. `None` if a `${` is not closed or names nothing.
fn pieces(mut text: &str) -> Option<Vec<Piece>> {
    let mut pieces = Vec::new();
    while let Some((before, rest)) = text.split_once("${") {
        let (name, after) = rest.split_once('}')?;
        if !before.is_empty() {
            pieces.push(Piece::Literal(before.to_owned()));
        }
        pieces.push(match name.strip_prefix('!') {
            Some(literal) => Piece::Literal(format!("${{{literal}}}")),
            None if name.is_empty() => return None,
            None => Piece::Variable(name.to_owned()),
        });
        text = after;
    }
    if !text.is_empty() {
        pieces.push(Piece::Literal(text.to_owned()));
    }
    Some(pieces)
}
