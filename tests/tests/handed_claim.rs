//! A device that is handed a claim by a trusted user, as `aws iot create-provisioning-claim` prints it.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::{self, OpenOptions};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use aether_tests::aether::{Gateway, Sandbox, aether};
use aether_tests::program::Program;
use serde_json::Value;

/// Longest wait for one step.
const SOON: Duration = Duration::from_secs(60);

/// What the technician's app is answered by CreateProvisioningClaim.
fn provisioning_claim(sandbox: &Sandbox) -> String {
    let address = sandbox.control_url().strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    let request = format!(
        "POST /provisioning-templates/Aether/provisioning-claim HTTP/1.1\r\nHost: {address}\r\n\
         Authorization: AWS4-HMAC-SHA256 any\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 "), "{answer}");
    serde_json::from_str::<Value>(body).unwrap().to_string()
}

/// A gateway's settings without a claim of their own.
fn settings(folder: &Path, sandbox: &Sandbox) -> Gateway {
    let gateway = Gateway::new(folder, sandbox);
    let text = gateway.settings();
    let lines: Vec<_> = text.lines().filter(|line| !line.starts_with("claim_")).collect();
    fs::create_dir(folder).unwrap();
    fs::write(gateway.config(), lines.join("\n")).unwrap();
    gateway
}

fn secret(path: &Path, text: &str) {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

#[track_caller]
fn provisions(command: &mut Command) {
    let mut running = Program::start(command);
    running.wait_for_line("its connection", SOON, |line| line.contains("device-connected"));
    running.terminate();
    assert_eq!(running.wait_for_exit(SOON).code(), Some(0), "{}", running.printed());
    assert!(!running.printed().contains("PRIVATE KEY"), "{}", running.printed());
}

#[test]
fn a_claim_is_taken_from_standard_input_or_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::up(folder.path().join("sandbox"));
    let claim = folder.path().join("claim.json");
    secret(&claim, &provisioning_claim(&sandbox));

    let gateway = settings(&folder.path().join("by-input"), &sandbox);
    let program = aether(["run"]);
    let mut by_input = Command::new("sh");
    by_input.args(["-c", r#"exec "$0" run --config "$1" --claim - < "$2""#]).arg(program.get_program());
    provisions(by_input.arg(gateway.config()).arg(&claim));

    let gateway = settings(&folder.path().join("by-file"), &sandbox);
    provisions(aether(["run", "--config"]).arg(gateway.config()).arg("--claim").arg(&claim));
    // An identity needs no claim: the one from standard input was not kept, and its file may be gone.
    fs::remove_file(&claim).unwrap();
    provisions(aether(["run", "--config"]).arg(gateway.config()).arg("--claim").arg(&claim));
    provisions(aether(["run", "--config"]).arg(gateway.config()));
}

#[test]
fn two_claims_are_one_too_many() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::up(folder.path().join("sandbox"));
    let gateway = Gateway::new(folder.path().join("gateway"), &sandbox);
    fs::create_dir(folder.path().join("gateway")).unwrap();
    fs::write(gateway.config(), gateway.settings()).unwrap();
    let both = aether(["run", "--claim", "-", "--config"]).arg(gateway.config()).output().unwrap();
    let said = String::from_utf8_lossy(&both.stderr);
    assert_eq!(both.status.code(), Some(2), "{said}");
    assert!(said.contains("`aws_iot.claim`") && said.contains("`aws_iot.claim_cert`"), "{said}");
}
