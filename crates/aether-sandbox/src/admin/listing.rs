//! What there is: status, Things, certificates, CAs, policies, decisions.

use std::collections::BTreeMap;
use std::time::SystemTime;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Admin;
use super::query::{self, ListQuery};
use super::routes::Answer;
use crate::AuditDecision;
use crate::account::{CaRow, CertificateRow, PolicyRow, ThingRow};
use crate::broker::SessionInfo;
use crate::pki::Certificate;

/// A point in time as the API writes it: RFC 3339, UTC, milliseconds.
pub(super) fn time(at: impl Into<SystemTime>) -> String {
    DateTime::<Utc>::from(at.into()).to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// `GET /status`.
pub(super) fn status(admin: &Admin, query: Option<&str>) -> Answer {
    query::nothing(query)?;
    let account = &admin.broker.account;
    let (tables, clock) = (account.read(), account.clock());
    let sessions = admin.broker.sessions();
    Ok(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "dir": admin.files.dir().display().to_string(),
        "mqtt": admin.mqtt.to_string(),
        "http": admin.http.to_string(),
        "region": account.place().region,
        "account_id": account.place().account_id,
        "template": admin.broker.provisioning.template_name(),
        "uptime_s": admin.started.elapsed().as_secs(),
        "now": time(clock.now()),
        "clock_ahead_s": clock.ahead().as_secs(),
        "counts": {
            "connected": sessions.iter().filter(|session| session.connected).count(),
            "sessions": sessions.len(),
            "retained_messages": admin.broker.retained().len(),
            "things": tables.things.size(),
            "certificates": tables.certificates.size(),
            "ca_certificates": tables.cas.size(),
            "policies": tables.policies.size(),
            "templates": tables.templates.size(),
        },
    }))
}

/// `GET /things`.
pub(super) fn things(admin: &Admin, query: Option<&str>) -> Answer {
    let tables = admin.broker.account.read();
    let texts = |row: &&ThingRow, fits: &mut dyn FnMut(&str) -> bool| fits(row.name.as_str());
    let rows = tables.things.values().map(|row| &**row);
    let (total, things) = ListQuery::read(query)?.pick(rows, texts, thing);
    Ok(json!({ "total": total, "things": things }))
}

fn thing(row: &ThingRow) -> Value {
    json!({
        "name": row.name.as_str(),
        "id": row.id,
        "type": row.thing_type.as_ref().map(|name| name.as_str()),
        "groups": names(&row.groups),
        "attributes": row.attributes,
        "certificates": row.principals.iter().map(|link| link.certificate.as_str()).collect::<Vec<_>>(),
        "created": time(row.created),
    })
}

/// `GET /certificates`.
pub(super) fn certificates(admin: &Admin, query: Option<&str>) -> Answer {
    let tables = admin.broker.account.read();
    let texts = |row: &&CertificateRow, fits: &mut dyn FnMut(&str) -> bool| {
        fits(row.id.as_str())
            || fits(row.status.as_str())
            || fits(row.kind.as_str())
            || row.things.iter().any(|name| fits(name.as_str()))
    };
    let rows = tables.certificates.values().map(|row| &**row);
    let (total, certificates) = ListQuery::read(query)?.pick(rows, texts, certificate);
    Ok(json!({ "total": total, "certificates": certificates }))
}

fn certificate(row: &CertificateRow) -> Value {
    let mut value = json!({
        "id": row.id.as_str(),
        "status": row.status.as_str(),
        "kind": row.kind.as_str(),
        "mode": row.mode.as_str(),
        "ca": row.ca.as_ref().map(|id| id.as_str()),
        "policies": names(&row.policies),
        "thing": names(&row.things),
        "created": time(row.created),
        "ends": row.end().map(time),
    });
    add_content(&mut value, &row.pem);
    value
}

/// `GET /cas`.
pub(super) fn cas(admin: &Admin, query: Option<&str>) -> Answer {
    let tables = admin.broker.account.read();
    let texts = |row: &&CaRow, fits: &mut dyn FnMut(&str) -> bool| fits(row.id.as_str()) || fits(&row.subject);
    let (total, cas) = ListQuery::read(query)?.pick(tables.cas.values().map(|row| &**row), texts, ca);
    Ok(json!({ "total": total, "cas": cas }))
}

fn ca(row: &CaRow) -> Value {
    let mut value = json!({
        "id": row.id.as_str(),
        "status": row.status.as_str(),
        "mode": row.mode.as_str(),
        "auto_registration": row.auto_registration,
        "signs_claims": row.signs_claims,
        "created": time(row.created),
    });
    add_content(&mut value, &row.pem);
    value
}

/// Adds what the certificate says of itself. All of them were read when they came in.
fn add_content(value: &mut Value, pem: &str) {
    if let Ok(read) = Certificate::parse_pem(pem.as_bytes()) {
        let at = |seconds: i64| DateTime::<Utc>::from_timestamp(seconds, 0).map(time);
        value["subject"] = json!(read.subject());
        let (not_before, not_after) = read.validity();
        value["not_before"] = json!(at(not_before));
        value["not_after"] = json!(at(not_after));
    }
}

/// `GET /policies`.
pub(super) fn policies(admin: &Admin, query: Option<&str>) -> Answer {
    let tables = admin.broker.account.read();
    let mut attached: BTreeMap<&str, (Vec<&str>, Vec<&str>)> = BTreeMap::new();
    for row in tables.certificates.values() {
        for policy in &row.policies {
            attached.entry(policy.as_str()).or_default().0.push(row.id.as_str());
        }
    }
    for row in tables.groups.values() {
        for policy in &row.policies {
            attached.entry(policy.as_str()).or_default().1.push(row.name.as_str());
        }
    }
    let texts = |row: &&PolicyRow, fits: &mut dyn FnMut(&str) -> bool| fits(row.name.as_str());
    let show = |row: &PolicyRow| {
        let (certificates, groups) = attached.get(row.name.as_str()).cloned().unwrap_or_default();
        json!({
            "name": row.name.as_str(),
            "default_version": row.default_version,
            "versions": row.versions.keys().collect::<Vec<_>>(),
            "document": row.default_document(),
            "certificates": certificates,
            "groups": groups,
            "created": time(row.created),
        })
    };
    let (total, policies) = ListQuery::read(query)?.pick(tables.policies.values().map(|row| &**row), texts, show);
    Ok(json!({ "total": total, "policies": policies }))
}

/// `GET /sessions`.
pub(super) fn sessions(admin: &Admin, query: Option<&str>) -> Answer {
    let texts = |row: &SessionInfo, fits: &mut dyn FnMut(&str) -> bool| fits(&row.client_id);
    let show = |row: SessionInfo| {
        json!({
            "client_id": row.client_id,
            "connected": row.connected,
            "certificate": row.certificate.as_ref().map(|id| id.as_str()),
            "subscriptions": row.subscriptions,
            "queued": row.queue_depth,
            "dropped": row.dropped,
            "since": time(row.since),
        })
    };
    let (total, sessions) = ListQuery::read(query)?.pick(admin.broker.sessions().into_iter(), texts, show);
    Ok(json!({ "total": total, "sessions": sessions }))
}

/// `?last=…&decision=…`: how many decisions that were made already, and only those that came to this.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Last {
    #[serde(default = "some")]
    pub(super) last: usize,
    decision: Option<Wanted>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Wanted {
    Allowed,
    Denied,
}

impl Last {
    /// What the decisions must have come to.
    pub(super) fn only(&self) -> Option<AuditDecision> {
        self.decision.map(|wanted| match wanted {
            Wanted::Allowed => AuditDecision::Allowed,
            Wanted::Denied => AuditDecision::Denied,
        })
    }
}

const fn some() -> usize {
    100
}

/// `GET /decisions`.
pub(super) fn decisions(admin: &Admin, query: Option<&str>) -> Answer {
    let asked: Last = query::read(query)?;
    let (last, _) = admin.decisions.since(asked.last, asked.only());
    let decisions: Result<Vec<Value>, _> = last.iter().map(|decided| serde_json::from_str(&decided.json)).collect();
    Ok(json!({ "decisions": decisions.map_err(super::error::ApiError::inside)? }))
}

fn names<T: ToString>(names: &[T]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}
