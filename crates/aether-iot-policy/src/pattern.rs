//! Texts of a policy with wildcards and variables, compiled once and compared often.

use std::borrow::Cow;

use crate::variable::Variable;
use crate::{Request, Unresolved};

/// A pattern that is compared with a whole text.
///
/// `*` stands for any run of characters, `/` included; `?` for exactly one character. `+` and `#`
/// mean nothing here: they are compared as they stand (sheet, section 3.3). What a variable stands
/// for is plain text: a `*` in it is no wildcard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    source: Box<str>,
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Literal(Box<str>),
    AnyRun,
    AnyOne,
    Variable { name: Box<str>, variable: Variable },
}

/// Whether `*` and `?` are wildcards or characters like any other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wildcards {
    Yes,
    No,
}

/// A variable without its closing brace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OpenVariable;

/// A pattern after substitution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rendered {
    /// An unresolved variable stands in it as it was written.
    pub(crate) text: String,
    /// Which variables did not resolve, and why.
    pub(crate) unresolved: Vec<(String, Unresolved)>,
}

impl Pattern {
    /// Reads wildcards, variables and the escapes `${*}`, `${?}`, `${$}`.
    pub(crate) fn parse(source: &str, wildcards: Wildcards) -> Result<Self, OpenVariable> {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut rest = source;
        while let Some(first) = rest.chars().next() {
            if let Some(inside) = rest.strip_prefix("${") {
                let (name, after) = inside.split_once('}').ok_or(OpenVariable)?;
                rest = after;
                if matches!(name, "*" | "?" | "$") {
                    literal.push_str(name);
                } else {
                    end_literal(&mut pieces, &mut literal);
                    pieces.push(Piece::Variable { name: name.into(), variable: Variable::parse(name) });
                }
                continue;
            }
            rest = &rest[first.len_utf8()..];
            let wildcard = match first {
                '*' => Piece::AnyRun,
                '?' => Piece::AnyOne,
                _ => Piece::Literal(Box::default()),
            };
            match wildcard {
                Piece::AnyRun | Piece::AnyOne if wildcards == Wildcards::Yes => {
                    end_literal(&mut pieces, &mut literal);
                    // Two stars in a row say no more than one.
                    if wildcard == Piece::AnyOne || pieces.last() != Some(&Piece::AnyRun) {
                        pieces.push(wildcard);
                    }
                }
                Piece::AnyRun | Piece::AnyOne | Piece::Literal(_) | Piece::Variable { .. } => literal.push(first),
            }
        }
        end_literal(&mut pieces, &mut literal);
        Ok(Self { source: source.into(), pieces })
    }

    /// The pattern as the document has it.
    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    pub(crate) fn has_variables(&self) -> bool {
        self.pieces.iter().any(|piece| matches!(piece, Piece::Variable { .. }))
    }

    /// Whether the pattern covers all of `text`; never, while one of its variables is unresolved
    /// (sheet, section 3.4 rule 6).
    ///
    /// Goes back to the latest `*` only: no memory, and in time at worst the product of both lengths.
    pub(crate) fn matches(&self, text: &str, request: &Request<'_>) -> bool {
        let mut at = 0;
        let mut rest = text;
        let mut latest_star: Option<(usize, &str)> = None;
        loop {
            let after = match self.pieces.get(at) {
                None if rest.is_empty() => return true,
                None => None,
                Some(Piece::AnyRun) => {
                    at += 1;
                    if at == self.pieces.len() {
                        return true;
                    }
                    latest_star = Some((at, rest));
                    continue;
                }
                Some(Piece::AnyOne) => without_first(rest),
                Some(Piece::Literal(literal)) => rest.strip_prefix(&**literal),
                Some(Piece::Variable { variable, .. }) => match variable.substitute(request) {
                    Ok(value) => rest.strip_prefix(&*value),
                    Err(_) => return false,
                },
            };
            if let Some(after) = after {
                rest = after;
                at += 1;
                continue;
            }
            // Let the latest star take one more character and try again behind it.
            let Some((behind, from)) = latest_star else { return false };
            let Some(from) = without_first(from) else { return false };
            latest_star = Some((behind, from));
            at = behind;
            rest = from;
        }
    }

    /// The text with its variables filled in, where it has no wildcards; `None` while one is unresolved.
    pub(crate) fn text<'a>(&'a self, request: &Request<'a>) -> Option<Cow<'a, str>> {
        match self.pieces.as_slice() {
            [] => Some(Cow::Borrowed("")),
            [Piece::Literal(literal)] => Some(Cow::Borrowed(literal)),
            [Piece::Variable { variable, .. }] => variable.substitute(request).ok(),
            _ => {
                let rendered = self.render(request);
                rendered.unresolved.is_empty().then_some(Cow::Owned(rendered.text))
            }
        }
    }

    /// The pattern with its variables filled in, for people to read.
    pub(crate) fn render(&self, request: &Request<'_>) -> Rendered {
        let mut rendered = Rendered { text: String::new(), unresolved: Vec::new() };
        for piece in &self.pieces {
            match piece {
                Piece::Literal(literal) => rendered.text.push_str(literal),
                Piece::AnyRun => rendered.text.push('*'),
                Piece::AnyOne => rendered.text.push('?'),
                Piece::Variable { name, variable } => match variable.substitute(request) {
                    Ok(value) => rendered.text.push_str(&value),
                    Err(why) => {
                        rendered.text.push_str(&["${", name, "}"].concat());
                        if !rendered.unresolved.iter().any(|(known, _)| **known == **name) {
                            rendered.unresolved.push((name.to_string(), why));
                        }
                    }
                },
            }
        }
        rendered
    }
}

fn end_literal(pieces: &mut Vec<Piece>, literal: &mut String) {
    if !literal.is_empty() {
        pieces.push(Piece::Literal(std::mem::take(literal).into_boxed_str()));
    }
}

fn without_first(text: &str) -> Option<&str> {
    let mut chars = text.chars();
    chars.next().map(|_| chars.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Action, Context, Resource};

    #[track_caller]
    fn check_for(client_id: Option<&str>, pattern: &str, text: &str, expected: bool) {
        let context = client_id.map_or_else(Context::new, |id| Context::new().with_client_id(id));
        let resource = Resource::any();
        let request = Request::new(Action::Publish, &resource, &context);
        let parsed = Pattern::parse(pattern, Wildcards::Yes).unwrap();
        assert_eq!(parsed.matches(text, &request), expected, "{pattern} on {text}");
    }

    #[track_caller]
    fn check(pattern: &str, text: &str, expected: bool) {
        check_for(Some("press-3"), pattern, text, expected);
    }

    #[test]
    fn a_star_takes_any_run_and_slashes_too() {
        check("topic/plant/*", "topic/plant/a/temp", true);
        check("topic/plant/*", "topic/plant/", true);
        check("topic/plant/*", "topic/plant", false);
        check("*", "", true);
        check("**", "x", true);
        check("a*c*e", "abcde", true);
        check("a*c*e", "abcdef", false);
        check("*ab", "aab", true);
        check("", "", true);
        check("", "a", false);
    }

    #[test]
    fn a_question_mark_takes_exactly_one_character() {
        check("topic/plant/?/temp", "topic/plant/a/temp", true);
        check("topic/plant/?/temp", "topic/plant//temp", false);
        check("topic/plant/?/temp", "topic/plant/ab/temp", false);
        check("?", "é", true);
        check("*?", "", false);
    }

    #[test]
    fn mqtt_wildcards_mean_only_themselves() {
        check("topicfilter/plant/+/temp", "topicfilter/plant/+/temp", true);
        check("topicfilter/plant/+/temp", "topicfilter/plant/a/temp", false);
        check("topicfilter/plant/#", "topicfilter/plant/a", false);
        check("topicfilter/plant/*", "topicfilter/plant/#", true);
    }

    #[test]
    fn a_client_id_is_filled_in_as_plain_text() {
        check("topic/${iot:ClientId}", "topic/press-3", true);
        check("topic/${iot:ClientId}", "topic/press-4", false);
        check("*${iot:ClientId}*", "a/press-3/b", true);
        check_for(Some("*"), "topic/${iot:ClientId}", "topic/anything", false);
        check_for(Some("*"), "topic/${iot:ClientId}", "topic/*", true);
        check_for(Some("?"), "topic/${iot:ClientId}", "topic/a", false);
        check_for(Some("+"), "topicfilter/x/${iot:ClientId}/y", "topicfilter/x/+/y", true);
        check_for(Some("${iot:ClientId}"), "${iot:ClientId}", "${iot:ClientId}", true);
    }

    #[test]
    fn an_unresolved_variable_never_matches() {
        for text in ["topic/", "topic/x", "topic/${iot:ClientId}", "topic/${iot:ClientId}*"] {
            check_for(None, "topic/${iot:ClientId}*", text, false);
        }
        check_for(Some(""), "topic/${iot:ClientId}*", "topic/", false);
        check("${iot:DomainName}", "${iot:DomainName}", false);
        check("*${iot:DomainName}*", "anything", false);
    }

    #[test]
    fn escapes_stand_for_the_characters_themselves() {
        check("a${*}b", "a*b", true);
        check("a${*}b", "axb", false);
        check("${?}${$}", "?$", true);
        check("topic/$aws/things", "topic/$aws/things", true);
        check("${$}{iot:ClientId}", "${iot:ClientId}", true);
    }

    #[test]
    fn without_wildcards_a_star_is_a_star() {
        let context = Context::new();
        let resource = Resource::any();
        let request = Request::new(Action::Publish, &resource, &context);
        let pattern = Pattern::parse("a*?", Wildcards::No).unwrap();
        assert!(pattern.matches("a*?", &request));
        assert!(!pattern.matches("abc", &request));
        assert_eq!(pattern.text(&request).as_deref(), Some("a*?"));
    }

    #[test]
    fn a_variable_without_closing_brace_is_an_error() {
        assert_eq!(Pattern::parse("x${iot:ClientId", Wildcards::Yes), Err(OpenVariable));
        assert_eq!(Pattern::parse("${", Wildcards::No), Err(OpenVariable));
    }

    #[test]
    fn what_is_shown_names_each_unresolved_variable_once() {
        let context = Context::new().with_client_id("c*");
        let resource = Resource::any();
        let request = Request::new(Action::Publish, &resource, &context);
        let pattern = Pattern::parse("*/${iot:ClientId}/${iot:Foo}/${iot:Foo}?", Wildcards::Yes).unwrap();
        let rendered = pattern.render(&request);
        assert_eq!(rendered.text, "*/c*/${iot:Foo}/${iot:Foo}?");
        assert_eq!(rendered.unresolved, [("iot:Foo".to_owned(), Unresolved::UnknownVariable)]);
    }
}
