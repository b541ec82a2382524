//! What a hook answers (sheet, 2.7).

use std::collections::BTreeMap;

use serde_json::Value;

/// A hook's word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HookAnswer {
    pub(super) allowed: bool,
    /// Parameters that count instead of the device's.
    pub(super) overrides: BTreeMap<String, String>,
}

/// An answer that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidAnswer {
    #[error("hook's answer is not a JSON object")]
    NotAnObject,
    #[error("allowProvisioning of the hook's answer is missing or not true or false")]
    Allow,
    #[error("parameterOverrides of the hook's answer is not a map of strings")]
    Overrides,
}

impl HookAnswer {
    /// Reads an answer. `allowProvisioning` has to be a truth value: AWS's documents show the text
    /// `"true"` as well, but not that it works. Members it does not know are ignored.
    pub(crate) fn parse(answer: &[u8]) -> Result<Self, InvalidAnswer> {
        let answer: Value = serde_json::from_slice(answer).map_err(|_| InvalidAnswer::NotAnObject)?;
        let answer = answer.as_object().ok_or(InvalidAnswer::NotAnObject)?;
        let allowed = answer.get("allowProvisioning").and_then(Value::as_bool).ok_or(InvalidAnswer::Allow)?;
        let overrides = match answer.get("parameterOverrides") {
            None | Some(Value::Null) => BTreeMap::new(),
            Some(overrides) => serde_json::from_value(overrides.clone()).map_err(|_| InvalidAnswer::Overrides)?,
        };
        Ok(Self { allowed, overrides })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(answer: &str) -> Result<HookAnswer, InvalidAnswer> {
        HookAnswer::parse(answer.as_bytes())
    }

    #[test]
    fn only_a_truth_value_allows_or_refuses() {
        assert!(parse(r#"{"allowProvisioning":true}"#).unwrap().allowed);
        assert!(!parse(r#"{"allowProvisioning":false,"why":"x"}"#).unwrap().allowed);
        for answer in
            [r#"{"allowProvisioning":"true"}"#, r#"{"allowProvisioning":1}"#, "{}", r#"{"AllowProvisioning":true}"#]
        {
            assert_eq!(parse(answer), Err(InvalidAnswer::Allow), "{answer}");
        }
        for answer in ["", "true", "[]", "{", "{}{}"] {
            assert_eq!(parse(answer), Err(InvalidAnswer::NotAnObject), "{answer}");
        }
    }

    #[test]
    fn overrides_are_a_map_of_strings() {
        let answer = parse(r#"{"allowProvisioning":true,"parameterOverrides":{"Site":"hall-a"}}"#).unwrap();
        assert_eq!(answer.overrides["Site"], "hall-a");
        assert!(parse(r#"{"allowProvisioning":true,"parameterOverrides":null}"#).unwrap().overrides.is_empty());
        for overrides in ["7", "[]", r#"{"Site":7}"#] {
            let answer = format!(r#"{{"allowProvisioning":true,"parameterOverrides":{overrides}}}"#);
            assert_eq!(parse(&answer), Err(InvalidAnswer::Overrides), "{answer}");
        }
    }

    proptest! {
        #[test]
        fn hostile_bytes_never_panic(answer in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = HookAnswer::parse(&answer);
        }
    }
}
