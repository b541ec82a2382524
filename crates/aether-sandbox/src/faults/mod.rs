//! Faults on purpose: a script of rules that says what goes wrong, where and how often.
//!
//! ```text
//!  step of a connection ─▶ rules of that step ─▶ match ─▶ count ─▶ action
//!  (CONNECT, PUBACK, …)      in their order                        at most one a step
//! ```
//!
//! Without rules a step costs one look at a flag.

mod script;

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use serde_json::{Value, json};

pub use self::script::InvalidFaults;
pub(crate) use self::script::{Action, Corruption, Step};
use self::script::{Rule, Script};
use crate::CertificateId;
use crate::broker::Broker;

/// What a step is about.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Subject<'a> {
    pub(crate) client_id: Option<&'a str>,
    pub(crate) certificate: Option<&'a CertificateId>,
    pub(crate) topics: &'a [&'a str],
}

/// What a step does instead of going on as usual.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    Refuse(u16),
    Delay(Duration),
    Drop,
    Duplicate,
    Corrupt(Corruption),
    Disconnect,
}

/// The faults of one sandbox.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    active: AtomicBool,
    rules: Mutex<Vec<Counted>>,
    expired: Mutex<HashSet<CertificateId>>,
    any_expired: AtomicBool,
    broker: OnceLock<Weak<Broker>>,
}

#[derive(Debug)]
struct Counted {
    rule: Rule,
    matched: u64,
    fired: u64,
}

impl Faults {
    /// Reads a script; an empty list has no faults.
    pub(crate) fn new(script: Option<&str>) -> Result<Self, InvalidFaults> {
        let faults = Self::default();
        if let Some(script) = script {
            faults.set(script)?;
        }
        Ok(faults)
    }

    /// Gives actions the broker to act on. Only the first one counts.
    pub(crate) fn bind(&self, broker: &Arc<Broker>) {
        // Called once, at the start.
        let _ = self.broker.set(Arc::downgrade(broker));
    }

    /// Replaces the script and its counts.
    pub(crate) fn set(&self, script: &str) -> Result<(), InvalidFaults> {
        let Script(rules) = Script::parse(script)?;
        let mut current = self.rules();
        self.active.store(!rules.is_empty(), Ordering::Relaxed);
        *current = rules.into_iter().map(|rule| Counted { rule, matched: 0, fired: 0 }).collect();
        Ok(())
    }

    /// The script with how often each rule matched and fired.
    pub(crate) fn report(&self) -> String {
        let rules = self.rules();
        let report = rules.iter().map(|counted| {
            let mut rule = json!(counted.rule);
            rule["matched"] = json!(counted.matched);
            rule["fired"] = json!(counted.fired);
            rule
        });
        Value::Array(report.collect()).to_string()
    }

    /// Whether a fault has made this certificate expire.
    pub(crate) fn has_expired(&self, certificate: &CertificateId) -> bool {
        self.any_expired.load(Ordering::Relaxed) && self.expired().contains(certificate)
    }

    /// What happens at a step. What concerns the whole sandbox happens in here, and the step goes
    /// on as usual after it.
    pub(crate) fn hit(&self, step: Step, subject: Subject<'_>) -> Option<Flow> {
        if !self.active.load(Ordering::Relaxed) {
            return None;
        }
        let action = self.next(step, subject)?;
        let client_id = subject.client_id.unwrap_or_default();
        tracing::info!(step = step.as_str(), action = action.as_str(), client_id, "fault");
        match action {
            Action::Refuse { code } => return Some(Flow::Refuse(code)),
            Action::Delay { ms } => return Some(Flow::Delay(Duration::from_millis(ms))),
            Action::Drop => return Some(Flow::Drop),
            Action::Duplicate => return Some(Flow::Duplicate),
            Action::Corrupt { how } => return Some(Flow::Corrupt(how)),
            Action::Disconnect => return Some(Flow::Disconnect),
            Action::AdvanceClock { .. }
            | Action::ExpireCertificate
            | Action::RevokeCertificate
            | Action::RestartBroker { .. } => {}
        }
        self.act(action, subject);
        None
    }

    fn next(&self, step: Step, subject: Subject<'_>) -> Option<Action> {
        let mut rules = self.rules();
        let mut found = None;
        for counted in rules.iter_mut().filter(|counted| counted.rule.step == step) {
            if !counted.rule.matches(subject) {
                continue;
            }
            counted.matched += 1;
            if found.is_none() && counted.rule.is_due(counted.matched, counted.fired) {
                counted.fired += 1;
                found = Some(counted.rule.action);
            }
        }
        found
    }

    fn act(&self, action: Action, subject: Subject<'_>) {
        let Some(broker) = self.broker.get().and_then(Weak::upgrade) else { return };
        match (action, subject.certificate) {
            (Action::AdvanceClock { seconds }, _) => broker.clock.advance(Duration::from_secs(seconds)),
            (Action::RestartBroker { ms }, _) => broker.restart(Duration::from_millis(ms)),
            (Action::ExpireCertificate, Some(certificate)) => {
                self.expired().insert(certificate.clone());
                self.any_expired.store(true, Ordering::Relaxed);
                broker.cut(certificate);
            }
            (Action::RevokeCertificate, Some(certificate)) => broker.revoke(certificate),
            (
                Action::ExpireCertificate
                | Action::RevokeCertificate
                | Action::Refuse { .. }
                | Action::Delay { .. }
                | Action::Drop
                | Action::Duplicate
                | Action::Corrupt { .. }
                | Action::Disconnect,
                _,
            ) => {}
        }
    }

    fn rules(&self) -> MutexGuard<'_, Vec<Counted>> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn expired(&self) -> MutexGuard<'_, HashSet<CertificateId>> {
        self.expired.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Corruption {
    /// Spoils bytes; empty ones stay so.
    pub(crate) fn spoil(self, bytes: &[u8]) -> Bytes {
        let mut spoilt = BytesMut::from(bytes);
        match self {
            Self::Flip => {
                if let Some(last) = spoilt.last_mut() {
                    *last ^= 0xFF;
                }
            }
            Self::Truncate => spoilt.truncate(bytes.len() / 2),
        }
        spoilt.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about<'a>(client_id: &'a str, topics: &'a [&'a str]) -> Subject<'a> {
        Subject { client_id: Some(client_id), certificate: None, topics }
    }

    fn hits(script: &str, count: usize) -> Vec<bool> {
        let faults = Faults::new(Some(script)).unwrap();
        (0..count).map(|_| faults.hit(Step::Puback, about("a", &["t"])).is_some()).collect()
    }

    #[test]
    fn a_rule_fires_as_often_as_it_says() {
        let rule = |counts: &str| format!(r#"[{{"step":"puback",{counts}"action":"drop"}}]"#);
        assert_eq!(hits(&rule(""), 3), [true, true, true]);
        assert_eq!(hits(&rule(r#""nth":2,"#), 4), [false, true, false, false]);
        assert_eq!(hits(&rule(r#""every":2,"#), 5), [false, true, false, true, false]);
        assert_eq!(hits(&rule(r#""after":2,"#), 4), [false, false, true, true]);
        assert_eq!(hits(&rule(r#""times":1,"#), 3), [true, false, false]);
        assert_eq!(hits(&rule(r#""every":2,"times":1,"#), 5), [false, true, false, false, false]);
    }

    #[test]
    fn the_first_rule_that_is_due_decides_and_all_that_match_count() {
        let script = r#"[{"step":"puback","match":{"client_id":"press-*"},"action":"drop"},
            {"step":"puback","match":{"topic":"a/?"},"action":"duplicate"},
            {"step":"suback","action":"disconnect"}]"#;
        let faults = Faults::new(Some(script)).unwrap();
        assert_eq!(faults.hit(Step::Puback, about("press-1", &["a/b"])), Some(Flow::Drop));
        assert_eq!(faults.hit(Step::Puback, about("lathe", &["x", "a/b"])), Some(Flow::Duplicate));
        assert_eq!(faults.hit(Step::Puback, about("lathe", &["a/bc"])), None);
        let report: Value = serde_json::from_str(&faults.report()).unwrap();
        assert_eq!((&report[0]["matched"], &report[0]["fired"]), (&json!(1), &json!(1)));
        assert_eq!((&report[1]["matched"], &report[1]["fired"]), (&json!(2), &json!(1)));
        assert_eq!((&report[2]["action"], &report[2]["matched"]), (&json!("disconnect"), &json!(0)));
        faults.set("[]").unwrap();
        assert_eq!(faults.hit(Step::Suback, about("a", &[])), None);
    }

    #[test]
    fn spoilt_bytes_differ() {
        assert_eq!(Corruption::Flip.spoil(b"\x01\x02")[..], [0x01, 0xFD]);
        assert_eq!(Corruption::Truncate.spoil(b"\x01\x02")[..], [0x01]);
        assert!(Corruption::Flip.spoil(b"").is_empty());
    }
}
