//! JSON with members in the order of the text, and no name twice in one object.
//!
//! The usual map keeps the last of two equal names without a word: a policy with two `Resource`
//! members would then be decided by the one its author may not have looked at.

use std::fmt;

use crate::error::Shown;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// A JSON value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    Number(String),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Reads `text`, at most 128 levels deep.
    pub(crate) fn parse(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }
}

/// As an error shows it: scalars as they stand, the rest by kind.
impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Number(value) => f.write_str(value),
            Self::Text(value) => write!(f, "{value:?}"),
            Self::List(items) if items.is_empty() => f.write_str("an empty list"),
            Self::List(_) => f.write_str("a list"),
            Self::Object(members) if members.is_empty() => f.write_str("an empty object"),
            Self::Object(_) => f.write_str("an object"),
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Number(value.to_string()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Number(value.to_string()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Json, E> {
        Ok(Json::Number(value.to_string()))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Json, A::Error> {
        let mut members: Vec<(String, Json)> = Vec::new();
        let mut names = std::collections::HashSet::new();
        while let Some((name, value)) = entries.next_entry::<String, Json>()? {
            if !names.insert(name.clone()) {
                return Err(A::Error::custom(format_args!(
                    "member {} stands twice in one object",
                    Shown::quoted(&name)
                )));
            }
            members.push((name, value));
        }
        Ok(Json::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_keep_their_order_and_values_their_kind() {
        let value = Json::parse(r#"{"b":[1,-2,0.5,true,null],"a":"x"}"#).unwrap();
        let Json::Object(members) = value else { panic!("not an object") };
        assert_eq!(members[0].0, "b");
        assert_eq!(
            members[0].1,
            Json::List(vec![
                Json::Number("1".into()),
                Json::Number("-2".into()),
                Json::Number("0.5".into()),
                Json::Bool(true),
                Json::Null
            ])
        );
        assert_eq!(members[1], ("a".into(), Json::Text("x".into())));
    }

    #[test]
    fn a_name_given_twice_is_refused() {
        let error = Json::parse(r#"{"a":{"Effect":"Allow","Effect":"Deny"}}"#).unwrap_err();
        assert!(error.to_string().contains("\"Effect\" stands twice"), "{error}");
    }

    #[test]
    fn bottomless_nesting_is_refused() {
        assert!(Json::parse(&"[".repeat(100_000)).is_err());
    }
}
