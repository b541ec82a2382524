//! Faults on purpose: every action at every step where it makes sense, seen from the client.

mod support;

use std::time::{Duration, Instant};

use aether_sandbox::{AuditEvent, KeyKind, Limits, Sandbox};
use rmqtt_codec::types::QoS;
use rmqtt_codec::v3::{Connect, Packet};
use serde_json::{Value, json};
use support::raw::{Raw, connect, publish, subscribe};
use support::{CREATE, PROVISION, claim, listen_for_answers, start, start_open};
use tokio::time::timeout;

/// After so long without a byte nothing more is coming.
const SILENCE: Duration = Duration::from_millis(300);

const STEPS: [&str; 8] = ["connect", "connack", "subscribe", "suback", "publish", "puback", "deliver", "pingresp"];

fn rule(step: &str, action: &Value) -> String {
    json!([{ "step": step, "times": 1, "action": action }]).to_string()
}

fn fired(sandbox: &Sandbox) -> Value {
    let report: Value = serde_json::from_str(&sandbox.faults()).expect("a report in JSON");
    report[0]["fired"].clone()
}

/// Connects, subscribes, publishes to itself and pings; gives what came back, and whether the broker
/// hung up.
async fn talk(sandbox: &Sandbox) -> (Vec<u8>, bool) {
    let mut raw = Raw::claim(sandbox).await;
    raw.send(connect("talker").into()).await;
    let mut heard = raw.hear(SILENCE, 4).await;
    for (packet, length) in [
        (subscribe(&[("t", QoS::AtLeastOnce)]), 5),
        (publish("t", QoS::AtLeastOnce, b"payload"), 4 + 14),
        (Packet::PingRequest, 2),
    ] {
        raw.send(packet).await;
        heard.extend(raw.hear(SILENCE, length).await);
    }
    let hung_up = raw.hung_up(SILENCE).await;
    (heard, hung_up)
}

async fn honest(sandbox: &Sandbox) -> Vec<u8> {
    let (heard, hung_up) = talk(sandbox).await;
    assert_eq!((heard.len(), hung_up), (29, false), "{heard:?}");
    heard
}

/// Runs one talk for each step with `action` there.
async fn check(
    sandbox: &Sandbox,
    steps: &[&str],
    action: Value,
    good: impl Fn(&str, &[u8], &[u8], bool, Duration) -> bool,
) {
    let honest = honest(sandbox).await;
    for step in steps {
        sandbox.set_faults(&rule(step, &action)).expect("a good script");
        let begun = Instant::now();
        let (heard, hung_up) = talk(sandbox).await;
        let took = begun.elapsed();
        assert_eq!(fired(sandbox), 1, "{step} {action}");
        assert!(good(step, &heard, &honest, hung_up, took), "{step} {action}: {heard:?} {hung_up} {took:?}");
        sandbox.set_faults("[]").expect("a good script");
        // The next one goes well.
        drop(Raw::connected(sandbox, "talker").await);
    }
}

#[tokio::test]
async fn what_is_dropped_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = start_open(dir.path(), Limits::unpaced()).await;
    let dropped = |step: &str, heard: &[u8], honest: &[u8], hung_up: bool, _| {
        let missing = honest.len() - heard.len();
        !hung_up
            && match step {
                "connect" => heard.is_empty(),
                "connack" | "puback" => missing == 4,
                "suback" => missing == 5,
                "subscribe" => missing >= 5,
                "publish" => missing == 18,
                "deliver" => missing == 14,
                _ => missing == 2,
            }
    };
    check(&sandbox, &STEPS, json!("drop"), dropped).await;
    sandbox.shutdown().await;
}

#[tokio::test]
async fn what_is_duplicated_comes_twice() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = start_open(dir.path(), Limits::unpaced()).await;
    let steps = ["connack", "suback", "publish", "puback", "deliver", "pingresp"];
    let twice = |step: &str, heard: &[u8], honest: &[u8], hung_up: bool, _| {
        let more = heard.len() - honest.len();
        !hung_up
            && match step {
                "connack" | "puback" => more == 4,
                "suback" => more == 5,
                "publish" => more == 18,
                "deliver" => more == 14,
                _ => more == 2,
            }
    };
    check(&sandbox, &steps, json!("duplicate"), twice).await;
    sandbox.shutdown().await;
}

#[tokio::test]
async fn what_is_corrupted_differs() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = start_open(dir.path(), Limits::unpaced()).await;
    let steps = ["connack", "suback", "publish", "puback", "deliver", "pingresp"];
    let differs = |how: &'static str| {
        move |_: &str, heard: &[u8], honest: &[u8], hung_up: bool, _| {
            !hung_up && heard != honest && (how == "truncate") == (heard.len() < honest.len())
        }
    };
    check(&sandbox, &steps, json!({ "corrupt": { "how": "flip" } }), differs("flip")).await;
    check(&sandbox, &steps, json!({ "corrupt": { "how": "truncate" } }), differs("truncate")).await;
    sandbox.shutdown().await;
}

#[tokio::test]
async fn a_disconnect_cuts_the_connection_without_a_word() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = start_open(dir.path(), Limits::unpaced()).await;
    let cut = |_: &str, heard: &[u8], honest: &[u8], hung_up: bool, _| hung_up && heard.len() <= honest.len();
    check(&sandbox, &STEPS, json!("disconnect"), cut).await;
    sandbox.shutdown().await;
}

#[tokio::test]
async fn what_is_delayed_comes_late_and_whole() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = start_open(dir.path(), Limits::unpaced()).await;
    let late = |_: &str, heard: &[u8], honest: &[u8], hung_up: bool, took: Duration| {
        !hung_up && heard.len() == honest.len() && took >= Duration::from_millis(120)
    };
    check(&sandbox, &STEPS, json!({ "delay": { "ms": 120 } }), late).await;
    sandbox.shutdown().await;
}

#[tokio::test]
async fn a_refusal_is_that_of_the_protocol() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = start_open(dir.path(), Limits::unpaced()).await;
    let refused = |step: &str, heard: &[u8], _: &[u8], hung_up: bool, _| match step {
        "connect" => hung_up && heard == [0x20, 2, 0, 5],
        "subscribe" => heard[4..9] == [0x90, 3, 0, 9, 0x80],
        _ => hung_up,
    };
    check(&sandbox, &["connect", "subscribe", "publish"], json!({ "refuse": { "code": 0x87 } }), refused).await;
    sandbox.shutdown().await;
}

#[tokio::test]
async fn the_clock_moves_and_the_step_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = start_open(dir.path(), Limits::unpaced()).await;
    let action = json!({ "advance_clock": { "seconds": 1 } });
    let same = |_: &str, heard: &[u8], honest: &[u8], hung_up: bool, _| !hung_up && heard == honest;
    check(&sandbox, &STEPS, action, same).await;
    sandbox.shutdown().await;
}

#[tokio::test]
async fn a_restart_cuts_everything_and_the_next_talk_goes_well() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = start_open(dir.path(), Limits::unpaced()).await;
    let lasting = || async {
        let mut raw = Raw::claim(&sandbox).await;
        raw.send(Connect { clean_session: false, ..connect("lasting") }.into()).await;
        let Some(Packet::ConnectAck(ack)) = raw.receive().await else { panic!("no CONNACK") };
        ack.session_present
    };
    assert!(!lasting().await);
    for step in STEPS {
        sandbox.set_faults(&rule(step, &json!({ "restart_broker": { "ms": 50 } }))).unwrap();
        let (_, hung_up) = talk(&sandbox).await;
        assert!(hung_up, "{step}");
        assert_eq!(fired(&sandbox), 1, "{step}");
        sandbox.set_faults("[]").unwrap();
        let back = async {
            while tokio::net::TcpStream::connect(sandbox.local_addr()).await.is_err() {
                tokio::task::yield_now().await;
            }
        };
        timeout(support::PATIENCE, back).await.expect("the port to open again");
        assert!(lasting().await, "{step}: the session was on disk");
    }
    sandbox.shutdown().await;
}

#[tokio::test]
async fn a_certificate_withdrawn_in_the_middle_is_cut_and_refused_from_then_on() {
    for action in ["expire_certificate", "revoke_certificate"] {
        for step in STEPS {
            let dir = tempfile::tempdir().unwrap();
            let sandbox = start_open(dir.path(), Limits::unpaced()).await;
            sandbox.set_faults(&rule(step, &json!(action))).unwrap();
            let (_, hung_up) = talk(&sandbox).await;
            assert!(hung_up, "{step} {action}");
            assert_eq!(fired(&sandbox), 1, "{step} {action}");
            let (heard, hung_up) = talk(&sandbox).await;
            assert!(heard.is_empty() && hung_up, "{step} {action}");
            sandbox.shutdown().await;
        }
    }
}

#[tokio::test]
async fn the_first_step_of_all_can_fail_too() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = start(dir.path()).await;
    let files = sandbox.files();
    let open = || {
        let version = &rustls::version::TLS13;
        Raw::open(sandbox.local_addr(), files.ca(), files.claim_cert(), files.claim_key(), version)
    };
    sandbox.set_faults(&rule("tls_accept", &json!("disconnect"))).unwrap();
    assert!(open().await.is_err());
    assert!(open().await.is_ok());
    sandbox.set_faults(&rule("tls_accept", &json!("drop"))).unwrap();
    assert!(timeout(SILENCE, open()).await.is_err());
    sandbox.set_faults(&rule("tls_accept", &json!({ "delay": { "ms": 100 } }))).unwrap();
    let begun = Instant::now();
    assert!(open().await.is_ok() && begun.elapsed() >= Duration::from_millis(100));
    sandbox.set_faults(&rule("tls_accept", &json!({ "advance_clock": { "seconds": 9 } }))).unwrap();
    assert!(open().await.is_ok());
    sandbox.set_faults(&rule("tls_accept", &json!({ "restart_broker": { "ms": 1 } }))).unwrap();
    // The connection that began the restart may still be served.
    let _ = open().await;
    assert_eq!(fired(&sandbox), 1);
    sandbox.shutdown().await;
}

/// Asks for a certificate and registers it; gives the payloads of all answers that came.
async fn provision(sandbox: &Sandbox) -> Vec<Value> {
    let mut client = claim(sandbox, "claim").await;
    listen_for_answers(&client).await;
    let mut answers = Vec::new();
    let read = |payload: &[u8]| serde_json::from_slice(payload).unwrap_or(Value::Null);
    if client.publish(CREATE, b"{}").await.is_err() {
        return answers;
    }
    while let Ok(Some(message)) = timeout(SILENCE, client.next()).await {
        answers.push(read(&message.payload));
    }
    let Some(token) = answers.first().map(|created| created["certificateOwnershipToken"].clone()) else {
        return answers;
    };
    let request = json!({ "certificateOwnershipToken": token, "parameters": { "SerialNumber": "1" } });
    if client.publish(PROVISION, request.to_string().as_bytes()).await.is_err() {
        return answers;
    }
    while let Ok(Some(message)) = timeout(SILENCE, client.next()).await {
        answers.push(read(&message.payload));
    }
    answers
}

#[tokio::test]
async fn provisioning_answers_go_wrong_in_every_way() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = start(dir.path()).await;
    for step in ["create_keys", "register_thing"] {
        let first = usize::from(step == "register_thing");
        for (action, expected) in [
            (json!("drop"), first),
            (json!("disconnect"), first),
            (json!("duplicate"), 3),
            (json!({ "delay": { "ms": 50 } }), 2),
            (json!({ "corrupt": { "how": "truncate" } }), 2),
            (json!({ "corrupt": { "how": "flip" } }), 2),
            (json!({ "refuse": { "code": 403 } }), 2),
            (json!({ "advance_clock": { "seconds": 1 } }), 2),
        ] {
            sandbox.set_faults(&rule(step, &action)).unwrap();
            let answers = provision(&sandbox).await;
            assert_eq!((answers.len(), fired(&sandbox)), (expected, json!(1)), "{step} {action}: {answers:?}");
            if action["refuse"].is_object() {
                assert_eq!(answers[first]["statusCode"], 403);
            }
            if action["corrupt"].is_object() {
                assert_eq!(answers[first], Value::Null, "no JSON any more");
            }
        }
    }
    for (step, action) in [("create_keys", "revoke_certificate"), ("register_thing", "expire_certificate")] {
        let dir = tempfile::tempdir().unwrap();
        let sandbox = start(dir.path()).await;
        sandbox.set_faults(&rule(step, &json!(action))).unwrap();
        provision(&sandbox).await;
        assert_eq!(fired(&sandbox), 1);
        let credentials = sandbox.files().claim_credentials().unwrap();
        let again = aether_sandbox::Observer::connect(sandbox.local_addr(), &credentials, "claim").await;
        assert!(again.is_err(), "{step} {action}");
        sandbox.shutdown().await;
    }
    sandbox.shutdown().await;
}

#[tokio::test]
async fn so_do_answers_to_signing_requests() {
    const CSR: &str = "$aws/certificates/create-from-csr/json";
    let dir = tempfile::tempdir().unwrap();
    let sandbox = start_open(dir.path(), Limits::unpaced()).await;
    for (action, expected) in [
        (json!("drop"), 0),
        (json!("disconnect"), 0),
        (json!("duplicate"), 2),
        (json!({ "delay": { "ms": 50 } }), 1),
        (json!({ "corrupt": { "how": "flip" } }), 1),
        (json!({ "refuse": { "code": 500 } }), 1),
    ] {
        sandbox.set_faults(&rule("create_csr", &action)).unwrap();
        let mut client = claim(&sandbox, "claim").await;
        client.subscribe(&format!("{CSR}/rejected")).await.unwrap();
        // Not a request that can be granted; what becomes of its answer is the point.
        client.publish(CSR, b"{}").await.unwrap();
        let mut answers = Vec::new();
        while let Ok(Some(message)) = timeout(SILENCE, client.next()).await {
            answers.push(serde_json::from_slice::<Value>(&message.payload).unwrap_or(Value::Null));
        }
        assert_eq!((answers.len(), fired(&sandbox)), (expected, json!(1)), "{action}: {answers:?}");
        if action["refuse"].is_object() {
            assert_eq!(answers[0]["statusCode"], 500);
        }
    }
    sandbox.shutdown().await;
}

#[tokio::test]
async fn an_answer_after_the_hour_comes_with_a_token_that_is_worthless() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = start(dir.path()).await;
    sandbox.set_faults(&rule("create_keys", &json!({ "advance_clock": { "seconds": 3601 } }))).unwrap();
    let answers = provision(&sandbox).await;
    assert!(answers[0]["certificateOwnershipToken"].is_string());
    assert_eq!(answers[1]["errorCode"], "InvalidCertificateOwnershipToken");
    sandbox.shutdown().await;
}

#[tokio::test]
async fn the_builder_takes_a_script_and_names_what_is_wrong_with_one() {
    let dir = tempfile::tempdir().unwrap();
    let builder = || {
        let address = "127.0.0.1:0".parse().unwrap();
        Sandbox::builder().dir(dir.path()).listen(address).device_keys(KeyKind::EcP256).limits(Limits::unpaced())
    };
    let error = builder().faults(r#"[{"step":"connect","action":"duplicate"}]"#).start().await.unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(error.is_usage() && cause.contains("rule 0"), "{cause}");
    let sandbox = builder().faults(rule("connack", &json!({ "delay": { "ms": 1 } }))).start().await.unwrap();
    drop(claim(&sandbox, "claim").await);
    assert_eq!(fired(&sandbox), 1);
    assert!(sandbox.set_faults("nonsense").is_err());
    assert_eq!(fired(&sandbox), 1, "the old script stays");
    sandbox.shutdown().await;
}

#[tokio::test]
async fn what_a_client_has_sent_behind_the_packet_it_was_cut_at_is_not_carried_out() {
    let dir = tempfile::tempdir().expect("a directory");
    let sandbox = start_open(dir.path(), Limits::unpaced()).await;
    let mut audit = sandbox.audit();
    let mut raw = Raw::connected(&sandbox, "pipelining").await;
    sandbox.set_faults(&rule("publish", &json!("revoke_certificate"))).expect("a good script");
    // Two QoS 0 PUBLISHes in one write: one TLS record.
    raw.send_bytes(b"\x30\x07\x00\x05first\x30\x08\x00\x06second").await;
    let mut topics = Vec::new();
    loop {
        let record = timeout(support::PATIENCE, audit.next()).await.expect("in time").expect("a running sandbox");
        if record.event == AuditEvent::Disconnect {
            break;
        }
        topics.extend(record.topic.filter(|_| record.event == AuditEvent::Publish));
    }
    assert_eq!(topics, ["first"]);
    sandbox.shutdown().await;
}
