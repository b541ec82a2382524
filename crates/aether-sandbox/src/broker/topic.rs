//! Topic names to publish on and topic filters to subscribe with: what AWS takes, what matches what.

use super::limits::{Limits, MAX_SHARE_NAME};
use crate::provisioning::RequestTopic;

/// Longest prefix the limits leave out, in bytes: ours, so that a rule's name has an end too.
const MAX_PREFIX: usize = 256;

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

/// Where Basic Ingest publishes to (sheet, 6.3).
const RULES: &str = "$aws/rules/";
/// What a shared subscription begins with.
const SHARE: &str = "$share/";

/// The rule a Basic Ingest topic names, and the topic inside it.
pub(super) fn basic_ingest(topic: &str) -> Option<(&str, &str)> {
    let (rule, inner) = topic.strip_prefix(RULES)?.split_once('/')?;
    (!rule.is_empty() && !inner.is_empty()).then_some((rule, inner))
}

/// Whether a client may publish on this topic at all: one of its own, or a reserved one the sandbox serves.
pub(crate) fn is_served(topic: &str) -> bool {
    !topic.starts_with('$') || RequestTopic::parse(topic).is_some() || basic_ingest(topic).is_some()
}

/// The name of a shared subscription, and the filter inside it.
pub(super) fn shared(filter: &str) -> Option<(&str, &str)> {
    filter.strip_prefix(SHARE)?.split_once('/')
}

/// Checks a topic name a client publishes on.
pub(super) fn check_topic(topic: &str, limits: &Limits) -> Result<(), TopicFault> {
    let counted = basic_ingest(topic).map_or(topic, |(_, inner)| inner);
    check_both(topic, counted, limits)?;
    match topic.contains(['+', '#']) {
        true => Err(TopicFault::Syntax("wildcard in a topic name")),
        false => Ok(()),
    }
}

/// Checks a filter a client subscribes with.
pub(super) fn check_filter(filter: &str, limits: &Limits) -> Result<(), TopicFault> {
    let counted = match shared(filter) {
        Some((name, inner)) => {
            if name.is_empty() || name.contains(['+', '#']) || inner.is_empty() || inner.starts_with(SHARE) {
                return Err(TopicFault::Syntax("not of the form $share/<name>/<filter>"));
            }
            if name.len() > MAX_SHARE_NAME {
                return Err(TopicFault::Limit("name of a shared subscription longer than 128 bytes"));
            }
            inner
        }
        None if filter.starts_with(SHARE) => {
            return Err(TopicFault::Syntax("not of the form $share/<name>/<filter>"));
        }
        None => filter,
    };
    check_both(filter, counted, limits)?;
    let mut levels = counted.split('/').peekable();
    while let Some(level) = levels.next() {
        let last = levels.peek().is_none();
        let wild = level.contains(['+', '#']);
        if wild && level != "+" && !(level == "#" && last) {
            return Err(TopicFault::Syntax("wildcard inside a level, or # before the end"));
        }
    }
    Ok(())
}

/// `counted` is `text` without the prefix the limits leave out (sheet, 4.4).
fn check_both(text: &str, counted: &str, limits: &Limits) -> Result<(), TopicFault> {
    if text.is_empty() || text.contains('\0') {
        return Err(TopicFault::Syntax("empty, or with a null character"));
    }
    if counted.len() > limits.topic_bytes || text.len() - counted.len() > MAX_PREFIX {
        return Err(TopicFault::Limit("longer than a topic may be"));
    }
    if counted.bytes().filter(|byte| *byte == b'/').count() > limits.topic_slashes {
        return Err(TopicFault::Limit("more slashes than a topic may have"));
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

    fn check_topic(topic: &str) -> Result<(), TopicFault> {
        super::check_topic(topic, &Limits::default())
    }

    fn check_filter(filter: &str) -> Result<(), TopicFault> {
        super::check_filter(filter, &Limits::default())
    }

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
        for filter in ["$share/g/a", "$share/g/a/#", "$share/g//"] {
            assert_eq!(check_filter(filter), Ok(()), "{filter}");
        }
        for filter in ["$share/g", "$share//a", "$share/g/", "$share/+/a", "$share/g/$share/h/a", "$share/g/a#"] {
            assert!(matches!(check_filter(filter), Err(TopicFault::Syntax(_))), "{filter}");
        }
    }

    #[test]
    fn the_prefixes_of_rules_and_shares_do_not_count() {
        let longest = "x".repeat(256);
        assert_eq!(check_topic(&format!("$aws/rules/my_rule/{longest}")), Ok(()));
        assert_eq!(check_topic("$aws/rules/my_rule/1/2/3/4/5/6/7/8"), Ok(()));
        assert!(matches!(check_topic("$aws/rules/my_rule/1/2/3/4/5/6/7/8/9"), Err(TopicFault::Limit(_))));
        assert!(matches!(check_topic(&format!("$aws/rules/{longest}/a")), Err(TopicFault::Limit(_))));
        assert_eq!(check_filter(&format!("$share/name/{longest}")), Ok(()));
        assert!(matches!(check_filter(&format!("$share/{}/a", "n".repeat(129))), Err(TopicFault::Limit(_))));
        assert_eq!(basic_ingest("$aws/rules/r/a/b"), Some(("r", "a/b")));
        assert_eq!(basic_ingest("$aws/rules/r"), None);
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
