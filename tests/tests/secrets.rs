//! `aether run` at trace level shows no private key and no ownership token.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::time::Duration;

use aether_sandbox::{KeyKind, Sandbox};
use aether_tests::aether::{Gateway, Identity};
use aether_tests::program::Program;
use serde_json::Value;

const SOON: Duration = Duration::from_secs(60);

/// The second request of a claim session is RegisterThing: held, so that the token stays on disk to be read.
const HOLD: &str = r#"[{ "step": "publish", "match": { "client_id": "aether-claim-*" }, "nth": 2,
    "action": { "delay": { "ms": 600000 } } }]"#;

#[test]
fn a_run_at_trace_level_shows_no_private_key_and_no_token() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let builder = Sandbox::builder().dir(folder.path().join("sandbox")).device_keys(KeyKind::EcP256).faults(HOLD);
    let sandbox = runtime.block_on(builder.start()).unwrap();
    let files = sandbox.files();
    let claim = Identity { certificate: files.claim_cert().to_owned(), key: files.claim_key().to_owned() };
    let claim_key = fs::read_to_string(&claim.key).unwrap();
    let device = folder.path().join("device");
    let gateway = Gateway::at(&device, sandbox.local_addr().port(), files.ca(), claim);
    let trace = || Program::start(gateway.command().arg("--json").env("AETHER_LOG", "trace"));

    let mut first = trace();
    let issued = first.wait_for_stage("certificate-issued", SOON);
    let home = find(&device, issued["detail"].as_str().unwrap());
    let record: Value = serde_json::from_slice(&fs::read(home.join("issued.json")).unwrap()).unwrap();
    let device_key = fs::read_to_string(home.join("private.key")).unwrap();
    first.kill();
    sandbox.set_faults("[]").unwrap();
    let mut second = trace();
    second.wait_for_stage("device-connected", SOON);
    second.kill();

    let printed = first.printed() + &second.printed();
    assert!(printed.contains(" DEBUG "), "too little is told:\n{printed}");
    let token = record["ownership_token"].as_str().unwrap();
    assert!(token.len() > 16 && !printed.contains(token), "the token shows");
    for line in claim_key.lines().chain(device_key.lines()).filter(|line| !line.starts_with("-----")) {
        assert!(line.len() < 16 || !printed.contains(line), "a key shows");
    }
}

/// The folder of this name, somewhere below.
fn find(folder: &std::path::Path, name: &str) -> std::path::PathBuf {
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        if folder.file_name().is_some_and(|found| found == name) {
            return folder;
        }
        open.extend(fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()));
    }
    panic!("no folder {name}")
}
