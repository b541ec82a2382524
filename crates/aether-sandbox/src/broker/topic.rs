//! Topic names to publish on and topic filters to subscribe with: what AWS takes, what matches what.

use super::limits::{MAX_SLASHES, MAX_TOPIC};

/// Why a topic name or filter is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TopicFault {
    /// Longer or deeper than AWS allows.
    Limit(&'static str),
    /// Against the MQTT standard, section 4.7.
    Syntax(&'static str),
}

impl TopicFault {
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::Limit(reason) | Self::Syntax(reason) => reason,
        }
    }
}

/// Checks a topic name a client publishes on.
pub(super) fn check_topic(topic: &str) -> Result<(), TopicFault> {
    check_both(topic)?;
    match topic.contains(['+', '#']) {
        true => Err(TopicFault::Syntax("wildcard in a topic name")),
        false => Ok(()),
    }
}

/// Checks a filter a client subscribes with.
pub(super) fn check_filter(filter: &str) -> Result<(), TopicFault> {
    check_both(filter)?;
    let mut levels = filter.split('/').peekable();
    while let Some(level) = levels.next() {
        let last = levels.peek().is_none();
        let wild = level.contains(['+', '#']);
        if wild && level != "+" && !(level == "#" && last) {
            return Err(TopicFault::Syntax("wildcard inside a level, or # before the end"));
        }
    }
    match filter.starts_with("$share/") {
        true => Err(TopicFault::Limit("shared subscriptions are not supported yet")),
        false => Ok(()),
    }
}

fn check_both(text: &str) -> Result<(), TopicFault> {
    if text.is_empty() || text.contains('\0') {
        return Err(TopicFault::Syntax("empty, or with a null character"));
    }
    if text.len() > MAX_TOPIC {
        return Err(TopicFault::Limit("longer than 256 bytes"));
    }
    if text.bytes().filter(|byte| *byte == b'/').count() > MAX_SLASHES {
        return Err(TopicFault::Limit("more than 7 slashes"));
    }
    Ok(())
}

/// Whether `filter` takes in `topic`.
///
/// `a/#` does not take in `a` itself, unlike in the MQTT standard (sheet, 4.4), and a wildcard in
/// the first level takes in no topic that starts with `$` (MQTT 3.1.1, section 4.7.2).
pub(super) fn matches(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut levels = topic.split('/');
    for wanted in filter.split('/') {
        match (wanted, levels.next()) {
            ("#", Some(_)) => return true,
            ("+", Some(_)) => {}
            (wanted, Some(level)) if wanted == level => {}
            (_, _) => return false,
        }
    }
    levels.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_hold_no_wildcards_and_keep_to_the_limits() {
        for topic in ["a", "aether-P3:7", "a/b/c/d/e/f/g/h", "/", "é"] {
            assert_eq!(check_topic(topic), Ok(()), "{topic}");
        }
        assert!(matches!(check_topic("a/+"), Err(TopicFault::Syntax(_))));
        assert!(matches!(check_topic("#"), Err(TopicFault::Syntax(_))));
        assert!(matches!(check_topic(""), Err(TopicFault::Syntax(_))));
        assert!(matches!(check_topic("a/b/c/d/e/f/g/h/i"), Err(TopicFault::Limit(_))));
        assert_eq!(check_topic(&"x".repeat(256)), Ok(()));
        assert!(matches!(check_topic(&"x".repeat(257)), Err(TopicFault::Limit(_))));
    }

    #[test]
    fn wildcards_of_a_filter_fill_whole_levels() {
        for filter in ["#", "+", "a/+/b", "a/#", "+/#", "/+", "$aws/#"] {
            assert_eq!(check_filter(filter), Ok(()), "{filter}");
        }
        for filter in ["a#", "a/#/b", "a+/b", "+a", "##", ""] {
            assert!(matches!(check_filter(filter), Err(TopicFault::Syntax(_))), "{filter}");
        }
        assert!(matches!(check_filter("$share/g/a"), Err(TopicFault::Limit(_))));
    }

    #[test]
    fn matching_follows_aws() {
        let cases = [
            ("a/b", "a/b", true),
            ("a/b", "a/B", false),
            ("a/+/c", "a/b/c", true),
            ("a/+/c", "a//c", true),
            ("a/+", "a", false),
            ("+", "a/b", false),
            ("#", "a/b/c", true),
            ("a/#", "a/b/c", true),
            ("a/#", "a/", true),
            ("a/#", "a", false),
            ("#", "$aws/things", false),
            ("+/things", "$aws/things", false),
            ("$aws/#", "$aws/things", true),
            ("/+", "/a", true),
            ("+", "/a", false),
        ];
        for (filter, topic, expected) in cases {
            assert_eq!(matches(filter, topic), expected, "{filter} on {topic}");
        }
    }
}
