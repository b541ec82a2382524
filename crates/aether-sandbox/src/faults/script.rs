//! The script: its JSON, and what makes sense in it.

use serde::{Deserialize, Serialize};

use super::Subject;

/// Most rules of a script.
const MAX_RULES: usize = 1000;

/// The rules, in order.
#[derive(Debug, Deserialize)]
pub(super) struct Script(pub(super) Vec<Rule>);

/// One rule: at a step, for what matches, so often, this happens.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rule {
    pub(super) step: Step,
    #[serde(rename = "match", default, skip_serializing_if = "Match::is_empty")]
    wanted: Match,
    /// Only from the one after so many on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    after: Option<u64>,
    /// Only the one with this number, counted from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nth: Option<u64>,
    /// Only each with a number that this divides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    every: Option<u64>,
    /// No more often than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    times: Option<u64>,
    pub(super) action: Action,
}

/// Whom a rule is about; `*` stands for any run of characters, `?` for one.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Match {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    client_id: Option<String>,
    /// Of a message, or one of the filters of a SUBSCRIBE.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    topic: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    certificate_id: Option<String>,
}

/// Where a fault can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Step {
    TlsAccept,
    Connect,
    Connack,
    Subscribe,
    Suback,
    Publish,
    Puback,
    Deliver,
    CreateKeys,
    CreateCsr,
    RegisterThing,
    Pingresp,
}

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Action {
    Refuse { code: u16 },
    Delay { ms: u64 },
    Drop,
    Duplicate,
    Corrupt { how: Corruption },
    Disconnect,
    AdvanceClock { seconds: u64 },
    ExpireCertificate,
    RevokeCertificate,
    RestartBroker { ms: u64 },
}

/// How bytes are spoilt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Corruption {
    /// All bits of the last byte.
    Flip,
    /// The second half is missing.
    Truncate,
}

/// Why a fault script cannot be used. Final until somebody changes it.
#[derive(Debug, thiserror::Error)]
#[error("fault script cannot be used: {reason}")]
#[non_exhaustive]
pub struct InvalidFaults {
    reason: String,
}

impl Script {
    pub(super) fn parse(text: &str) -> Result<Self, InvalidFaults> {
        let script: Self = serde_json::from_str(text).map_err(|cause| InvalidFaults { reason: cause.to_string() })?;
        if script.0.len() > MAX_RULES {
            return Err(InvalidFaults { reason: format!("{} rules, expected at most {MAX_RULES}", script.0.len()) });
        }
        for (index, rule) in script.0.iter().enumerate() {
            rule.check().map_err(|cause| InvalidFaults { reason: format!("rule {index}: {cause}") })?;
        }
        Ok(script)
    }
}

impl Rule {
    fn check(&self) -> Result<(), String> {
        let (step, action) = (self.step.as_str(), self.action.as_str());
        if !self.step.takes(self.action) {
            return Err(format!("action `{action}` makes no sense at step `{step}`"));
        }
        if self.step == Step::TlsAccept && !self.wanted.is_empty() {
            return Err("at step `tls_accept` nothing is known to match yet, expected no `match`".to_owned());
        }
        if self.wanted.topic.is_some() && !self.step.has_topic() {
            return Err(format!("step `{step}` has no topic to match"));
        }
        if [self.after, self.nth, self.every].iter().flatten().count() > 1 {
            return Err("more than one of `after`, `nth` and `every`, expected one".to_owned());
        }
        if [self.nth, self.every, self.times].contains(&Some(0)) {
            return Err("`nth`, `every` or `times` is 0, expected at least 1".to_owned());
        }
        match self.action {
            Action::Refuse { code } if self.step.refuses_with_byte() && !(0x80..=0xFF).contains(&code) => {
                Err(format!("code is {code}, expected 128 to 255: a reason code of MQTT 5"))
            }
            Action::Refuse { code } if !self.step.refuses_with_byte() && !(400..600).contains(&code) => {
                Err(format!("code is {code}, expected 400 to 599: a status code"))
            }
            Action::Delay { ms } | Action::RestartBroker { ms } if ms > 3_600_000 => {
                Err(format!("ms is {ms}, expected at most 3600000"))
            }
            Action::Refuse { .. }
            | Action::Delay { .. }
            | Action::Drop
            | Action::Duplicate
            | Action::Corrupt { .. }
            | Action::Disconnect
            | Action::AdvanceClock { .. }
            | Action::ExpireCertificate
            | Action::RevokeCertificate
            | Action::RestartBroker { .. } => Ok(()),
        }
    }

    pub(super) fn matches(&self, subject: Subject<'_>) -> bool {
        let fits = |pattern: &Option<String>, found: Option<&str>| match pattern {
            Some(pattern) => found.is_some_and(|found| glob(pattern.as_bytes(), found.as_bytes())),
            None => true,
        };
        fits(&self.wanted.client_id, subject.client_id)
            && fits(&self.wanted.certificate_id, subject.certificate.map(crate::CertificateId::as_str))
            && (self.wanted.topic.is_none() || subject.topics.iter().any(|topic| fits(&self.wanted.topic, Some(topic))))
    }

    /// Whether the rule fires at its `matched`th match, having fired so often before.
    pub(super) fn is_due(&self, matched: u64, fired: u64) -> bool {
        self.after.is_none_or(|after| matched > after)
            && self.nth.is_none_or(|nth| matched == nth)
            && self.every.is_none_or(|every| matched.is_multiple_of(every))
            && self.times.is_none_or(|times| fired < times)
    }
}

impl Match {
    fn is_empty(&self) -> bool {
        self.client_id.is_none() && self.topic.is_none() && self.certificate_id.is_none()
    }
}

impl Step {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::TlsAccept => "tls_accept",
            Self::Connect => "connect",
            Self::Connack => "connack",
            Self::Subscribe => "subscribe",
            Self::Suback => "suback",
            Self::Publish => "publish",
            Self::Puback => "puback",
            Self::Deliver => "deliver",
            Self::CreateKeys => "create_keys",
            Self::CreateCsr => "create_csr",
            Self::RegisterThing => "register_thing",
            Self::Pingresp => "pingresp",
        }
    }

    fn is_provisioning(self) -> bool {
        matches!(self, Self::CreateKeys | Self::CreateCsr | Self::RegisterThing)
    }

    fn refuses_with_byte(self) -> bool {
        !self.is_provisioning()
    }

    fn has_topic(self) -> bool {
        !matches!(self, Self::TlsAccept | Self::Connect | Self::Connack | Self::Pingresp)
    }

    /// Whether an action makes sense here.
    fn takes(self, action: Action) -> bool {
        match action {
            Action::Refuse { .. } => {
                matches!(self, Self::Connect | Self::Subscribe | Self::Publish) || self.is_provisioning()
            }
            Action::Duplicate => !matches!(self, Self::TlsAccept | Self::Connect | Self::Subscribe),
            Action::Corrupt { .. } => !matches!(self, Self::TlsAccept | Self::Connect | Self::Subscribe),
            Action::ExpireCertificate | Action::RevokeCertificate => self != Self::TlsAccept,
            Action::Delay { .. }
            | Action::Drop
            | Action::Disconnect
            | Action::AdvanceClock { .. }
            | Action::RestartBroker { .. } => true,
        }
    }
}

impl Action {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Refuse { .. } => "refuse",
            Self::Delay { .. } => "delay",
            Self::Drop => "drop",
            Self::Duplicate => "duplicate",
            Self::Corrupt { .. } => "corrupt",
            Self::Disconnect => "disconnect",
            Self::AdvanceClock { .. } => "advance_clock",
            Self::ExpireCertificate => "expire_certificate",
            Self::RevokeCertificate => "revoke_certificate",
            Self::RestartBroker { .. } => "restart_broker",
        }
    }
}

/// Compares with `*` and `?`, in time that grows with the product of both lengths at most.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut from) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while from < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, from));
                at += 1;
            }
            Some(wanted) if *wanted == b'?' || *wanted == text[from] => (at, from) = (at + 1, from + 1),
            Some(_) | None => {
                let Some((place, taken)) = star else { return false };
                star = Some((place, taken + 1));
                (at, from) = (place + 1, taken + 1);
            }
        }
    }
    pattern[at..].iter().all(|rest| *rest == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_named_with_their_rule() {
        for (script, named) in [
            (r#"{}"#, "sequence"),
            (r#"[{"step":"puback"}]"#, "action"),
            (r#"[{"step":"pubback","action":"drop"}]"#, "pubback"),
            (r#"[{"step":"puback","action":"dropp"}]"#, "dropp"),
            (r#"[{"step":"puback","action":"drop","nht":2}]"#, "nht"),
            (r#"[{"step":"puback","action":{"delay":{"s":2}}}]"#, "`s`"),
            (r#"[{"step":"puback","action":"drop"},{"step":"connect","action":"duplicate"}]"#, "rule 1"),
            (r#"[{"step":"pingresp","action":{"refuse":{"code":135}}}]"#, "no sense"),
            (r#"[{"step":"tls_accept","match":{"client_id":"a"},"action":"drop"}]"#, "tls_accept"),
            (r#"[{"step":"connect","match":{"topic":"a"},"action":"drop"}]"#, "no topic"),
            (r#"[{"step":"puback","action":"drop","nth":1,"every":2}]"#, "more than one"),
            (r#"[{"step":"puback","action":"drop","nth":0}]"#, "at least 1"),
            (r#"[{"step":"connect","action":{"refuse":{"code":5}}}]"#, "128 to 255"),
            (r#"[{"step":"register_thing","action":{"refuse":{"code":135}}}]"#, "400 to 599"),
            (r#"[{"step":"puback","action":{"delay":{"ms":3600001}}}]"#, "3600000"),
        ] {
            let error = Script::parse(script).unwrap_err().to_string();
            assert!(error.contains(named), "{script}: {error}");
        }
    }

    #[test]
    fn pairs_without_sense_are_refused_and_all_others_taken() {
        let steps = [
            "tls_accept",
            "connect",
            "connack",
            "subscribe",
            "suback",
            "publish",
            "puback",
            "deliver",
            "create_keys",
            "create_csr",
            "register_thing",
            "pingresp",
        ];
        let actions = [
            (r#"{"refuse":{"code":135}}"#, 3),
            (r#"{"refuse":{"code":403}}"#, 3),
            (r#"{"delay":{"ms":1}}"#, 12),
            (r#""drop""#, 12),
            (r#""duplicate""#, 9),
            (r#"{"corrupt":{"how":"flip"}}"#, 9),
            (r#""disconnect""#, 12),
            (r#"{"advance_clock":{"seconds":1}}"#, 12),
            (r#""expire_certificate""#, 11),
            (r#""revoke_certificate""#, 11),
            (r#"{"restart_broker":{"ms":1}}"#, 12),
        ];
        for (action, expected) in actions {
            let takes = |step: &&&str| Script::parse(&format!(r#"[{{"step":"{step}","action":{action}}}]"#)).is_ok();
            assert_eq!(steps.iter().filter(takes).count(), expected, "{action}");
        }
    }

    #[test]
    fn patterns_have_any_run_and_any_one() {
        for (pattern, text, fits) in [
            ("*", "", true),
            ("a*c", "abbc", true),
            ("a*c", "abcd", false),
            ("?", "a", true),
            ("?", "", false),
            ("*a*b", "xxaybab", true),
            ("", "a", false),
        ] {
            assert_eq!(glob(pattern.as_bytes(), text.as_bytes()), fits, "{pattern} on {text}");
        }
        assert!(!glob("*a".repeat(50).as_bytes(), "a".repeat(49).as_bytes()));
    }
}
