//! An explanation for a terminal.

use std::fmt;

use super::{ExplainedCondition, ExplainedElement, ExplainedStatement, ExplainedValue, Explanation};
use crate::DecisionKind;

/// Several lines: the request, the decision, then each statement with its parts. Control characters
/// of topics and client ids are escaped, so that no client can write to the terminal.
impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", self.action, Plain(&self.resource))?;
        match &self.client_id {
            Some(client_id) => writeln!(f, " as client {client_id:?}")?,
            None => writeln!(f)?,
        }
        let by = self.decided_by.and_then(|index| self.statements.get(index));
        match (self.decision, by) {
            (DecisionKind::Allowed, Some(by)) => writeln!(f, "allowed by {}", Name(by))?,
            (DecisionKind::ExplicitDeny, Some(by)) => writeln!(f, "denied by {}", Name(by))?,
            (DecisionKind::Allowed | DecisionKind::ExplicitDeny | DecisionKind::ImplicitDeny, _) => {
                writeln!(f, "denied: no statement allows it")?;
            }
        }
        for statement in &self.statements {
            write!(f, "\n{statement}")?;
        }
        Ok(())
    }
}

impl fmt::Display for ExplainedStatement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let applies = if self.applies { "applies" } else { "does not apply" };
        writeln!(f, "{} {}: {applies}", self.effect.as_str(), Name(self))?;
        element(f, &self.action)?;
        element(f, &self.resource)?;
        self.conditions.iter().try_for_each(|one| condition(f, one))
    }
}

/// The policy and the place of a statement in it.
struct Name<'a>(&'a ExplainedStatement);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} statement {}", Plain(&self.0.policy), self.0.index)?;
        match &self.0.sid {
            Some(sid) => write!(f, " {sid:?}"),
            None => Ok(()),
        }
    }
}

/// A text of others, its control characters escaped.
struct Plain<'a>(&'a str);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .chars()
            .try_for_each(|c| if c.is_control() { write!(f, "{}", c.escape_default()) } else { write!(f, "{c}") })
    }
}

fn tick(matched: bool) -> &'static str {
    if matched { "yes" } else { "no " }
}

fn element(f: &mut fmt::Formatter<'_>, element: &ExplainedElement) -> fmt::Result {
    for (index, one) in element.values.iter().enumerate() {
        let head = if index == 0 { element.name } else { "" };
        let matched = if index == 0 { tick(element.matched) } else { "   " };
        write!(f, "  {matched} {head:<11} ")?;
        if element.values.len() > 1 {
            write!(f, "{} ", if one.matched == Some(true) { "+" } else { "-" })?;
        }
        value(f, one)?;
    }
    Ok(())
}

fn condition(f: &mut fmt::Formatter<'_>, condition: &ExplainedCondition) -> fmt::Result {
    write!(
        f,
        "  {} {:<11} {} {}: ",
        tick(condition.matched),
        "Condition",
        Plain(&condition.operator),
        Plain(&condition.key)
    )?;
    match &condition.found {
        Ok(found) => writeln!(f, "found {found:?}")?,
        Err(why) => writeln!(f, "not there: {why}")?,
    }
    for one in &condition.expected {
        write!(f, "{:>18}against ", "")?;
        value(f, one)?;
    }
    Ok(())
}

fn value(f: &mut fmt::Formatter<'_>, value: &ExplainedValue) -> fmt::Result {
    write!(f, "{}", Plain(&value.written))?;
    if value.substituted != value.written {
        write!(f, " = {}", Plain(&value.substituted))?;
    }
    writeln!(f)?;
    for (variable, why) in &value.unresolved {
        writeln!(f, "{:>18}${{{}}} has no value: {why}", "", Plain(variable))?;
    }
    Ok(())
}
