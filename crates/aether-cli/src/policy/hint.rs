//! Why no statement allows a request: the likely mistake.

use aether_iot_policy::{DecisionKind, Effect, ExplainedStatement, Explanation};

use super::check::Session;

/// A statement as people find it in the document.
pub(super) fn place(statement: &ExplainedStatement) -> String {
    match &statement.sid {
        Some(sid) => format!("Statement[{}] {sid:?}", statement.index),
        None => format!("Statement[{}]", statement.index),
    }
}

/// What stands in the way of a request that no statement allows, where that can be told.
pub(super) fn hint(explanation: &Explanation, session: &Session) -> Option<String> {
    if explanation.decision != DecisionKind::ImplicitDeny {
        return None;
    }
    let about_action = explanation.statements.iter().filter(|one| one.effect == Effect::Allow && one.action.matched);
    let about_action: Vec<_> = about_action.collect();
    if about_action.is_empty() {
        return Some(format!("nothing is said of {}", explanation.action));
    }
    let each = |find: &dyn Fn(&ExplainedStatement) -> Option<String>| {
        about_action.iter().find_map(|statement| Some(format!("{} {}", place(statement), find(statement)?)))
    };
    each(&failed_condition)
        .or_else(|| each(&without_value))
        .or_else(|| each(&|statement| csr_trap(statement, &explanation.resource)))
        .or_else(|| each(&|statement| elsewhere(statement, &session.arn_prefix)))
}

fn failed_condition(statement: &ExplainedStatement) -> Option<String> {
    let failed = statement.conditions.iter().find(|condition| statement.resource.matched && !condition.matched)?;
    Some(format!("names it, but its condition {:?} on {:?} does not hold", failed.operator, failed.key))
}

fn without_value(statement: &ExplainedStatement) -> Option<String> {
    let (variable, why) = statement.resource.values.iter().find_map(|value| value.unresolved.first())?;
    Some(format!("names a variable without value, {variable:?}: {why}"))
}

/// The star of `create/*` comes after the slash.
fn csr_trap(statement: &ExplainedStatement, resource: &str) -> Option<String> {
    let mut written = statement.resource.values.iter().map(|value| &value.written);
    let trapped = resource.contains("/certificates/create-from-csr/")
        && written.any(|value| value.contains("/certificates/create/"));
    trapped.then(|| "names certificates/create/…, which does not take in certificates/create-from-csr/…".to_owned())
}

/// A policy of another account, or one whose placeholders were not filled in.
fn elsewhere(statement: &ExplainedStatement, arn_prefix: &str) -> Option<String> {
    let other = statement.resource.values.iter().find_map(|value| foreign_prefix(&value.written, arn_prefix))?;
    Some(format!("is about {other:?}, expected {arn_prefix:?}"))
}

/// What a resource begins with, if it says plainly that it is of another account, Region or partition.
pub(super) fn foreign_prefix<'a>(written: &'a str, arn_prefix: &str) -> Option<&'a str> {
    let (end, _) = written.match_indices(':').nth(4)?;
    let prefix = &written[..end];
    (prefix != arn_prefix && !prefix.contains(['*', '?', '$'])).then_some(prefix)
}
