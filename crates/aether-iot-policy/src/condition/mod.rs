//! Conditions of a statement: an operator, a key and the values to compare with.

mod compare;
mod operator;

use compare::Operand;
pub(crate) use operator::Operator;
use operator::{Comparison, Quantifier};

use crate::context::Values;
use crate::pattern::Rendered;
use crate::variable::Variable;
use crate::{Request, Unresolved};

/// One operator applied to one key; all conditions of a statement have to hold.
#[derive(Clone, Debug)]
pub(crate) struct Condition {
    operator: Operator,
    key: String,
    variable: Variable,
    /// Any of them may hold; for a negated operator none may.
    operands: Vec<Operand>,
}

/// A value that an operator cannot compare with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InvalidOperand {
    /// Which of the values.
    pub(crate) at: usize,
    pub(crate) expected: &'static str,
}

impl Condition {
    pub(crate) fn new(operator: Operator, key: &str, values: &[String]) -> Result<Self, InvalidOperand> {
        let operands = values
            .iter()
            .enumerate()
            .map(|(at, value)| {
                Operand::parse(operator.comparison, value).map_err(|expected| InvalidOperand { at, expected })
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { operator, key: key.to_owned(), variable: Variable::parse(key), operands })
    }

    /// Whether the condition holds for `request`, by IAM's rules for missing keys and lists.
    pub(crate) fn holds(&self, request: &Request<'_>) -> bool {
        let found = self.variable.values(request);
        if self.operator.comparison == Comparison::Null {
            return self.any_operand(if found.is_err() { "true" } else { "false" }, request);
        }
        let Ok(found) = found else { return self.operator.holds_without_key() };
        let negated = self.operator.negated;
        let matches = |value: &str| self.any_operand(value, request);
        match self.operator.quantifier {
            Quantifier::None => found.iter().any(matches) != negated,
            Quantifier::Any => found.iter().any(|value| matches(value) != negated),
            Quantifier::All => found.iter().all(|value| matches(value) != negated),
        }
    }

    fn any_operand(&self, value: &str, request: &Request<'_>) -> bool {
        self.operands.iter().any(|operand| operand.covers(self.operator.comparison, value, request))
    }

    /// The operator as the document names it.
    pub(crate) fn operator(&self) -> &str {
        self.operator.source()
    }

    /// The key as the document names it.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// What the request has under the key.
    pub(crate) fn found(&self, request: &Request<'_>) -> Result<Vec<String>, Unresolved> {
        self.variable.values(request).map(|values: Values<'_>| values.iter().map(str::to_owned).collect())
    }

    /// What is compared with, as written and with variables filled in.
    pub(crate) fn expected<'a>(&'a self, request: &Request<'_>) -> impl Iterator<Item = (&'a str, Rendered)> {
        self.operands.iter().map(|operand| (operand.pattern().source(), operand.pattern().render(request)))
    }
}
