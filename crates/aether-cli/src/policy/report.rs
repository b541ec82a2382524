//! What a check found, for people and for scripts.

use serde_json::{Value, json};

use super::args::Role;

/// The outcome of a check.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) role: Role,
    /// How many rights were asked for.
    pub(super) needs: usize,
    pub(super) lacks: Vec<Lack>,
    pub(super) beyond: Vec<Surplus>,
}

/// A right the policy does not give.
#[derive(Debug)]
pub(super) struct Lack {
    pub(super) action: &'static str,
    pub(super) resource: String,
    /// The statement that denies it; `None` if none allows it.
    pub(super) denied_by: Option<String>,
    pub(super) hint: Option<String>,
}

/// Something the policy gives that is not needed. What comes out of the document is quoted in it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Surplus(pub(super) String);

impl Report {
    pub(super) fn to_lines(&self) -> Vec<String> {
        let lacks = self.lacks.iter().map(|Lack { action, resource, denied_by, hint }| {
            let why = match denied_by {
                Some(place) => format!("denied by {place}"),
                None => "allowed by no statement".to_owned(),
            };
            let hint = hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default();
            format!("lacks   {action} on {resource}: {why}{hint}")
        });
        let beyond = self.beyond.iter().map(|Surplus(text)| format!("beyond  {text}"));
        let summary = match (self.lacks.len(), self.beyond.len()) {
            (0, 0) => format!("grants all {} rights needed, and nothing beyond them", self.needs),
            (0, more) => format!("grants all {} rights needed, and more: {}", self.needs, counted(more, "finding")),
            (lacks, _) => format!("lacks {lacks} of {} rights needed", self.needs),
        };
        lacks.chain(beyond).chain([summary]).collect()
    }

    pub(super) fn to_json(&self) -> Value {
        let lacks: Vec<_> = self.lacks.iter().map(Lack::to_json).collect();
        let beyond: Vec<_> = self.beyond.iter().map(|one| &one.0).collect();
        let role = match self.role {
            Role::Claim => "claim",
            Role::Device => "device",
        };
        json!({ "for": role, "ok": lacks.is_empty(), "needs": self.needs, "lacks": lacks, "beyond": beyond })
    }
}

impl Lack {
    fn to_json(&self) -> Value {
        let Self { action, resource, denied_by, hint } = self;
        json!({ "action": action, "resource": resource, "denied_by": denied_by, "hint": hint })
    }
}

fn counted(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
