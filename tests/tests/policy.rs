//! `aether policy` as its users type it, and a sandbox that holds devices to what it prints.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use aether_tests::aether::{Gateway, Sandbox, aether};
use serde_json::Value;

/// Longest wait for one thing to happen; all of them take well under a second on an idle machine.
const SOON: Duration = Duration::from_secs(45);

const PLACE: [&str; 4] = ["--region", "eu-west-1", "--account", "123456789012"];

fn policy(arguments: &[&str]) -> Output {
    aether(["policy"].iter().chain(arguments)).stdin(Stdio::null()).output().unwrap()
}

#[track_caller]
fn printed(role: &str, arguments: &[&str]) -> String {
    let ran = policy(&[&[role], &PLACE[..], arguments].concat());
    assert_eq!((ran.status.code(), text(&ran.stderr)), (Some(0), String::new()));
    assert!(ran.stdout.ends_with(b"}\n"));
    text(&ran.stdout)
}

fn check(file: &Path, arguments: &[&str]) -> Output {
    policy(&[&["check", file.to_str().unwrap()], &PLACE[..], arguments].concat())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_device_provisions_and_publishes_with_exactly_the_policies_printed() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("sandbox");
    // The first start writes the specification's policies; they are evaluated from the files at the next.
    drop(Sandbox::up(&directory));
    let (claim, device) = (printed("claim", &["--template", "Aether"]), printed("device", &[]));
    fs::write(directory.join("policies/aether-claim.json"), &claim).unwrap();
    fs::write(directory.join("policies/aether-device.json"), &device).unwrap();

    let sandbox = Sandbox::up(&directory);
    let mut gateway = Gateway::new(folder.path().join("gateway"), &sandbox).run();
    let published = gateway.wait_until("two events that the sandbox let through", SOON, || {
        let of_device = |d: &Value| d["event"] == "publish" && d["certificate_kind"] == "device";
        let all: Vec<_> = sandbox.decisions().into_iter().filter(of_device).collect();
        (all.len() >= 2).then_some(all)
    });
    assert!(published.iter().all(|d| d["decision"] == "allowed" && d["topic"] == d["client_id"]), "{published:?}");
    gateway.terminate();
    assert_eq!(gateway.wait_for_exit(SOON).code(), Some(0), "{}", gateway.printed());

    let decisions = sandbox.decisions();
    let refused: Vec<_> = decisions.iter().filter(|d| d["decision"] == "denied").collect();
    assert!(refused.is_empty(), "{refused:?}");
    // What stood in force was what was printed, and not the specification's.
    for (name, printed) in [("aether-claim", &claim), ("aether-device", &device)] {
        let shown = aether(["sandbox", "policies", "--dir", directory.to_str().unwrap(), name]).output().unwrap();
        let (shown, printed): (Value, Value) =
            (serde_json::from_slice(&shown.stdout).unwrap(), serde_json::from_str(printed).unwrap());
        assert_eq!(shown, printed, "{name}");
    }
}

#[test]
fn the_claim_policy_for_csrs_allows_csrs_and_refuses_keys_of_aws() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("sandbox");
    drop(Sandbox::up(&directory));
    let claim = printed("claim", &["--template", "Aether", "--csr"]);
    fs::write(directory.join("policies/aether-claim.json"), claim).unwrap();

    let sandbox = Sandbox::up(&directory);
    let of_sandbox = |arguments: &[&str]| -> Value {
        let command = ["sandbox", arguments[0], "--dir", directory.to_str().unwrap(), "--json"];
        let ran = aether(command.iter().chain(&arguments[1..])).output().unwrap();
        serde_json::from_slice(&ran.stdout).unwrap_or_else(|e| panic!("{e}: {}", text(&ran.stderr)))
    };
    let certificates = of_sandbox(&["certificates"]);
    let claim = certificates["certificates"].as_array().unwrap().iter().find(|one| one["kind"] == "claim").unwrap();
    let id = claim["id"].as_str().unwrap();
    for (action, resource, allowed) in [
        ("iot:Connect", "aether-claim-0123456789abcdef", true),
        ("iot:Publish", "$aws/certificates/create-from-csr/json", true),
        ("iot:Subscribe", "$aws/certificates/create-from-csr/json/accepted", true),
        ("iot:Receive", "$aws/certificates/create-from-csr/json/rejected", true),
        ("iot:Publish", "$aws/provisioning-templates/Aether/provision/json", true),
        ("iot:Publish", "$aws/certificates/create-from-csr/cbor", false),
        ("iot:Connect", "line7-press3", false),
    ] {
        let question = ["explain", "--client-id", "aether-claim-0123456789abcdef", "--certificate", id];
        let answer = of_sandbox(&[&question[..], &["--action", action, "--resource", resource]].concat());
        assert_eq!(answer["allowed"], allowed, "{action} on {resource}");
    }

    // This device has AWS make its key, which this policy is not for.
    let gateway = Gateway::new(folder.path().join("gateway"), &sandbox).run();
    let refused = gateway.wait_until("a refusal", SOON, || {
        sandbox.decisions().into_iter().find(|d| d["decision"] == "denied" && d["certificate_kind"] == "claim")
    });
    assert!(refused.to_string().contains("$aws/certificates/create/json"), "{refused}");
}

#[test]
fn a_check_ends_with_0_if_nothing_is_lacking_and_with_2_if_something_is() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("claim.json");
    fs::write(&file, printed("claim", &["--template", "Aether"])).unwrap();
    let claim = ["--for", "claim", "--template", "Aether"];
    let good = check(&file, &claim);
    assert_eq!((good.status.code(), text(&good.stderr)), (Some(0), String::new()));
    assert_eq!(text(&good.stdout), "grants all 11 rights needed, and nothing beyond them\n");

    let bad = check(&file, &[&claim[..], &["--csr", "--json"]].concat());
    assert_eq!(bad.status.code(), Some(2));
    assert_eq!(text(&bad.stderr), format!("aether: policy {} lacks 5 of 11 rights\n", file.display()));
    let report: Value = serde_json::from_slice(&bad.stdout).unwrap();
    assert_eq!((&report["ok"], report["lacks"].as_array().unwrap().len()), (&false.into(), 5));
    assert_eq!(report["lacks"][0]["action"], "iot:Publish");

    fs::write(&file, "{").unwrap();
    let broken = check(&file, &claim);
    assert_eq!(broken.status.code(), Some(2));
    assert!(text(&broken.stderr).contains("claim.json: policy document is not JSON"), "{}", text(&broken.stderr));
    fs::write(&file, " ".repeat(300 * 1024)).unwrap();
    assert!(text(&check(&file, &claim).stderr).contains("longer than 256 KiB"));
    assert_eq!(check(&folder.path().join("missing.json"), &claim).status.code(), Some(2));
}

#[test]
fn a_policy_that_needs_wildcards_says_so_in_the_log_and_not_in_the_document() {
    let ran = policy(&[&["claim", "--template", "Aether", "--csr=both", "--cbor=both"], &PLACE[..]].concat());
    assert_eq!(ran.status.code(), Some(0));
    assert!(text(&ran.stderr).contains("with wildcards"), "{}", text(&ran.stderr));
    assert!(serde_json::from_slice::<Value>(&ran.stdout).is_ok());
}

#[test]
fn the_examples_in_the_help_work_as_printed() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("claim.json"), printed("claim", &["--template", "Aether"])).unwrap();
    fs::write(folder.path().join("device.json"), printed("device", &[])).unwrap();
    fs::write(folder.path().join("stdin"), printed("claim", &["--template", "Aether", "--csr"])).unwrap();
    let program = aether([""; 0]).get_program().to_string_lossy().into_owned();
    for (name, count) in [("claim", 2), ("device", 2), ("check", 3)] {
        let help = text(&policy(&[name, "--help"]).stdout);
        let start = format!("aether policy {name} ");
        let lines = help.lines().filter(|line| !line.starts_with("Usage:"));
        let examples: Vec<_> = lines.filter_map(|line| line.find(&start).map(|at| &line[at..])).collect();
        assert_eq!(examples.len(), count, "{help}");
        for example in examples {
            let mut shell = Command::new("sh");
            shell.arg("-c").arg(example.replacen("aether", &format!("'{program}'"), 1)).current_dir(folder.path());
            let stdin = fs::File::open(folder.path().join("stdin")).unwrap();
            let ran = shell.stdin(stdin).output().unwrap();
            assert_eq!((ran.status.code(), text(&ran.stderr)), (Some(0), String::new()), "{example}");
        }
    }
}
