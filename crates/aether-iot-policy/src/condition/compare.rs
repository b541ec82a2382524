//! One value of a request against one value of a condition.

use std::cmp::Ordering;
use std::net::IpAddr;

use super::operator::Comparison;
use crate::Request;
use crate::pattern::{Pattern, Wildcards};
use crate::time::Moment;

/// One value of a condition, read as far as it can be without a request.
#[derive(Clone, Debug)]
pub(super) struct Operand {
    pattern: Pattern,
    literal: Option<Literal>,
}

/// The meaning of a value that holds no variable.
#[derive(Clone, Debug)]
enum Literal {
    Number(f64),
    Date(Moment),
    Bool(bool),
    Network(Network),
    /// The six parts between the colons, each a pattern of its own.
    Arn(Vec<Pattern>),
}

/// An address and how many of its leading bits count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    address: IpAddr,
    bits: u32,
}

const OPEN: &str = "a closing brace after each \"${\"";

impl Operand {
    /// Reads a value, or says what `comparison` expects instead.
    pub(super) fn parse(comparison: Comparison, source: &str) -> Result<Self, &'static str> {
        let wildcards = match comparison {
            Comparison::TextLike | Comparison::Arn => Wildcards::Yes,
            Comparison::Text
            | Comparison::TextWithoutCase
            | Comparison::Number(_)
            | Comparison::Date(_)
            | Comparison::Bool
            | Comparison::Network
            | Comparison::Null => Wildcards::No,
        };
        let pattern = Pattern::parse(source, wildcards).map_err(|_| OPEN)?;
        let literal = match comparison {
            Comparison::Arn => Some(Literal::Arn(
                arn_parts(source).ok_or("six parts with colons between, such as \"arn:aws:iot:*:*:topic/a\"")?,
            )),
            _ if pattern.has_variables() => None,
            Comparison::Text | Comparison::TextWithoutCase | Comparison::TextLike => None,
            Comparison::Number(_) | Comparison::Date(_) | Comparison::Bool | Comparison::Network | Comparison::Null => {
                // Without variables the text is what it says, escapes aside.
                Some(Literal::read(comparison, source).ok_or(expected(comparison))?)
            }
        };
        Ok(Self { pattern, literal })
    }

    pub(super) fn pattern(&self) -> &Pattern {
        &self.pattern
    }

    /// Whether the request's value `found` is covered, before any negation.
    pub(super) fn covers(&self, comparison: Comparison, found: &str, request: &Request<'_>) -> bool {
        match (comparison, &self.literal) {
            (Comparison::Text | Comparison::TextLike, _) => self.pattern.matches(found, request),
            (Comparison::TextWithoutCase, _) => {
                self.pattern.text(request).is_some_and(|text| text.to_lowercase() == found.to_lowercase())
            }
            (_, Some(literal)) => literal.covers(comparison, found, request),
            (_, None) => self
                .pattern
                .text(request)
                .and_then(|text| Literal::read(comparison, &text))
                .is_some_and(|literal| literal.covers(comparison, found, request)),
        }
    }
}

fn expected(comparison: Comparison) -> &'static str {
    match comparison {
        Comparison::Number(_) => "a number",
        Comparison::Date(_) => "a date such as \"2026-07-31T10:20:30Z\", or seconds since 1970",
        Comparison::Bool | Comparison::Null => "\"true\" or \"false\"",
        Comparison::Network => "an address or network such as \"192.0.2.0/24\"",
        Comparison::Text | Comparison::TextWithoutCase | Comparison::TextLike | Comparison::Arn => "a text",
    }
}

impl Literal {
    fn read(comparison: Comparison, text: &str) -> Option<Self> {
        match comparison {
            Comparison::Number(_) => number(text).map(Self::Number),
            Comparison::Date(_) => Moment::parse(text).map(Self::Date),
            Comparison::Bool | Comparison::Null => boolean(text).map(Self::Bool),
            Comparison::Network => Network::parse(text).map(Self::Network),
            Comparison::Text | Comparison::TextWithoutCase | Comparison::TextLike | Comparison::Arn => None,
        }
    }

    fn covers(&self, comparison: Comparison, found: &str, request: &Request<'_>) -> bool {
        let ordering = match self {
            Self::Number(wanted) => number(found).and_then(|found| found.partial_cmp(wanted)),
            Self::Date(wanted) => Moment::parse(found).map(|found| found.cmp(wanted)),
            Self::Bool(wanted) => return boolean(found) == Some(*wanted),
            Self::Network(network) => return found.parse().is_ok_and(|address| network.contains(address)),
            Self::Arn(parts) => {
                let mut found = found.splitn(parts.len(), ':');
                return parts.iter().all(|part| found.next().is_some_and(|text| part.matches(text, request)));
            }
        };
        matches!((comparison, ordering), (Comparison::Number(order) | Comparison::Date(order), Some(found)) if order.holds(found))
    }
}

fn number(text: &str) -> Option<f64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'+' | b'e' | b'E'));
    text.parse().ok().filter(|number: &f64| plain && number.is_finite())
}

fn boolean(text: &str) -> Option<bool> {
    match text {
        _ if text.eq_ignore_ascii_case("true") => Some(true),
        _ if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

/// The six parts of an ARN pattern; colons inside a variable separate nothing, and the last part
/// keeps its own.
fn arn_parts(source: &str) -> Option<Vec<Pattern>> {
    let mut parts = Vec::with_capacity(6);
    let mut rest = source;
    while parts.len() < 5 {
        let colon = colon_outside_variables(rest)?;
        parts.push(Pattern::parse(&rest[..colon], Wildcards::Yes).ok()?);
        rest = &rest[colon + 1..];
    }
    parts.push(Pattern::parse(rest, Wildcards::Yes).ok()?);
    Some(parts)
}

fn colon_outside_variables(text: &str) -> Option<usize> {
    let mut at = 0;
    loop {
        let rest = &text[at..];
        let colon = rest.find(':')?;
        match rest.find("${") {
            Some(variable) if variable < colon => at += variable + rest[variable..].find('}')? + 1,
            Some(_) | None => return Some(at + colon),
        }
    }
}

impl Network {
    /// Reads `192.0.2.0/24`, `2001:db8::/32` or a single address. Bits behind the prefix do not count.
    fn parse(text: &str) -> Option<Self> {
        let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().ok()?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            None => most,
            Some(bits) if bits.len() <= 3 && bits.bytes().all(|byte| byte.is_ascii_digit()) => bits.parse().ok()?,
            Some(_) => return None,
        };
        (bits <= most).then_some(Self { address, bits })
    }

    fn contains(&self, address: IpAddr) -> bool {
        let differing = match (self.address, address.to_canonical()) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => (ours.to_bits() ^ theirs.to_bits()).leading_zeros(),
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => (ours.to_bits() ^ theirs.to_bits()).leading_zeros(),
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return false,
        };
        differing.cmp(&self.bits) != Ordering::Less
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(network: &str, address: &str, expected: bool) {
        let network = Network::parse(network).unwrap();
        assert_eq!(network.contains(address.parse().unwrap()), expected, "{address}");
    }

    #[test]
    fn networks_of_both_families() {
        check("192.0.2.0/24", "192.0.2.255", true);
        check("192.0.2.0/24", "192.0.3.0", false);
        check("192.0.2.77/24", "192.0.2.1", true);
        check("192.0.2.7", "192.0.2.7", true);
        check("192.0.2.7", "192.0.2.6", false);
        check("0.0.0.0/0", "203.0.113.9", true);
        check("0.0.0.0/0", "2001:db8::1", false);
        check("0.0.0.0/0", "::ffff:203.0.113.9", true);
        check("2001:db8::/32", "2001:db8:1::5", true);
        check("2001:db8::/32", "2001:db9::5", false);
        check("::/0", "2001:db8::1", true);
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in ["", "192.0.2", "192.0.2.0/33", "::/129", "192.0.2.0/", "192.0.2.0/+8", "a/8", "192.0.2.0/8/8"] {
            assert_eq!(Network::parse(text), None, "{text}");
        }
    }

    #[test]
    fn numbers_are_finite_and_plain() {
        assert_eq!(number("1e3"), Some(1000.0));
        assert_eq!(number("-0.5"), Some(-0.5));
        for text in ["", "inf", "NaN", "1_0", "0x1", "1e999", "one"] {
            assert_eq!(number(text), None, "{text}");
        }
    }

    #[test]
    fn an_arn_pattern_has_six_parts_and_the_last_keeps_its_colons() {
        let parts = |source| {
            arn_parts(source).map(|parts| parts.iter().map(|part| part.source().to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(
            parts("arn:aws:iot:*:${iot:ClientId}:topic/a:b").unwrap(),
            ["arn", "aws", "iot", "*", "${iot:ClientId}", "topic/a:b"]
        );
        assert_eq!(parts("arn:aws:iot:*"), None);
        assert_eq!(parts("*"), None);
        assert_eq!(parts("a:b:c:d:${e:f"), None);
    }
}
