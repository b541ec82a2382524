//! An explanation as JSON.

use serde_json::{Value, json};

use super::{ExplainedCondition, ExplainedElement, ExplainedStatement, ExplainedValue, Explanation};
use crate::Unresolved;

impl Explanation {
    /// The explanation as one JSON object on one line.
    ///
    /// Members: `action`, `resource`, `clientId`, `allowed`, `decision` (`ALLOWED`, `EXPLICIT_DENY`,
    /// `IMPLICIT_DENY`), `decidedBy` (`policy`, `statement`, `sid`, or null) and `statements`, each with
    /// `policy`, `statement`, `sid`, `effect`, `applies`, `action`, `resource` and `conditions`.
    pub fn to_json(&self) -> String {
        let decided_by = self.decided_by.and_then(|index| self.statements.get(index));
        json!({
            "action": self.action.as_str(),
            "resource": self.resource,
            "clientId": self.client_id,
            "allowed": self.decision == crate::DecisionKind::Allowed,
            "decision": self.decision.as_str(),
            "decidedBy": decided_by.map(|by| json!({ "policy": by.policy, "statement": by.index, "sid": by.sid })),
            "statements": self.statements.iter().map(statement).collect::<Vec<_>>(),
        })
        .to_string()
    }
}

fn statement(statement: &ExplainedStatement) -> Value {
    json!({
        "policy": statement.policy,
        "statement": statement.index,
        "sid": statement.sid,
        "effect": statement.effect.as_str(),
        "applies": statement.applies,
        "action": element(&statement.action),
        "resource": element(&statement.resource),
        "conditions": statement.conditions.iter().map(condition).collect::<Vec<_>>(),
    })
}

fn element(element: &ExplainedElement) -> Value {
    json!({ "element": element.name, "matched": element.matched, "values": values(&element.values) })
}

fn condition(condition: &ExplainedCondition) -> Value {
    json!({
        "operator": condition.operator,
        "key": condition.key,
        "matched": condition.matched,
        "found": condition.found.as_ref().ok(),
        "missing": condition.found.as_ref().err().map(ToString::to_string),
        "expected": values(&condition.expected),
    })
}

fn values(values: &[ExplainedValue]) -> Vec<Value> {
    values
        .iter()
        .map(|value| {
            json!({
                "written": value.written,
                "substituted": value.substituted,
                "unresolved": value.unresolved.iter().map(unresolved).collect::<Vec<_>>(),
                "matched": value.matched,
            })
        })
        .collect()
}

fn unresolved((variable, why): &(String, Unresolved)) -> Value {
    json!({ "variable": variable, "why": why.to_string() })
}
