//! The names MQTT works with: client identifiers, topics and topic filters, parsed once within AWS IoT Core's limits.

use std::fmt;
use std::str::FromStr;

/// The MQTT client identifier of one connection.
///
/// 1 to 128 bytes of UTF-8, without control characters and not starting with `$`, which AWS IoT Core reserves
/// (AWS IoT Core limits, "Client ID size"). At most one connection per identifier lives at a time: a second one
/// takes the first one's place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(Box<str>);

/// A topic to publish on, or the topic a message arrived on.
///
/// 1 to 256 bytes of UTF-8 with at most 7 slashes, without wildcards and control characters. The prefix
/// `$aws/rules/<rule>/` counts for neither limit (AWS IoT Core limits, "Topic size" and "Maximum number of slashes").
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Topic(Box<str>);

/// A filter to subscribe with: a topic in which levels may be wildcards.
///
/// The limits of [`Topic`] hold; the prefix `$share/<name>/` counts for neither. `+` stands for exactly one level and
/// `#` for the rest, as the last level (MQTT 3.1.1, section 4.7.1).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicFilter(Box<str>);

/// Why a text is not a client identifier, topic or topic filter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} {found:?} is not valid: {problem}")]
pub struct InvalidName {
    kind: &'static str,
    found: Box<str>,
    problem: NameProblem,
}

/// The rule a name breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameProblem {
    /// The text has no character.
    #[error("it is empty")]
    Empty,
    /// The text is too long.
    #[error("it has {bytes} bytes, at most {limit} are allowed")]
    Length {
        /// Length found, in bytes.
        bytes: usize,
        /// Longest length allowed, in bytes.
        limit: usize,
    },
    /// The text has too many levels.
    #[error("it has {slashes} slashes, at most {limit} are allowed")]
    Slashes {
        /// Slashes found.
        slashes: usize,
        /// Most slashes allowed.
        limit: usize,
    },
    /// A character has no place in such a name.
    #[error("{found:?} at byte {at} is not allowed there")]
    Character {
        /// Byte offset of the character.
        at: usize,
        /// The character.
        found: char,
    },
}

impl InvalidName {
    /// The rule that is broken.
    #[must_use]
    pub fn problem(&self) -> &NameProblem {
        &self.problem
    }
}

impl ClientId {
    /// Longest identifier, in bytes.
    pub const MAX_LEN: usize = 128;

    /// The identifier as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Topic {
    /// Longest topic, in bytes.
    pub const MAX_LEN: usize = 256;
    /// Most slashes in a topic.
    pub const MAX_SLASHES: usize = 7;

    /// The topic as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TopicFilter {
    /// The filter as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a message on `topic` belongs to this filter, by AWS IoT Core's rules.
    ///
    /// `a/#` matches `a/b` and `a/`, not `a`: AWS differs here from MQTT 3.1.1, section 4.7.1.2. A filter that starts
    /// with a wildcard never matches a topic that starts with `$` (section 4.7.2).
    #[must_use]
    pub fn matches(&self, topic: &Topic) -> bool {
        let filter = skip_share(&self.0);
        if topic.0.starts_with('$') && filter.starts_with(['+', '#']) {
            return false;
        }
        let mut wanted = filter.split('/');
        let mut found = topic.0.split('/');
        loop {
            match (wanted.next(), found.next()) {
                (Some("#"), Some(_)) | (None, None) => return true,
                (Some("+"), Some(_)) => {}
                (Some(want), Some(have)) if want == have => {}
                (Some(_), _) | (None, Some(_)) => return false,
            }
        }
    }
}

impl FromStr for ClientId {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        check_length(text, Self::MAX_LEN)
            .and_then(|()| check_characters(text, |at, c| c == '$' && at == 0))
            .map(|()| Self(text.into()))
            .map_err(|problem| invalid("client id", text, problem))
    }
}

impl FromStr for Topic {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        check_limits(text, skip_rule(text))
            .and_then(|()| check_characters(text, |_, c| matches!(c, '+' | '#')))
            .map(|()| Self(text.into()))
            .map_err(|problem| invalid("topic", text, problem))
    }
}

impl FromStr for TopicFilter {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        check_limits(text, skip_share(text))
            .and_then(|()| check_characters(text, |_, _| false))
            .and_then(|()| check_wildcards(text))
            .map(|()| Self(text.into()))
            .map_err(|problem| invalid("topic filter", text, problem))
    }
}

impl From<&Topic> for TopicFilter {
    /// The filter that matches this topic alone.
    fn from(topic: &Topic) -> Self {
        Self(topic.0.clone())
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for TopicFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn invalid(kind: &'static str, text: &str, problem: NameProblem) -> InvalidName {
    // A name far beyond the limit says nothing more by being repeated whole.
    let shown = text.char_indices().nth(Topic::MAX_LEN).map_or(text, |(at, _)| &text[..at]);
    InvalidName { kind, found: shown.into(), problem }
}

fn check_length(text: &str, limit: usize) -> Result<(), NameProblem> {
    match text.len() {
        0 => Err(NameProblem::Empty),
        bytes if bytes > limit => Err(NameProblem::Length { bytes, limit }),
        _ => Ok(()),
    }
}

fn check_limits(text: &str, counted: &str) -> Result<(), NameProblem> {
    if text.is_empty() || counted.is_empty() {
        return Err(NameProblem::Empty);
    }
    check_length(counted, Topic::MAX_LEN)?;
    match counted.matches('/').count() {
        slashes if slashes > Topic::MAX_SLASHES => Err(NameProblem::Slashes { slashes, limit: Topic::MAX_SLASHES }),
        _ => Ok(()),
    }
}

fn check_characters(text: &str, forbidden: impl Fn(usize, char) -> bool) -> Result<(), NameProblem> {
    match text.char_indices().find(|&(at, c)| c.is_control() || forbidden(at, c)) {
        Some((at, found)) => Err(NameProblem::Character { at, found }),
        None => Ok(()),
    }
}

fn check_wildcards(text: &str) -> Result<(), NameProblem> {
    let mut at = 0;
    for level in text.split('/') {
        let end = at + level.len();
        if let Some(offset) = level.find(['+', '#']) {
            let found = if level[offset..].starts_with('#') { '#' } else { '+' };
            let misplaced = level.len() > 1 || (found == '#' && end < text.len());
            if misplaced {
                return Err(NameProblem::Character { at: at + offset, found });
            }
        }
        at = end + 1;
    }
    Ok(())
}

/// What remains after `$aws/rules/<rule>/` (Basic Ingest).
fn skip_rule(text: &str) -> &str {
    skip_prefix(text, "$aws/rules/")
}

/// What remains after `$share/<name>/` (a shared subscription).
fn skip_share(text: &str) -> &str {
    skip_prefix(text, "$share/")
}

fn skip_prefix<'a>(text: &'a str, prefix: &str) -> &'a str {
    text.strip_prefix(prefix).and_then(|rest| rest.split_once('/')).map_or(text, |(_, rest)| rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_topic(text: &str, expected: Result<(), NameProblem>) {
        let parsed = text.parse::<Topic>();
        assert_eq!(parsed.as_ref().map(|_| ()).map_err(|e| e.problem().clone()), expected, "{text:?}");
        if let Ok(topic) = parsed {
            assert_eq!(topic.to_string(), text);
        }
    }

    #[track_caller]
    fn check_filter(text: &str, expected: Result<(), NameProblem>) {
        let parsed = text.parse::<TopicFilter>();
        assert_eq!(parsed.map(|_| ()).map_err(|e| e.problem().clone()), expected, "{text:?}");
    }

    #[track_caller]
    fn check_match(filter: &str, topic: &str, expected: bool) {
        let filter: TopicFilter = filter.parse().unwrap();
        assert_eq!(filter.matches(&topic.parse().unwrap()), expected, "{filter} and {topic}");
    }

    #[test]
    fn a_topic_stays_within_the_limits_of_aws() {
        check_topic("line7-press3", Ok(()));
        check_topic("$aws/certificates/create/json", Ok(()));
        check_topic("a/b/c/d/e/f/g/h", Ok(()));
        check_topic("a/b/c/d/e/f/g/h/i", Err(NameProblem::Slashes { slashes: 8, limit: 7 }));
        check_topic("$aws/rules/fan/a/b/c/d/e/f/g/h", Ok(()));
        check_topic("", Err(NameProblem::Empty));
        check_topic(&"x".repeat(256), Ok(()));
        check_topic(&"x".repeat(257), Err(NameProblem::Length { bytes: 257, limit: 256 }));
        check_topic("a/+/b", Err(NameProblem::Character { at: 2, found: '+' }));
        check_topic("a/#", Err(NameProblem::Character { at: 2, found: '#' }));
        check_topic("a\0b", Err(NameProblem::Character { at: 1, found: '\0' }));
    }

    #[test]
    fn wildcards_stand_alone_in_their_level_and_a_hash_is_last() {
        check_filter("a/+/b/#", Ok(()));
        check_filter("#", Ok(()));
        check_filter("+", Ok(()));
        check_filter("$share/group/a/b/c/d/e/f/g/h", Ok(()));
        check_filter("a/b+", Err(NameProblem::Character { at: 3, found: '+' }));
        check_filter("a/#/b", Err(NameProblem::Character { at: 2, found: '#' }));
        check_filter("a#", Err(NameProblem::Character { at: 1, found: '#' }));
    }

    #[test]
    fn filters_match_as_on_aws() {
        check_match("a/b", "a/b", true);
        check_match("a/b", "a/b/c", false);
        check_match("a/+/c", "a/b/c", true);
        check_match("a/+", "a/b/c", false);
        check_match("a/#", "a/b/c", true);
        check_match("a/#", "a/", true);
        check_match("a/#", "a", false);
        check_match("#", "a/b", true);
        check_match("#", "$aws/x", false);
        check_match("+/x", "$aws/x", false);
        check_match("$aws/#", "$aws/x", true);
        check_match("$share/g/a/+", "a/b", true);
    }

    #[test]
    fn a_client_id_keeps_to_its_length_and_is_not_reserved() {
        assert!("line7-press3".parse::<ClientId>().is_ok());
        assert!("x".repeat(128).parse::<ClientId>().is_ok());
        assert!("x".repeat(129).parse::<ClientId>().is_err());
        assert!("".parse::<ClientId>().is_err());
        let reserved = "$GEN/1".parse::<ClientId>().unwrap_err();
        assert_eq!(reserved.to_string(), "client id \"$GEN/1\" is not valid: '$' at byte 0 is not allowed there");
    }
}
