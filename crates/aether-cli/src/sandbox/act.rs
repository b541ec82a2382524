//! What can be done to a sandbox from outside.

use std::io::Read as _;
use std::net::Ipv4Addr;
use std::path::Path;

use aether_sandbox::{RegisterCaError, Sandbox};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::client::Client;
use super::options::{AdvanceOptions, DirOptions, FaultsOptions, PublishOptions, RegisterCaOptions, ResetOptions};
use super::table::{cell, printable};
use crate::failure::Failure;
use crate::output::line;

/// Says what was done: the API's answer as JSON, or a sentence.
fn done(options: &DirOptions, answer: &Value, words: &str) {
    match options.json {
        true => line(&answer.to_string()),
        false => line(words),
    }
}

pub(crate) async fn set_status(options: &DirOptions, id: &str, status: &str) -> Result<(), Failure> {
    let client = Client::of(&options.dir)?;
    let whole = client.certificate(id).await?;
    let answer = client.post(&format!("/certificates/{whole}/status"), &json!({ "status": status })).await?;
    done(options, &answer, &format!("certificate {whole} is {status}"));
    Ok(())
}

pub(crate) async fn publish(options: PublishOptions) -> Result<(), Failure> {
    let client = Client::of(&options.common.dir)?;
    let payload = match options.payload.as_str() {
        "-" => {
            let mut bytes = Vec::new();
            std::io::stdin().read_to_end(&mut bytes).map_err(Failure::running)?;
            bytes
        }
        text => text.as_bytes().to_vec(),
    };
    let message = json!({
        "topic": options.topic,
        "payload_base64": STANDARD.encode(payload),
        "qos": options.qos,
        "retain": options.retain,
    });
    let answer = client.post("/publish", &message).await?;
    if options.common.json {
        line(&answer.to_string());
    }
    Ok(())
}

pub(crate) async fn faults(options: &FaultsOptions) -> Result<(), Failure> {
    let client = Client::of(&options.common.dir)?;
    let script = match &options.set {
        Some(file) => Some(read_script(file)?),
        None if options.clear => Some(json!([])),
        None => None,
    };
    let answer = match &script {
        Some(script) => client.put("/faults", script).await?,
        None => client.get("/faults").await?,
    };
    match options.common.json {
        true => line(&answer.to_string()),
        false => show_rules(answer["rules"].as_array().map_or(&[][..], Vec::as_slice)),
    }
    Ok(())
}

fn read_script(file: &Path) -> Result<Value, Failure> {
    let place = format!("argument --set: {}", file.display());
    let text = match file.as_os_str() == "-" {
        true => std::io::read_to_string(std::io::stdin()),
        false => std::fs::read_to_string(file),
    };
    let text = text.map_err(|error| Failure::settings_in(place.clone(), &error))?;
    serde_json::from_str(&text).map_err(|error| Failure::settings_in(place, &error))
}

fn show_rules(rules: &[Value]) {
    if rules.is_empty() {
        line("no faults");
    }
    for rule in rules {
        let mut rest = rule.clone();
        let counts = rest.as_object_mut().map(|members| (members.remove("matched"), members.remove("fired")));
        let (matched, fired) = counts.unwrap_or_default();
        let (matched, fired) = (cell(&matched.unwrap_or_default()), cell(&fired.unwrap_or_default()));
        line(&format!("{}  matched {matched}, fired {fired}", printable(&rest.to_string())));
    }
}

pub(crate) async fn advance(options: &AdvanceOptions) -> Result<(), Failure> {
    let seconds = options.by.as_secs();
    let answer = Client::of(&options.common.dir)?.post("/clock", &json!({ "advance_s": seconds })).await?;
    let (now, ahead) = (cell(&answer["now"]), cell(&answer["clock_ahead_s"]));
    done(&options.common, &answer, &format!("the sandbox's clock shows {now}, {ahead} s ahead of the system"));
    Ok(())
}

pub(crate) async fn reset(options: &ResetOptions) -> Result<(), Failure> {
    let dir = &options.common.dir;
    let running = Client::find(dir)?;
    if !options.yes {
        return Err(Failure::settings("argument --yes is missing: what is forgotten does not come back"));
    }
    if let Some(client) = running
        && client.is_there().await
    {
        let answer = client.post("/reset", &json!({ "confirm": true })).await?;
        done(&options.common, &answer, &format!("forgotten: {}", cell(&answer["forgotten"])));
        return Ok(());
    }
    // Nobody answers: the directory is opened as a start does it, which fails where one runs without HTTP.
    let sandbox = Sandbox::builder().dir(dir).listen((Ipv4Addr::LOCALHOST, 0).into()).start().await?;
    let reset = sandbox.reset().await;
    sandbox.shutdown().await;
    reset.map_err(Failure::running)?;
    done(
        &options.common,
        &json!({ "forgotten": true }),
        "forgotten: Things, device certificates, sessions, retained messages",
    );
    Ok(())
}

pub(crate) fn register_ca(options: &RegisterCaOptions) -> Result<(), Failure> {
    let pem = std::fs::read(&options.file)
        .map_err(|e| Failure::settings(format!("argument FILE: cannot read {}: {e}", options.file.display())))?;
    let id = aether_sandbox::register_ca(&options.common.dir, &pem).map_err(|e| {
        if matches!(e, RegisterCaError::NotASandbox { .. } | RegisterCaError::Io { .. }) {
            return Failure::from(e);
        }
        Failure::settings_in(format!("argument FILE: {}", options.file.display()), &e)
    })?;
    done(&options.common, &json!({ "ca": id.as_str() }), &format!("registered CA {id}"));
    Ok(())
}
