//! `aether sandbox …` against a sandbox that runs: every command, its output and its exit code.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use aether_tests::aether::{Gateway, Sandbox, aether};
use aether_tests::program::{Program, Stream};
use serde_json::{Value, json};

/// Longest wait for one step.
const SOON: Duration = Duration::from_secs(60);

/// `aether sandbox COMMAND --dir DIR …`.
fn command(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = aether(["sandbox"]);
    command.args(&arguments[..1]).arg("--dir").arg(directory).args(&arguments[1..]).stdin(Stdio::null());
    command
}

fn run(directory: &Path, arguments: &[&str]) -> Output {
    command(directory, arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What a command prints that succeeds.
#[track_caller]
fn printed(sandbox: &Sandbox, arguments: &[&str]) -> String {
    let output = run(sandbox.directory(), arguments);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// The one JSON text of a command that succeeds.
#[track_caller]
fn json(sandbox: &Sandbox, arguments: &[&str]) -> Value {
    let printed = printed(sandbox, &[arguments, &["--json"]].concat());
    serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{error} in {printed}"))
}

/// Checks that a command ends with this code and one error with these words, and prints nothing else.
#[track_caller]
fn fails(directory: &Path, arguments: &[&str], code: i32, words: &[&str]) {
    let output = run(directory, arguments);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    assert!(output.stdout.is_empty(), "{arguments:?}: {}", text(&output.stdout));
    for words in words {
        assert!(said.contains(words), "{arguments:?}: {said} lacks {words:?}");
    }
}

/// A sandbox with one device connected to it.
fn with_device(folder: &Path) -> (Sandbox, Program) {
    let sandbox = Sandbox::up(folder.join("sandbox"));
    let gateway = Gateway::new(folder.join("gateway"), &sandbox).run();
    gateway.wait_for_stage_text("device-connected");
    (sandbox, gateway)
}

/// Waiting in words of this file.
trait WaitForStage {
    fn wait_for_stage_text(&self, stage: &str);
}

impl WaitForStage for Program {
    #[track_caller]
    fn wait_for_stage_text(&self, stage: &str) {
        self.wait_for_line(stage, SOON, |line| line.contains(stage));
    }
}

#[test]
fn a_running_sandbox_is_shown_and_its_certificates_are_switched() {
    let folder = tempfile::tempdir().unwrap();
    let (sandbox, gateway) = with_device(folder.path());

    let status = json(&sandbox, &["status"]);
    assert_eq!(status["http"], sandbox.control_url().trim_start_matches("http://"));
    assert_eq!(status["counts"]["things"], 1);
    let words = printed(&sandbox, &["status"]);
    assert!(words.contains(&sandbox.port().to_string()) && words.contains("/#token="), "{words}");

    let things = json(&sandbox, &["things"]);
    assert_eq!((things["total"].as_u64(), things["things"][0]["name"].as_str()), (Some(1), Some("aether-P3-00017")));
    assert!(printed(&sandbox, &["things"]).contains("aether-P3-00017"));
    assert_eq!(json(&sandbox, &["things", "--find", "nothing"])["total"], 0);

    let devices = json(&sandbox, &["certificates", "--find", "aether-P3-00017"]);
    let id = devices["certificates"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(devices["certificates"][0]["status"], "ACTIVE");
    let device_policy = printed(&sandbox, &["policies", "aether-device"]);
    assert!(serde_json::from_str::<Value>(&device_policy).unwrap()["Statement"].is_array(), "{device_policy}");
    assert!(printed(&sandbox, &["policies"]).contains("aether-claim"));
    assert_eq!(json(&sandbox, &["sessions", "--find", "aether-P3"])["sessions"][0]["connected"], true);

    let ask = |resource: &'static str| {
        let action = "iot:Publish";
        vec!["explain", "--client-id", "aether-P3-00017", "--action", action, "--resource", resource]
    };
    let own = json(&sandbox, &ask("aether-P3-00017"));
    assert_eq!((own["decision"].as_str(), own["connected"].as_bool()), (Some("ALLOWED"), Some(true)));
    assert_eq!(own["certificateId"], id.as_str());
    assert_eq!(json(&sandbox, &ask("aether-P3-00018"))["decision"], "IMPLICIT_DENY");
    assert!(printed(&sandbox, &ask("aether-P3-00018")).contains("speaks for Thing aether-P3-00017"));

    let done = json(&sandbox, &["certificates", "--deactivate", &id[..12]]);
    assert_eq!(done, json!({ "id": id, "status": "INACTIVE" }));
    gateway.wait_for_line("the loss", SOON, |line| line.contains("connection lost"));
    // It comes back by itself and is refused, which the decision log tells.
    let denied = gateway.wait_until("a denial", SOON, || {
        let lines = printed(&sandbox, &["decisions", "--denied", "--json"]);
        lines.lines().find(|line| line.contains("certificate is INACTIVE")).map(str::to_owned)
    });
    assert_eq!(serde_json::from_str::<Value>(&denied).unwrap()["certificate_id"], id.as_str());
    assert!(printed(&sandbox, &["decisions", "--denied"]).contains("certificate is INACTIVE"));
    assert_eq!(json(&sandbox, &["certificates", "--activate", &id])["status"], "ACTIVE");
}

#[test]
fn messages_are_published_and_seen_faults_set_time_moved_and_devices_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let (sandbox, gateway) = with_device(folder.path());

    let subscribe = ["subscribe", "press-3/+", "--count", "1", "--json"];
    let mut seen = Program::start(&mut command(sandbox.directory(), &subscribe));
    // A stream begins at some moment after the program's start: one of these is the first it sees.
    seen.wait_until("the message", SOON, || {
        printed(&sandbox, &["publish", "press-3/commands", "{\"speed\": 4}", "--qos", "1"]);
        seen.lines(Stream::Out).first().cloned()
    });
    assert_eq!(seen.wait_for_exit(SOON).code(), Some(0), "{}", seen.printed());
    let lines = seen.lines(Stream::Out);
    let message: Value = serde_json::from_str(&lines[0]).unwrap();
    assert_eq!((lines.len(), message["topic"].as_str()), (1, Some("press-3/commands")));
    assert_eq!((message["payload"].as_str(), message["qos"].as_u64()), (Some("{\"speed\": 4}"), Some(1)));

    let script = folder.path().join("faults.json");
    fs::write(&script, r#"[{"step": "puback", "match": {"client_id": "aether-*"}, "every": 3, "action": "drop"}]"#)
        .unwrap();
    let set = json(&sandbox, &["faults", "--set", script.to_str().unwrap()]);
    assert_eq!((set["rules"][0]["step"].as_str(), set["rules"].as_array().unwrap().len()), (Some("puback"), 1));
    let fired = || json(&sandbox, &["faults"])["rules"][0]["fired"].as_u64().filter(|fired| *fired > 0);
    gateway.wait_until("a fault", SOON, fired);
    assert!(printed(&sandbox, &["faults"]).contains("matched"));
    assert_eq!(printed(&sandbox, &["faults", "--clear"]), "no faults\n");

    let moved = json(&sandbox, &["advance", "61m"]);
    assert!(moved["clock_ahead_s"].as_u64().is_some_and(|ahead| (3660..3670).contains(&ahead)), "{moved}");
    assert_eq!(json(&sandbox, &["status"])["clock_ahead_s"], moved["clock_ahead_s"]);

    fails(sandbox.directory(), &["reset"], 2, &["--yes"]);
    assert!(json(&sandbox, &["reset", "--yes"])["forgotten"].is_object() || printed(&sandbox, &["things"]).is_empty());
    gateway.wait_until("no Thing", SOON, || (json(&sandbox, &["things"])["total"] == 0).then_some(()));
    assert!(printed(&sandbox, &["certificates"]).contains("claim"), "what is not a device's stays");
}

#[test]
fn what_cannot_work_is_exit_code_2_and_what_does_not_run_exit_code_1() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::up(folder.path().join("sandbox"));
    let dir = sandbox.directory().to_owned();
    for (arguments, words) in [
        (&["certificates", "--deactivate", "zzz"][..], &["0 certificates begin with", "zzz"][..]),
        (&["certificates", "--deactivate", ""], &["certificates begin with"]),
        (&["certificates", "--activate", "a", "--revoke", "b"], &["--activate", "--revoke"]),
        (&["policies", "nothing"], &["NAME", "nothing"]),
        (&["explain", "--client-id", "nobody", "--action", "iot:Publish", "--resource", "a"], &["nobody"]),
        (&["explain", "--client-id", "nobody", "--action", "iot:Fly", "--resource", "a"], &["iot:Fly"]),
        (&["publish", "a/+", "1"], &["topic"]),
        (&["publish", "a", "1", "--qos", "2"], &["qos"]),
        (&["subscribe", "a/#/b"], &["filter", "a/#/b"]),
        (&["advance", "soon"], &["soon"]),
        (&["advance", "0s"], &["expected 1 to"]),
        (&["faults", "--set", "/nonexistent/faults.json"], &["--set", "/nonexistent/faults.json"]),
        (&["register-ca", "/nonexistent/ca.pem"], &["FILE", "/nonexistent/ca.pem"]),
        (&["fly"], &["fly"]),
    ] {
        fails(&dir, arguments, 2, words);
    }
    let broken = folder.path().join("faults.json");
    fs::write(&broken, r#"[{"step": "fly", "action": "drop"}]"#).unwrap();
    fails(&dir, &["faults", "--set", broken.to_str().unwrap()], 2, &["fly"]);
    let nowhere = folder.path().join("nowhere");
    for arguments in [&["status"][..], &["reset", "--yes"], &["things"]] {
        fails(&nowhere, arguments, 2, &["nowhere"]);
    }
    assert!(!nowhere.exists(), "nothing was made");

    drop(sandbox); // SIGKILL
    assert!(dir.join("control.json").exists(), "it had no time to remove it");
    for arguments in [&["status"][..], &["things"], &["publish", "a", "1"], &["subscribe", "#"], &["advance", "1s"]] {
        fails(&dir, arguments, 1, &["no sandbox", "aether sandbox up --dir"]);
    }
    let reset = run(&dir, &["reset", "--yes"]);
    assert_eq!(reset.status.code(), Some(0), "without a running one: {}", text(&reset.stderr));
}

#[test]
fn every_command_has_an_example_that_its_own_arguments_take() {
    let help = aether(["sandbox", "--help"]).output().unwrap();
    let listed = text(&help.stdout);
    let commands = listed.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names: Vec<_> =
        commands.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help").collect();
    assert!(names.len() >= 13, "{names:?}");
    for name in names {
        let output = aether(["sandbox", name, "--help"]).output().unwrap();
        let help = text(&output.stdout).replace("\\\n", " ");
        let examples: Vec<_> = help
            .lines()
            .filter_map(|line| {
                (!line.starts_with("Usage:"))
                    .then_some(line)?
                    .find(&format!("aether sandbox {name} "))
                    .map(|at| &line[at..])
            })
            .collect();
        assert!(!examples.is_empty(), "{name} has no example: {help}");
        for example in examples {
            // `sh` takes the line apart; the directory is none, so each ends before it does anything.
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join("image.bin"), "").unwrap();
            fs::write(folder.path().join("faults.json"), "[]").unwrap();
            if name == "up" {
                continue;
            }
            let program = aether([""; 0]).get_program().to_string_lossy().into_owned();
            let line = example.split(" | ").next().unwrap().replacen("aether", &format!("'{program}'"), 1);
            let ran = Command::new("sh")
                .arg("-c")
                .arg(&line)
                .current_dir(folder.path())
                .stdin(Stdio::null())
                .output()
                .unwrap();
            let said = text(&ran.stderr);
            assert!(!said.contains("Usage:") && !said.contains("error:"), "{example}: {said}");
        }
    }
}
