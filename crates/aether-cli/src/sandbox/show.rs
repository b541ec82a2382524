//! What there is in the running sandbox, as tables or as the JSON its API gives.

use serde_json::{Value, json};

use super::act;
use super::client::{Client, encoded};
use super::options::{CertificatesOptions, DirOptions, ExplainOptions, ListOptions, PoliciesOptions};
use super::table::{cell, table};
use crate::failure::Failure;
use crate::output::line;

pub(crate) async fn status(options: &DirOptions) -> Result<(), Failure> {
    let client = Client::of(&options.dir)?;
    let status = client.get("/status").await?;
    if options.json {
        line(&status.to_string());
        return Ok(());
    }
    let fact = |name: &str, value: &str| line(&format!("{name:<18} {value}"));
    for (name, key) in [("version", "version"), ("MQTT over TLS", "mqtt"), ("HTTP", "http"), ("region", "region")] {
        fact(name, &cell(&status[key]));
    }
    fact("account", &cell(&status["account_id"]));
    fact("template", &cell(&status["template"]));
    fact("running for", &format!("{} s", cell(&status["uptime_s"])));
    fact("clock", &format!("{}, {} s ahead of the system", cell(&status["now"]), cell(&status["clock_ahead_s"])));
    for (name, count) in status["counts"].as_object().into_iter().flatten() {
        fact(&name.replace('_', " "), &cell(count));
    }
    fact("page", &client.page());
    Ok(())
}

pub(crate) async fn things(options: &ListOptions) -> Result<(), Failure> {
    let columns = [
        ("NAME", "name"),
        ("TYPE", "type"),
        ("GROUPS", "groups"),
        ("ATTRIBUTES", "attributes"),
        ("CERTIFICATES", "certificates"),
        ("CREATED", "created"),
    ];
    list(&options.common, "things", &options.find, &columns).await
}

pub(crate) async fn certificates(options: &CertificatesOptions) -> Result<(), Failure> {
    let wanted = [(&options.activate, "ACTIVE"), (&options.deactivate, "INACTIVE"), (&options.revoke, "REVOKED")];
    if let Some((id, status)) = wanted.iter().find_map(|(id, status)| id.as_deref().map(|id| (id, *status))) {
        return act::set_status(&options.common, id, status).await;
    }
    let columns = [
        ("ID", "id"),
        ("STATUS", "status"),
        ("KIND", "kind"),
        ("THING", "thing"),
        ("POLICIES", "policies"),
        ("CREATED", "created"),
        ("EXPIRES", "not_after"),
    ];
    list(&options.common, "certificates", &options.find, &columns).await
}

pub(crate) async fn sessions(options: &ListOptions) -> Result<(), Failure> {
    let columns = [
        ("CLIENT ID", "client_id"),
        ("CONNECTED", "connected"),
        ("SINCE", "since"),
        ("WAITING", "queued"),
        ("DROPPED", "dropped"),
        ("SUBSCRIPTIONS", "subscriptions"),
    ];
    list(&options.common, "sessions", &options.find, &columns).await
}

pub(crate) async fn policies(options: &PoliciesOptions) -> Result<(), Failure> {
    let Some(name) = &options.name else {
        let columns = [
            ("NAME", "name"),
            ("VERSION", "default_version"),
            ("VERSIONS", "versions"),
            ("CERTIFICATES", "certificates"),
            ("GROUPS", "groups"),
        ];
        return list(&options.common, "policies", "", &columns).await;
    };
    let answer = Client::of(&options.common.dir)?.get(&format!("/policies?find={}", encoded(name))).await?;
    let policies = answer["policies"].as_array().into_iter().flatten();
    let Some(policy) = policies.into_iter().find(|policy| policy["name"] == name.as_str()) else {
        return Err(Failure::settings(format!("argument NAME: found {name:?}, expected the name of a policy")));
    };
    match options.common.json {
        true => line(&policy.to_string()),
        false => line(policy["document"].as_str().unwrap_or_default().trim_end()),
    }
    Ok(())
}

pub(crate) async fn explain(options: &ExplainOptions) -> Result<(), Failure> {
    let client = Client::of(&options.common.dir)?;
    let certificate = match &options.certificate {
        Some(id) => Some(client.certificate(id).await?),
        None => None,
    };
    let question = json!({
        "client_id": options.client_id,
        "action": options.action,
        "resource": options.resource,
        "certificate": certificate,
        "source_ip": options.source_ip,
    });
    let mut answer = client.post("/explain", &question).await?;
    let text = answer.as_object_mut().and_then(|members| members.remove("text"));
    match options.common.json {
        true => line(&answer.to_string()),
        false => line(text.as_ref().and_then(Value::as_str).unwrap_or_default().trim_end()),
    }
    Ok(())
}

/// Prints rows: all that the API gives as JSON, or these columns of it.
async fn list(options: &DirOptions, what: &str, find: &str, columns: &[(&str, &str)]) -> Result<(), Failure> {
    let path = format!("/{what}?find={}", encoded(find));
    let answer = Client::of(&options.dir)?.get(&path).await?;
    if options.json {
        line(&answer.to_string());
        return Ok(());
    }
    let rows: Vec<Vec<String>> = answer[what]
        .as_array()
        .into_iter()
        .flatten()
        .map(|row| columns.iter().map(|(_, key)| brief(key, &row[*key])).collect())
        .collect();
    let headings: Vec<&str> = columns.iter().map(|(heading, _)| *heading).collect();
    table(&headings, &rows).iter().for_each(|row| line(row));
    let (total, shown) = (answer["total"].as_u64().unwrap_or_default(), rows.len() as u64);
    if total > shown {
        line(&format!("… and {} more; --find narrows it down", total - shown));
    }
    Ok(())
}

/// A cell; ids by their beginning, many certificates by their number.
fn brief(key: &str, value: &Value) -> String {
    match (key, value) {
        ("id", Value::String(id)) => id.get(..12).unwrap_or(id).to_owned(),
        ("certificates", Value::Array(ids)) => ids.len().to_string(),
        (_, other) => cell(other),
    }
}
