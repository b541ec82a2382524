//! Patterns of policy resources and actions: `*`, `?` and policy variables.

/// A pattern with wildcards and variables, compared with a whole text.
///
/// `*` stands for any run of characters, `/` included; `?` for exactly one character. `+` and `#`
/// mean nothing here: they are compared as they stand (sheet, 3.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    /// The plain text before the first wildcard or variable: most texts differ here already.
    prefix: String,
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Char(char),
    AnyRun,
    AnyOne,
    ClientId,
}

/// One character position of a pattern whose variables have been filled in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Char(char),
    AnyRun,
    AnyOne,
}

/// Why a text is not a pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PatternError {
    #[error("policy variable in {pattern:?} has no closing brace")]
    OpenVariable { pattern: String },
    #[error("policy variable ${{{variable}}} is not supported yet, expected ${{iot:ClientId}}")]
    UnsupportedVariable { variable: String },
}

impl Pattern {
    /// Reads a pattern with `*`, `?`, `${iot:ClientId}` and the escapes `${*}`, `${?}`, `${$}`.
    pub(crate) fn parse(text: &str) -> Result<Self, PatternError> {
        let mut pieces = Vec::with_capacity(text.len());
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            if let Some(inside) = rest.strip_prefix("${") {
                let (variable, after) =
                    inside.split_once('}').ok_or_else(|| PatternError::OpenVariable { pattern: text.to_owned() })?;
                pieces.push(variable_piece(variable)?);
                rest = after;
                continue;
            }
            pieces.push(match first {
                '*' => Piece::AnyRun,
                '?' => Piece::AnyOne,
                other => Piece::Char(other),
            });
            rest = &rest[first.len_utf8()..];
        }
        let plain = pieces.iter().map_while(|piece| match piece {
            Piece::Char(c) => Some(*c),
            Piece::AnyRun | Piece::AnyOne | Piece::ClientId => None,
        });
        let prefix = plain.collect::<String>();
        Ok(Self { pieces: pieces.split_off(prefix.chars().count()), prefix })
    }

    /// Whether the pattern covers `text`, with `client_id` filled in for its variable.
    ///
    /// A missing client id leaves the variable unresolved, and then nothing matches (sheet, 3.4
    /// rule 6). A client id counts as plain text: a `*` or `?` in it never becomes a wildcard.
    pub(crate) fn matches(&self, text: &str, client_id: Option<&str>) -> bool {
        let Some(text) = text.strip_prefix(&self.prefix) else { return false };
        let mut tokens = Vec::with_capacity(self.pieces.len());
        for piece in &self.pieces {
            match piece {
                Piece::Char(c) => tokens.push(Token::Char(*c)),
                Piece::AnyRun => tokens.push(Token::AnyRun),
                Piece::AnyOne => tokens.push(Token::AnyOne),
                Piece::ClientId => match client_id {
                    Some(id) => tokens.extend(id.chars().map(Token::Char)),
                    None => return false,
                },
            }
        }
        covers(&tokens, text)
    }
}

fn variable_piece(variable: &str) -> Result<Piece, PatternError> {
    match variable {
        "iot:ClientId" => Ok(Piece::ClientId),
        "*" => Ok(Piece::Char('*')),
        "?" => Ok(Piece::Char('?')),
        "$" => Ok(Piece::Char('$')),
        other => Err(PatternError::UnsupportedVariable { variable: other.to_owned() }),
    }
}

/// Greedy match that goes back to the latest `*` only: linear in memory, and in time at worst the
/// product of both lengths.
fn covers(tokens: &[Token], text: &str) -> bool {
    let mut at = 0;
    let mut rest = text.chars();
    let mut latest_star = None;
    while at < tokens.len() || !rest.as_str().is_empty() {
        if tokens.get(at) == Some(&Token::AnyRun) {
            at += 1;
            latest_star = Some((at, rest.clone()));
            continue;
        }
        let mut ahead = rest.clone();
        let fits = match (tokens.get(at), ahead.next()) {
            (Some(Token::AnyOne), Some(_)) => true,
            (Some(Token::Char(expected)), Some(found)) => *expected == found,
            (Some(_) | None, _) => false,
        };
        if fits {
            at += 1;
            rest = ahead;
            continue;
        }
        // Let the latest star take one more character and try again behind it.
        let Some((behind, from)) = &mut latest_star else { return false };
        if from.next().is_none() {
            return false;
        }
        at = *behind;
        rest = from.clone();
    }
    true
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(pattern: &str, text: &str, expected: bool) {
        let parsed = Pattern::parse(pattern).unwrap();
        assert_eq!(parsed.matches(text, Some("press-3")), expected, "{pattern} on {text}");
    }

    #[test]
    fn a_star_takes_any_run_and_slashes_too() {
        check("topic/plant/*", "topic/plant/a/temp", true);
        check("topic/plant/*", "topic/plant/", true);
        check("topic/plant/*", "topic/plant", false);
        check("*", "", true);
        check("a*c*e", "abcde", true);
        check("a*c*e", "abcdef", false);
        check("*ab", "aab", true);
    }

    #[test]
    fn a_question_mark_takes_exactly_one_character() {
        check("topic/plant/?/temp", "topic/plant/a/temp", true);
        check("topic/plant/?/temp", "topic/plant//temp", false);
        check("topic/plant/?/temp", "topic/plant/ab/temp", false);
        check("?", "é", true);
    }

    #[test]
    fn mqtt_wildcards_mean_only_themselves() {
        check("topicfilter/plant/+/temp", "topicfilter/plant/+/temp", true);
        check("topicfilter/plant/+/temp", "topicfilter/plant/a/temp", false);
        check("topicfilter/plant/#", "topicfilter/plant/a", false);
        check("topicfilter/plant/*", "topicfilter/plant/#", true);
    }

    #[test]
    fn the_client_id_is_filled_in_as_plain_text() {
        check("topic/${iot:ClientId}", "topic/press-3", true);
        check("topic/${iot:ClientId}", "topic/press-4", false);
        let pattern = Pattern::parse("topic/${iot:ClientId}").unwrap();
        assert!(!pattern.matches("topic/anything", Some("*")));
        assert!(!pattern.matches("topic/a", Some("?")));
        assert!(pattern.matches("topic/*", Some("*")));
        let filter = Pattern::parse("topicfilter/x/${iot:ClientId}/y").unwrap();
        assert!(filter.matches("topicfilter/x/+/y", Some("+")));
    }

    #[test]
    fn an_unresolved_variable_never_matches() {
        let pattern = Pattern::parse("topic/${iot:ClientId}*").unwrap();
        assert!(!pattern.matches("topic/", None));
        assert!(!pattern.matches("topic/x", None));
    }

    #[test]
    fn escapes_stand_for_the_characters_themselves() {
        check("a${*}b", "a*b", true);
        check("a${*}b", "axb", false);
        check("${?}${$}", "?$", true);
        check("topic/$aws/things", "topic/$aws/things", true);
    }

    #[test]
    fn an_unknown_or_unfinished_variable_is_an_error() {
        assert_eq!(
            Pattern::parse("${aws:SourceIp}"),
            Err(PatternError::UnsupportedVariable { variable: "aws:SourceIp".into() })
        );
        assert_eq!(
            Pattern::parse("x${iot:ClientId"),
            Err(PatternError::OpenVariable { pattern: "x${iot:ClientId".into() })
        );
    }

    /// The slow and obvious reading of the same rules: try every split at every star.
    fn obviously_covers(pattern: &[char], text: &[char]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some(('*', rest)) => (0..=text.len()).any(|cut| obviously_covers(rest, &text[cut..])),
            Some(('?', rest)) => !text.is_empty() && obviously_covers(rest, &text[1..]),
            Some((c, rest)) => text.first() == Some(c) && obviously_covers(rest, &text[1..]),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(4096) })]

        #[test]
        fn the_matcher_agrees_with_the_obvious_one(
            pattern in "[ab/*?+é]{0,9}",
            text in "[ab/+é]{0,10}",
        ) {
            let expected = obviously_covers(
                &pattern.chars().collect::<Vec<_>>(),
                &text.chars().collect::<Vec<_>>(),
            );
            let parsed = Pattern::parse(&pattern).unwrap();
            prop_assert_eq!(parsed.matches(&text, None), expected);
        }

        #[test]
        fn a_pattern_made_from_the_text_always_covers_it(
            text in "[a-z/é]{0,12}",
            stars in prop::collection::vec(0..13usize, 0..4),
        ) {
            let mut chars: Vec<char> = text.chars().collect();
            for star in stars {
                chars.insert(star.min(chars.len()), '*');
            }
            let parsed = Pattern::parse(&chars.into_iter().collect::<String>()).unwrap();
            prop_assert!(parsed.matches(&text, None));
        }
    }
}
