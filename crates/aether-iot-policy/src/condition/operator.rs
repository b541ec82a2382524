//! The names of condition operators.

/// An operator with its quantifier, read from a text such as `ForAnyValue:StringNotLikeIfExists`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Operator {
    source: String,
    pub(super) quantifier: Quantifier,
    pub(super) comparison: Comparison,
    /// The comparison must fail: `StringNotEquals` and its like.
    pub(super) negated: bool,
    if_exists: bool,
}

/// How a list of values is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quantifier {
    /// Without prefix: meant for single values.
    None,
    /// `ForAnyValue:`: one of them is enough.
    Any,
    /// `ForAllValues:`: every one.
    All,
}

/// What is compared, before any negation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Text,
    TextWithoutCase,
    TextLike,
    Number(Order),
    Date(Order),
    Bool,
    Network,
    Arn,
    Null,
}

/// The relation of the request's value to the policy's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Order {
    pub(super) fn holds(self, found: std::cmp::Ordering) -> bool {
        match self {
            Self::Equal => found.is_eq(),
            Self::Less => found.is_lt(),
            Self::LessOrEqual => found.is_le(),
            Self::Greater => found.is_gt(),
            Self::GreaterOrEqual => found.is_ge(),
        }
    }
}

/// Every operator: its name, what it compares, and whether the comparison must fail.
const NAMES: &[(&str, Comparison, bool)] = &[
    ("StringEquals", Comparison::Text, false),
    ("StringNotEquals", Comparison::Text, true),
    ("StringEqualsIgnoreCase", Comparison::TextWithoutCase, false),
    ("StringNotEqualsIgnoreCase", Comparison::TextWithoutCase, true),
    ("StringLike", Comparison::TextLike, false),
    ("StringNotLike", Comparison::TextLike, true),
    ("NumericEquals", Comparison::Number(Order::Equal), false),
    ("NumericNotEquals", Comparison::Number(Order::Equal), true),
    ("NumericLessThan", Comparison::Number(Order::Less), false),
    ("NumericLessThanEquals", Comparison::Number(Order::LessOrEqual), false),
    ("NumericGreaterThan", Comparison::Number(Order::Greater), false),
    ("NumericGreaterThanEquals", Comparison::Number(Order::GreaterOrEqual), false),
    ("DateEquals", Comparison::Date(Order::Equal), false),
    ("DateNotEquals", Comparison::Date(Order::Equal), true),
    ("DateLessThan", Comparison::Date(Order::Less), false),
    ("DateLessThanEquals", Comparison::Date(Order::LessOrEqual), false),
    ("DateGreaterThan", Comparison::Date(Order::Greater), false),
    ("DateGreaterThanEquals", Comparison::Date(Order::GreaterOrEqual), false),
    ("Bool", Comparison::Bool, false),
    ("IpAddress", Comparison::Network, false),
    ("NotIpAddress", Comparison::Network, true),
    ("ArnEquals", Comparison::Arn, false),
    ("ArnNotEquals", Comparison::Arn, true),
    ("ArnLike", Comparison::Arn, false),
    ("ArnNotLike", Comparison::Arn, true),
    ("Null", Comparison::Null, false),
];

impl Operator {
    /// Reads an operator's name; `None` for any other text. `Null` takes neither prefix nor suffix.
    pub(crate) fn parse(source: &str) -> Option<Self> {
        let (quantifier, name) = match source.split_once(':') {
            None => (Quantifier::None, source),
            Some(("ForAnyValue", name)) => (Quantifier::Any, name),
            Some(("ForAllValues", name)) => (Quantifier::All, name),
            Some(_) => return None,
        };
        let (name, if_exists) = name.strip_suffix("IfExists").map_or((name, false), |name| (name, true));
        let (_, comparison, negated) = *NAMES.iter().find(|(known, ..)| *known == name)?;
        if comparison == Comparison::Null && (if_exists || quantifier != Quantifier::None) {
            return None;
        }
        Some(Self { source: source.to_owned(), quantifier, comparison, negated, if_exists })
    }

    pub(super) fn source(&self) -> &str {
        &self.source
    }

    /// The answer when the request has no such key.
    pub(super) fn holds_without_key(&self) -> bool {
        self.if_exists
            || match self.quantifier {
                Quantifier::None => self.negated,
                Quantifier::Any => false,
                Quantifier::All => true,
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_and_suffixes_combine_with_every_name_but_null() {
        for (name, comparison, _) in NAMES {
            let is_null = *comparison == Comparison::Null;
            assert!(Operator::parse(name).is_some(), "{name}");
            for form in
                [format!("{name}IfExists"), format!("ForAnyValue:{name}"), format!("ForAllValues:{name}IfExists")]
            {
                assert_eq!(Operator::parse(&form).is_some(), !is_null, "{form}");
            }
        }
    }

    #[test]
    fn other_names_are_none() {
        for text in [
            "",
            "stringequals",
            "StringMatches",
            "ForSomeValues:StringEquals",
            "IfExists",
            "NullIfExists",
            "ForAnyValue:",
        ] {
            assert_eq!(Operator::parse(text), None, "{text}");
        }
    }
}
