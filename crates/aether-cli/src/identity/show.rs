//! What is stored of the device's identities, as text or as JSON.

use aether_nexus::{Nexus, StoredIdentities, StoredIdentity};
use serde_json::{Value, json};

use super::args::ShowOptions;
use super::time::{days_left, rfc3339};
use crate::failure::Failure;
use crate::output::line;
use crate::sandbox::table::printable;

pub(crate) fn show(options: &ShowOptions) -> Result<(), Failure> {
    let device = Nexus::from_file(&options.config)?.environment().at_rest();
    let stored = device.identities()?;
    if options.json {
        line(&as_json(&stored).to_string());
    } else {
        as_text(&stored).iter().for_each(|text| line(text));
        if stored.active.is_none() {
            line(&format!("{} holds no identity in use; `aether run` obtains one", device.state_dir().display()));
        }
    }
    Ok(())
}

fn as_json(stored: &StoredIdentities) -> Value {
    json!({
        "active": stored.active.as_ref().map(identity),
        "previous": stored.previous.as_ref().map(identity),
        "staged": stored.staged.as_ref().map(identity),
        "findings": stored.findings,
    })
}

fn identity(one: &StoredIdentity) -> Value {
    let certificate = one.certificate.as_ref();
    json!({
        "status": one.state.as_str(),
        "thing_name": one.thing_name,
        "certificate_id": certificate.map(|certificate| &certificate.id),
        "not_before": certificate.map(|certificate| rfc3339(certificate.not_before)),
        "not_after": certificate.map(|certificate| rfc3339(certificate.not_after)),
        "days_left": certificate.map(|certificate| days_left(certificate.not_after)),
        "certificate_file": certificate.map(|certificate| certificate.file.display().to_string()),
        "key": { "kind": one.key.kind, "location": one.key.location },
        "device_configuration": one.device_configuration,
    })
}

fn as_text(stored: &StoredIdentities) -> Vec<String> {
    let mut lines = Vec::new();
    for one in [&stored.active, &stored.previous, &stored.staged].into_iter().flatten() {
        let mut fact = |name: &str, value: &str| lines.push(format!("{name:<18} {}", printable(value)));
        fact("status", one.state.as_str());
        if let Some(thing) = &one.thing_name {
            fact("Thing", thing);
        }
        if let Some(certificate) = &one.certificate {
            fact("certificate", &certificate.id);
            fact("valid from", &rfc3339(certificate.not_before));
            fact("valid to", &rfc3339(certificate.not_after));
            fact("days left", &days_left(certificate.not_after).to_string());
            fact("certificate file", &certificate.file.display().to_string());
        }
        fact("key", &format!("{}, {}", one.key.kind, one.key.location));
        for (name, value) in &one.device_configuration {
            fact("configuration", &format!("{name} = {value}"));
        }
        lines.push(String::new());
    }
    lines.extend(stored.findings.iter().map(|finding| format!("damaged: {}", printable(finding))));
    if lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines
}
