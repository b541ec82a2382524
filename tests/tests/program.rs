//! The `aether` program and the example, as their users start them: the main job, and its edges.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs, net::TcpListener, path::Path, process::Command, time::Duration};

use aether_tests::{
    aether::{Gateway, Sandbox, aether, example},
    program::{Program, Stream, free_port},
};
use serde_json::Value;

/// Longest wait for one thing to happen; all of them take well under a second on an idle machine.
const SOON: Duration = Duration::from_secs(45);

/// The JSON lines on standard output, each of them an object.
fn json_lines(program: &Program) -> Vec<Value> {
    let lines = program.lines(Stream::Out);
    lines.iter().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e} in {line}"))).collect()
}

fn stages(program: &Program) -> Vec<String> {
    json_lines(program).iter().filter_map(|line| Some(line["stage"].as_str()?.to_owned())).collect()
}

#[test]
fn the_demo_shows_every_stage_and_then_events_on_the_topic_of_the_thing() {
    let mut demo = Program::start(&mut aether(["demo", "--json"]));
    // One at the start and one every two seconds.
    demo.wait_until("three events", SOON, || {
        let events = json_lines(&demo).iter().filter(|line| line.get("event").is_some()).count();
        (events >= 3).then_some(())
    });
    demo.interrupt();
    assert_eq!(demo.wait_for_exit(SOON).code(), Some(0), "{}", demo.printed());
    let stages = stages(&demo);
    assert_eq!(stages[0], "sandbox-listening");
    // The plant side and the cloud side come up beside each other.
    let opc_ua = stages.iter().position(|s| s == "opcua-listening").unwrap();
    let cloud: Vec<_> = stages.iter().enumerate().filter(|(n, _)| *n > 0 && *n != opc_ua).map(|(_, s)| &**s).collect();
    assert_eq!(cloud, ["claim-connected", "certificate-issued", "thing-registered", "device-connected"]);

    let lines = json_lines(&demo);
    let events: Vec<_> = lines.iter().filter(|line| line.get("event").is_some()).collect();
    for line in &events {
        assert_eq!(line["topic"], "aether-demo");
        assert_eq!((&line["event"]["operation"], &line["event"]["value"]), (&"read".into(), &25.0.into()));
        assert_eq!(line["event"]["node_id"], "ns=2;s=Plant.Temperature");
        assert_eq!(line["event"].as_object().unwrap().len(), 5);
    }
    let first_event = lines.iter().position(|line| line.get("event").is_some()).unwrap();
    let connected = lines.iter().position(|line| line["stage"] == "device-connected").unwrap();
    assert!(connected < first_event, "the stages come first: {}", demo.printed());
}

#[test]
fn a_demo_for_a_time_ends_when_it_is_up_and_tells_whether_an_event_arrived() {
    let mut demo = Program::start(&mut aether(["demo", "--for", "5s", "--json"]));
    let code = demo.wait_for_exit(SOON).code();
    let arrived = json_lines(&demo).iter().any(|line| line.get("event").is_some());
    assert_eq!(code, Some(if arrived { 0 } else { 1 }), "{}", demo.printed());
}

#[test]
fn ctrl_c_ends_the_demo_cleanly_and_leaves_nothing_behind() {
    let temporary = tempfile::tempdir().unwrap();
    let mut demo = Program::start(aether(["demo"]).env("TMPDIR", temporary.path()));
    demo.wait_for_line("an event", SOON, |line| line.contains("Plant.Temperature") && line.contains("\"read\""));
    assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 1);
    demo.interrupt();
    assert_eq!(demo.wait_for_exit(SOON).code(), Some(0), "{}", demo.printed());
    assert!(!demo.printed().contains('\u{1b}'), "no colours where there is no terminal");
    assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 0);
}

#[test]
fn a_demo_that_nobody_reads_any_more_ends() {
    let temporary = tempfile::tempdir().unwrap();
    // As `head -1` would read it.
    let mut demo = Program::start_and_read_one_line(aether(["demo", "--json"]).env("TMPDIR", temporary.path()));
    let status = demo.wait_for_exit(SOON);
    let read = demo.lines(Stream::Out);
    assert!(read.len() == 1 && read[0].contains("sandbox-listening"), "{}", demo.printed());
    assert_eq!(status.code(), Some(0), "{}", demo.printed());
    assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 0);
}

#[test]
fn ctrl_c_at_once_is_no_failure_either() {
    let temporary = tempfile::tempdir().unwrap();
    let mut demo = Program::start(aether(["demo"]).env("TMPDIR", temporary.path()));
    demo.wait_for_line("the sandbox", SOON, |line| line.contains("sandbox-listening"));
    demo.interrupt();
    assert_eq!(demo.wait_for_exit(SOON).code(), Some(0), "{}", demo.printed());
    assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 0);
}

#[test]
fn a_demo_in_which_no_event_arrives_says_so_and_fails() {
    let mut demo = Program::start(&mut aether(["demo", "--for", "0s"]));
    assert_eq!(demo.wait_for_exit(SOON).code(), Some(1), "{}", demo.printed());
    assert!(demo.printed().contains("no event arrived"), "{}", demo.printed());
}

#[test]
fn the_example_of_the_specification_runs_against_the_sandbox_by_its_settings_alone() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::up(folder.path().join("sandbox"));
    let mut command = example("temperature_poller");
    command
        .current_dir(folder.path())
        .env("RUST_LOG", "info")
        .env("AETHER_OPC_UA_URL", format!("opc.tcp://0.0.0.0:{}", free_port()))
        .env("AETHER_AWS_IOT_ENDPOINT", "localhost")
        .env("AETHER_AWS_IOT_PORT", sandbox.port().to_string())
        .env("AETHER_AWS_IOT_ROOT_CA", sandbox.ca())
        .env("AETHER_AWS_IOT_CLAIM_CERT", &sandbox.claim().certificate)
        .env("AETHER_AWS_IOT_CLAIM_KEY", &sandbox.claim().key);
    let mut running = Program::start(&mut command);
    running.wait_for_line("a read", SOON, |line| line == "Sigil read -> Plant.Temperature=25");
    let published = running.wait_until("two events that the sandbox let through", SOON, || {
        let allowed = |d: &Value| d["event"] == "publish" && d["decision"] == "allowed";
        let device = |d: &Value| d["certificate_kind"] == "device";
        let all: Vec<_> = sandbox.decisions().into_iter().filter(|d| allowed(d) && device(d)).collect();
        (all.len() >= 2).then_some(all)
    });
    assert!(published.iter().all(|d| d["topic"] == d["client_id"]), "the topic is the Thing name");
    running.terminate();
    assert_eq!(running.wait_for_exit(SOON).code(), Some(0), "{}", running.printed());
}

#[test]
fn the_annotated_example_runs_as_it_stands_against_a_sandbox() {
    let folder = tempfile::tempdir().unwrap();
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/aether.example.toml");
    let sandbox = Sandbox::up(folder.path().join("sandbox"));
    let config = folder.path().join("aether.toml");
    fs::copy(example, &config).unwrap();
    let mut command = aether(["run", "--json", "--config"]);
    // The ports of the file may be in use on this machine; nothing else is changed.
    command.arg(config).env("AETHER_AWS_IOT_PORT", sandbox.port().to_string());
    let mut running = Program::start(command.env("AETHER_OPC_UA_URL", "opc.tcp://127.0.0.1:0"));
    let connected = running.wait_for_stage("device-connected", SOON);
    assert_eq!(connected["detail"], "aether-P3-00017");
    let warnings: Vec<_> = running.lines(Stream::Err).into_iter().filter(|l| l.contains("OPC UA is open")).collect();
    assert_eq!(warnings.len(), 1, "said in one line: {}", running.printed());
    running.interrupt();
    assert_eq!(running.wait_for_exit(SOON).code(), Some(0), "{}", running.printed());
}

#[test]
fn events_wait_while_the_broker_is_down_and_arrive_when_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::up(folder.path().join("sandbox"));
    let gateway = Gateway::new(folder.path().join("gateway"), &sandbox);
    let running = gateway.run();
    let published = |sandbox: &Sandbox| {
        let events = sandbox.decisions();
        events.iter().filter(|d| d["event"] == "publish" && d["certificate_kind"] == "device").count()
    };
    running.wait_until("a first event", SOON, || (published(&sandbox) > 0).then_some(()));
    let (port, directory) = (sandbox.port(), sandbox.directory().to_owned());
    drop(sandbox); // SIGKILL
    running.wait_for_line("the loss", SOON, |line| line.contains("connection lost"));
    running.wait_for_line("a failed attempt", SOON, |line| line.contains("could not connect"));

    let sandbox = Sandbox::up_at(directory, port);
    let before = published(&sandbox);
    // At four reads a second, what waited in the meantime comes at once.
    running.wait_until("events after the restart", SOON, || (published(&sandbox) > before + 4).then_some(()));
    let claims = sandbox.decisions().iter().filter(|d| d["event"] == "register-thing").count();
    assert_eq!(claims, 1, "the device comes back under its identity");
}

#[test]
fn a_start_without_a_broker_keeps_trying_and_sigterm_ends_it_at_any_time() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::up(folder.path().join("sandbox"));
    let gateway = Gateway::new(folder.path().join("gateway"), &sandbox).cloud_port(free_port());
    let mut running = gateway.run();
    running.wait_for_line("the plant side", SOON, |line| line.contains("opcua-listening"));
    running.wait_for_line("a failed attempt", SOON, |line| line.contains("retry_in"));
    running.terminate();
    assert_eq!(running.wait_for_exit(SOON).code(), Some(0), "{}", running.printed());
    assert!(running.printed().contains("not delivered"), "what is lost is said: {}", running.printed());
}

/// Runs `aether run` with this configuration, which must be refused with exit code 2 and each of `parts`.
#[track_caller]
fn refused(text: &str, parts: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("aether.toml");
    fs::write(&config, text).unwrap();
    let mut run = Program::start(aether(["run", "--config"]).arg(&config));
    assert_eq!(run.wait_for_exit(SOON).code(), Some(2), "{}", run.printed());
    let errors: Vec<_> = run.lines(Stream::Err).into_iter().filter(|line| line.starts_with("aether: ")).collect();
    assert_eq!(errors.len(), 1, "one error: {}", run.printed());
    for part in parts {
        assert!(errors[0].contains(part), "`{}` lacks `{part}`", errors[0]);
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing was written");
}

#[test]
fn a_setting_that_cannot_work_ends_the_start_with_exit_code_2_and_one_error() {
    let sigil = "[[sigil]]\nnode_id = 'ns=2;s=A'\ninitial_value = 1.0\n";
    let aws =
        "[aws_iot]\nendpoint = 'localhost'\ntemplate_name = 'Aether'\nclaim_cert = 'c.pem'\nclaim_key = 'c.key'\n";
    refused(aws, &["aws_iot.claim_cert", "c.pem", "No such file"]);
    refused("[[sigil]]\nnode_id = 'temperature'\ninitial_value = 1.0", &["sigil[0]", "`temperature`", "ns=2;s="]);
    refused(&format!("{sigil}{sigil}"), &["sigil[1].node_id", "ns=2;s=A"]);
    refused(&sigil.replace("ns=2", "ns=7"), &["node_id", "ns=7;s=A", "2"]);
    refused("port = 1", &["aether.toml:1", "port"]);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("opc.tcp://{}", taken.local_addr().unwrap());
    refused(&format!("opc_ua_url = '{url}'"), &["opc_ua_url", &url, "in use"]);
    let weave = "[[weave]]\nlabel = 'p'\ncycle_time = '2s'\nread = ['A']\n";
    refused(&format!("{sigil}{weave}{weave}"), &["weave", "`p`"]);
}

#[test]
fn an_unknown_log_level_is_told() {
    let mut demo = Program::start(aether(["demo", "--for", "1s"]).env("AETHER_LOG", "aether=loud"));
    assert_eq!(demo.wait_for_exit(SOON).code(), Some(2));
    assert!(demo.printed().contains("AETHER_LOG") && demo.printed().contains("`aether=loud`"), "{}", demo.printed());
}

#[test]
fn a_second_gateway_on_the_same_state_directory_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::up(folder.path().join("sandbox"));
    let first = Gateway::new(folder.path().join("gateway"), &sandbox).run();
    first.wait_for_line("its identity", SOON, |line| line.contains("device-connected"));
    let mut second = Gateway::new(folder.path().join("gateway"), &sandbox).run();
    assert_eq!(second.wait_for_exit(SOON).code(), Some(2), "{}", second.printed());
    assert!(second.printed().contains("state_dir") && second.printed().contains("in use"), "{}", second.printed());
    // The log trails the answers, and keeps their order: what the second might have asked for would stand before
    // what the first publishes after the second has ended.
    let published = || sandbox.decisions().iter().filter(|d| d["event"] == "publish").count();
    let before = published();
    first.wait_until("an event after that", SOON, || (published() > before).then_some(()));
    let created = sandbox.decisions().iter().filter(|d| d["event"] == "create-keys-and-certificate").count();
    assert_eq!(created, 1, "the second did not spend the claim");
}

#[test]
fn a_damaged_identity_is_named_with_its_file_and_the_claim_gets_another() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::up(folder.path().join("sandbox"));
    let gateway = Gateway::new(folder.path().join("gateway"), &sandbox);
    let mut first = gateway.run();
    first.wait_for_line("its identity", SOON, |line| line.contains("device-connected"));
    first.terminate();
    assert_eq!(first.wait_for_exit(SOON).code(), Some(0), "{}", first.printed());
    let active = folder.path().join("gateway/state/identity/active");
    let before = fs::read_to_string(&active).unwrap();
    fs::write(&active, "nonsense!\n").unwrap();
    let mut second = gateway.run();
    second.wait_for_line("another identity", SOON, |line| line.contains("certificate-issued"));
    second.wait_for_line("at work again", SOON, |line| line.contains("device-connected"));
    assert!(second.printed().contains("identity/active") && second.printed().contains("not a certificate id"));
    second.terminate();
    assert_eq!(second.wait_for_exit(SOON).code(), Some(0), "{}", second.printed());
    let after = fs::read_to_string(&active).unwrap();
    assert!(after != before && after.trim().len() == 64, "{after}");
}

#[test]
fn a_missing_configuration_file_and_a_wrong_command_line_are_exit_code_2() {
    let mut missing = Program::start(&mut aether(["run", "--config", "/nonexistent/aether.toml"]));
    assert_eq!(missing.wait_for_exit(SOON).code(), Some(2));
    assert!(missing.printed().contains("/nonexistent/aether.toml"), "{}", missing.printed());
    let mut wrong = Program::start(&mut aether(["demo", "--for", "soon"]));
    assert_eq!(wrong.wait_for_exit(SOON).code(), Some(2));
    assert!(wrong.printed().contains("`soon`"), "{}", wrong.printed());
}

#[test]
fn a_claim_key_of_another_certificate_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::up(folder.path().join("sandbox"));
    let mut claim = sandbox.claim();
    claim.key = sandbox.observer().key;
    let mut run = Gateway::new(folder.path().join("gateway"), &sandbox).claim(claim).run();
    assert_eq!(run.wait_for_exit(SOON).code(), Some(2), "{}", run.printed());
    for part in ["aws_iot.claim_cert", "aws_iot.claim_key", "claim.pem", "observer.key"] {
        assert!(run.printed().contains(part), "{}", run.printed());
    }
    assert!(!folder.path().join("gateway/state").exists(), "nothing was written");
}

#[test]
fn a_token_made_with_openssl_opens_the_door_and_an_expired_one_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let openssl = |arguments: &str| {
        let status = Command::new("openssl").args(arguments.split(' ')).current_dir(folder.path()).output().unwrap();
        assert!(status.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&status.stderr));
    };
    openssl("genpkey -algorithm ed25519 -out token.key");
    openssl("pkey -in token.key -pubout -out token.pub");
    let base64 = |bytes: &[u8]| {
        fs::write(folder.path().join("plain"), bytes).unwrap();
        openssl("base64 -A -in plain -out text");
        let text = fs::read_to_string(folder.path().join("text")).unwrap();
        text.trim_end_matches('=').replace('+', "-").replace('/', "_")
    };
    let token = |expiry: u64| {
        let head = base64(br#"{"alg":"EdDSA","typ":"JWT"}"#);
        let body = base64(format!(r#"{{"aud":"aether","exp":{expiry}}}"#).as_bytes());
        fs::write(folder.path().join("message"), format!("{head}.{body}")).unwrap();
        openssl("pkeyutl -sign -inkey token.key -rawin -in message -out signature");
        format!("{head}.{body}.{}", base64(&fs::read(folder.path().join("signature")).unwrap()))
    };
    let run = |token: &str| {
        let config = folder.path().join("aether.toml");
        fs::write(&config, format!("opc_ua_url = 'opc.tcp://127.0.0.1:0'\ntoken_key = 'token.pub'\ntoken = '{token}'"))
            .unwrap();
        Program::start(aether(["run", "--config"]).arg(config))
    };

    let good = run(&token(4_000_000_000));
    good.wait_for_line("the server", SOON, |line| line.contains("opcua-listening"));
    assert!(!good.printed().contains("token_key"), "no warning of an open runtime: {}", good.printed());

    let old = token(1_000_000_000);
    let mut expired = run(&old);
    assert_eq!(expired.wait_for_exit(SOON).code(), Some(2), "{}", expired.printed());
    assert!(expired.printed().contains("expired") && !expired.printed().contains(&old), "{}", expired.printed());
    assert!(!expired.printed().contains("opcua-listening"), "{}", expired.printed());

    let mut forged = run(&format!("{}AAAA", &old[..old.len() - 4]));
    assert_eq!(forged.wait_for_exit(SOON).code(), Some(2), "{}", forged.printed());
    assert!(forged.printed().contains("signature"), "{}", forged.printed());
}
