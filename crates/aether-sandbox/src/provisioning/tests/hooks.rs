//! Pre-provisioning hooks: programs, URLs, allow-lists, and those that misbehave.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::{LINE, Service, refused, registration, said};

/// Longer than any test should take.
const AMPLE: Duration = Duration::from_secs(20);
const ALLOW: &str = r#"{"allowProvisioning":true}"#;

/// An executable with these commands. Another process writes it: a file that this one had open for
/// writing could not be run while some other test forks.
fn program(dir: &Path, commands: &str) -> String {
    let path = dir.join("hook");
    let mut writer = Command::new("sh")
        .args(["-c", "cat > \"$1\" && chmod 700 \"$1\"", "sh"])
        .arg(&path)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    writer.stdin.take().unwrap().write_all(format!("#!/bin/sh\n{commands}\n").as_bytes()).unwrap();
    assert!(writer.wait().unwrap().success());
    format!("exec:{}", path.display())
}

/// The outcome of a registration with this program as hook.
async fn with_program(commands: &str, limit: Duration) -> Result<Value, Value> {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::with_hook(&program(dir.path(), commands), limit);
    service.provision(LINE, "17").await
}

#[tokio::test]
async fn a_program_is_told_aws_event_and_may_override_parameters() {
    let dir = tempfile::tempdir().unwrap();
    let event = dir.path().join("event");
    let commands = format!(
        "cat > {}; echo '{{\"allowProvisioning\":true,\"parameterOverrides\":{{\"Site\":\"hall-a\"}}}}'",
        event.display()
    );
    let service = Service::with_hook(&program(dir.path(), &commands), AMPLE);
    let created = service.create().await;
    let request = registration(&created, &json!({ "SerialNumber": "17", "Undeclared": "x" }));
    service.ask(LINE, &request).await.unwrap();
    let event: Value = serde_json::from_slice(&std::fs::read(event).unwrap()).unwrap();
    assert_eq!(
        event,
        json!({
            "claimCertificateId": service.caller.certificate.as_str(),
            "certificateId": created["certificateId"],
            "certificatePem": created["certificatePem"],
            "templateArn": "arn:aws:iot:eu-west-1:123456789012:provisioningtemplate/line",
            "clientId": "claim-P3",
            "parameters": { "SerialNumber": "17", "Undeclared": "x" },
        })
    );
    let tables = service.account.read();
    assert_eq!(tables.things.values().next().unwrap().attributes["site"], "hall-a");
}

#[tokio::test]
async fn everything_but_a_clear_yes_is_access_denied() {
    for commands in [
        "echo '{\"allowProvisioning\":false}'",
        "echo '{\"allowProvisioning\":\"true\"}'",
        "echo '{}'",
        "echo yes",
        "true",
        "echo '{\"allowProvisioning\":true}'; echo broken >&2; exit 3",
        "echo '{\"allowProvisioning\":true,\"parameterOverrides\":{\"Site\":7}}'",
        "kill -9 $$",
    ] {
        assert_eq!(refused(with_program(commands, AMPLE).await), said(403, "AccessDenied"), "{commands}");
    }
    let service = Service::with_hook("exec:/nowhere/hook", AMPLE);
    assert_eq!(refused(service.provision(LINE, "17").await), said(403, "AccessDenied"));
    assert_eq!(service.account.read().things.size(), 0);
}

#[tokio::test]
async fn a_program_may_ignore_its_input_and_complain_at_length() {
    let talkative = format!("yes complaint | head -c 300000 >&2; echo '{ALLOW}'");
    with_program(&talkative, AMPLE).await.unwrap();
}

#[tokio::test]
async fn a_program_that_hangs_or_never_stops_talking_is_killed() {
    let began = Instant::now();
    let outcome = with_program("exec sleep 600", Duration::from_millis(300)).await;
    assert_eq!(refused(outcome), said(403, "AccessDenied"));
    // A time limit it would never reach: what ends it is how much it says.
    let dir = tempfile::tempdir().unwrap();
    let pid = dir.path().join("pid");
    let commands = format!("echo $$ > {}; exec yes", pid.display());
    let service = Service::with_hook(&program(dir.path(), &commands), Duration::from_secs(600));
    assert_eq!(refused(service.provision(LINE, "17").await), said(403, "AccessDenied"));
    assert!(began.elapsed() < AMPLE);
    let process = Path::new("/proc").join(std::fs::read_to_string(pid).unwrap().trim());
    while std::fs::read_to_string(process.join("stat")).is_ok_and(|stat| !stat.contains(") Z ")) {
        assert!(began.elapsed() < AMPLE, "the program still runs");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_a_program_has_started_is_killed_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let pid = dir.path().join("pid");
    // A shell that waits for a child of its own, as a hook written in it does with each of its commands.
    let commands = format!("sleep 600 & echo $! > {}; wait", pid.display());
    let began = Instant::now();
    let service = Service::with_hook(&program(dir.path(), &commands), Duration::from_secs(2));
    assert_eq!(refused(service.provision(LINE, "17").await), said(403, "AccessDenied"));
    let process = Path::new("/proc").join(std::fs::read_to_string(pid).unwrap().trim());
    while std::fs::read_to_string(process.join("stat")).is_ok_and(|stat| !stat.contains(") Z ")) {
        assert!(began.elapsed() < AMPLE, "what the program started still runs");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_slow_hook_holds_up_nobody_else() {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::with_hook(&program(dir.path(), "exec sleep 600"), Duration::from_secs(600));
    service.template("free", &super::line());
    let created = service.create().await;
    let others = async {
        let free = "$aws/provisioning-templates/free/provision/json";
        service.provision(free, "1").await.unwrap();
    };
    tokio::select! {
        outcome = service.register(LINE, &created, "17") => panic!("{outcome:?}"),
        () = others => {}
    }
}

#[tokio::test]
async fn nobody_without_a_token_gets_a_hook_to_run() {
    let dir = tempfile::tempdir().unwrap();
    let ran = dir.path().join("ran");
    let commands = format!("touch {}; echo '{ALLOW}'", ran.display());
    let service = Service::with_hook(&program(dir.path(), &commands), AMPLE);
    let forged = service.ask(LINE, &json!({ "certificateOwnershipToken": "forged" })).await;
    assert_eq!(refused(forged), said(400, "InvalidCertificateOwnershipToken"));
    assert!(!ran.exists());
    service.provision(LINE, "17").await.unwrap();
    assert!(ran.exists());
}

#[tokio::test]
async fn a_target_nobody_set_up_refuses_every_device_and_is_never_run_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::with_hook(&program(dir.path(), &format!("echo '{ALLOW}'")), AMPLE);
    let target = format!("exec:{}", dir.path().join("hook").display());
    service.edit_line(|row| row.hook.as_mut().unwrap().target = target);
    assert_eq!(refused(service.provision(LINE, "17").await), said(403, "AccessDenied"));
}

#[tokio::test]
async fn a_refused_device_may_come_again_with_the_same_token() {
    let dir = tempfile::tempdir().unwrap();
    let list = dir.path().join("serials.json");
    std::fs::write(&list, r#"{"parameter":"SerialNumber","values":["16"]}"#).unwrap();
    let service = Service::with_hook(&format!("allow-list:{}", list.display()), AMPLE);
    let created = service.create().await;
    assert_eq!(refused(service.register(LINE, &created, "17").await), said(403, "AccessDenied"));
    // The list is read as it is now.
    std::fs::write(&list, r#"{"parameter":"SerialNumber","values":["16","17"]}"#).unwrap();
    service.register(LINE, &created, "17").await.unwrap();
}

#[tokio::test]
async fn an_allow_list_that_is_missing_or_wrong_allows_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let list = dir.path().join("serials.json");
    let service = Service::with_hook(&format!("allow-list:{}", list.display()), AMPLE);
    assert_eq!(refused(service.provision(LINE, "17").await), said(403, "AccessDenied"));
    for wrong in
        ["", "[\"17\"]", r#"{"parameter":"SerialNumber","values":[17]}"#, r#"{"parameter":"Other","values":["17"]}"#]
    {
        std::fs::write(&list, wrong).unwrap();
        assert_eq!(refused(service.provision(LINE, "17").await), said(403, "AccessDenied"), "{wrong}");
    }
}

/// A server that answers each request with these bytes and, if asked to, keeps the connection open.
async fn server(answer: Vec<u8>, linger: bool) -> (String, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook?line=7", listener.local_addr().unwrap());
    let (heard, requests) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = Vec::new();
            // The event ends the request, with two closing braces.
            while !request.ends_with(b"}}") {
                let mut part = [0; 4096];
                match stream.read(&mut part).await {
                    Ok(0) | Err(_) => break,
                    Ok(length) => request.extend_from_slice(&part[..length]),
                }
            }
            // Nobody may be listening, and the client may hang up before it has read everything.
            let _ = heard.send(String::from_utf8(request).unwrap());
            let _ = stream.write_all(&answer).await;
            if linger {
                tokio::spawn(async move { stream.read(&mut [0; 1]).await });
            }
        }
    });
    (url, requests)
}

fn http(status: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

#[tokio::test]
async fn a_url_gets_the_event_as_a_post_and_its_answer_counts() {
    let (url, mut requests) = server(http("200 OK", ALLOW), true).await;
    let service = Service::with_hook(&url, AMPLE);
    service.provision(LINE, "17").await.unwrap();
    let request = requests.recv().await.unwrap();
    assert!(request.starts_with("POST /hook?line=7 HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("content-type: application/json\r\n"), "{request}");
    assert!(request.contains("host: 127.0.0.1:"), "{request}");
    assert!(request.contains(r#""parameters":{"SerialNumber":"17"}"#), "{request}");
}

#[tokio::test]
async fn a_url_that_fails_hangs_or_says_too_much_refuses() {
    let long = format!("{{\"allowProvisioning\":true,\"x\":\"{}\"}}", "x".repeat(70_000));
    for answer in [
        http("200 OK", "{\"allowProvisioning\":false}"),
        http("500 Internal Server Error", ALLOW),
        http("302 Found", ALLOW),
        http("200 OK", &long),
        b"nonsense\r\n\r\n".to_vec(),
        Vec::new(),
    ] {
        let (url, _requests) = server(answer, false).await;
        let service = Service::with_hook(&url, AMPLE);
        assert_eq!(refused(service.provision(LINE, "17").await), said(403, "AccessDenied"));
    }
    let (url, _requests) = server(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{".to_vec(), true).await;
    let service = Service::with_hook(&url, Duration::from_millis(300));
    assert_eq!(refused(service.provision(LINE, "17").await), said(403, "AccessDenied"));
    let nobody = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        format!("http://{}/", listener.local_addr().unwrap())
    };
    let service = Service::with_hook(&nobody, AMPLE);
    assert_eq!(refused(service.provision(LINE, "17").await), said(403, "AccessDenied"));
}
