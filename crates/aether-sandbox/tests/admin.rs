//! The sandbox's own API and its page, over the wire.

mod support;

use std::time::Duration;

use aether_sandbox::Observer;
use serde_json::{Value, json};
use support::http::{Answer, Plane};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(20);

fn token(plane: &Plane) -> String {
    let text = std::fs::read(plane.sandbox.files().control()).expect("the control file");
    let control: Value = serde_json::from_slice(&text).expect("JSON");
    assert_eq!(control["url"], plane.sandbox.control_url().expect("an HTTP port"));
    control["token"].as_str().expect("a token").to_owned()
}

fn request(plane: &Plane, method: &str, path: &str, headers: &str, body: &str) -> String {
    let (host, length) = (plane.host(), body.len());
    format!(
        "{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
    )
}

async fn ask(plane: &Plane, method: &str, path: &str, body: &str) -> Answer {
    let headers = format!("authorization: Bearer {}\r\n", token(plane));
    let path = format!("/_sandbox/v1{path}");
    plane.send(request(plane, method, &path, &headers, body).as_bytes()).await.expect("an answer")
}

/// An open stream of events, and what has come of it.
struct Events {
    socket: TcpStream,
    seen: String,
}

impl Events {
    async fn open(plane: &Plane, path: &str) -> Self {
        let headers = format!("authorization: Bearer {}\r\n", token(plane));
        let mut socket = TcpStream::connect(plane.host()).await.expect("a connection");
        let request = request(plane, "GET", &format!("/_sandbox/v1{path}"), &headers, "");
        socket.write_all(request.as_bytes()).await.expect("a request sent");
        let mut events = Self { socket, seen: String::new() };
        events.wait_for(": open").await;
        events
    }

    async fn wait_for(&mut self, part: &str) {
        let reading = async {
            while !self.seen.contains(part) {
                let mut buffer = [0; 4096];
                let count = self.socket.read(&mut buffer).await.expect("more of the stream");
                assert!(count > 0, "the stream ended without {part:?}: {}", self.seen);
                self.seen.push_str(&String::from_utf8_lossy(&buffer[..count]));
            }
        };
        if timeout(PATIENCE, reading).await.is_err() {
            panic!("no {part:?} in time: {}", self.seen);
        }
    }
}

#[tokio::test]
async fn nothing_is_told_without_the_token_and_nothing_to_other_origins() {
    let plane = Plane::start().await;
    let token = token(&plane);
    for headers in [
        String::new(),
        "authorization: Bearer 0000\r\n".to_owned(),
        format!("authorization: Basic {token}\r\n"),
        format!("cookie: token={token}\r\n"),
        "authorization: AWS4-HMAC-SHA256 Credential=x\r\n".to_owned(),
    ] {
        for path in ["/_sandbox/v1/status", "/_sandbox/v1/messages?filter=%23", "/_sandbox/v1/nothing"] {
            let answer = plane.send(request(&plane, "GET", path, &headers, "").as_bytes()).await.unwrap();
            assert_eq!(answer.status, 401, "{headers}{path}");
        }
    }
    let foreign = format!("authorization: Bearer {token}\r\norigin: http://localhost:1\r\n");
    let answer = plane.send(request(&plane, "GET", "/_sandbox/v1/status", &foreign, "").as_bytes()).await.unwrap();
    assert_eq!(answer.status, 403);
    assert_eq!(ask(&plane, "GET", "/status", "").await.ok()["counts"]["things"], 0);
}

#[tokio::test]
async fn the_page_needs_no_token_and_lets_nothing_of_others_in() {
    let plane = Plane::start().await;
    for (path, kind) in [("/", "text/html"), ("/_sandbox/page/page.js", "text/javascript")] {
        let answer = plane.send(request(&plane, "GET", path, "", "").as_bytes()).await.unwrap();
        assert_eq!(answer.status, 200, "{path}");
        assert!(answer.text.contains(kind) && answer.text.contains("content-security-policy: default-src 'self'"));
        assert!(!answer.text.contains(&token(&plane)));
    }
}

#[tokio::test]
async fn denials_are_asked_for_alone_and_the_first_registration_code_is_a_change() {
    let plane = Plane::start().await;
    let token = token(&plane);
    for _ in 0..2 {
        plane.get("/registrationcode").await.ok();
    }
    plane.delete("/policies/nothing").await.refused(404, "ResourceNotFoundException");
    for number in 0..60 {
        plane.post(&format!("/things/t{number}"), json!({})).await.ok();
    }
    let operations = |answer: Answer| -> Vec<String> {
        let decisions = answer.ok()["decisions"].as_array().unwrap().clone();
        decisions.iter().map(|one| one["operation"].as_str().unwrap().to_owned()).collect()
    };
    let mut events = Events::open(&plane, "/decisions/stream?last=50&decision=denied").await;
    events.wait_for("DeletePolicy").await;
    assert!(!events.seen.contains("CreateThing"), "{}", events.seen);
    // The log trails what it tells of.
    let all = timeout(PATIENCE, async {
        loop {
            let all = operations(ask(&plane, "GET", "/decisions?last=1000", "").await);
            if all.len() == 62 {
                return all;
            }
        }
    });
    let all = all.await.expect("62 decisions: one code made, one policy not there, 60 Things");
    assert_eq!(all[..2], ["GetRegistrationCode", "DeletePolicy"], "a code that is there is told, not made");
    let denied = operations(ask(&plane, "GET", "/decisions?last=50&decision=denied", "").await);
    assert_eq!(denied, ["DeletePolicy"]);
    let allowed = operations(ask(&plane, "GET", "/decisions?last=50&decision=allowed", "").await);
    assert_eq!(allowed, vec!["CreateThing"; 50]);
    let headers = format!("authorization: Bearer {token}\r\n");
    let wrong = request(&plane, "GET", "/_sandbox/v1/decisions?decision=maybe", &headers, "");
    assert_eq!(plane.send(wrong.as_bytes()).await.unwrap().status, 400);
}

#[tokio::test]
async fn the_control_file_goes_when_the_sandbox_stops() {
    let Plane { sandbox, dir } = Plane::start().await;
    let path = sandbox.files().control().to_owned();
    assert!(path.exists());
    sandbox.shutdown().await;
    assert!(!path.exists());
    drop(dir);
}

#[tokio::test]
async fn a_deactivated_certificate_is_cut_and_the_stream_tells_why_it_stays_out() {
    let plane = Plane::start().await;
    let credentials = plane.sandbox.files().observer_credentials().unwrap();
    let mut observer = Observer::connect(plane.sandbox.local_addr(), &credentials, "watcher").await.unwrap();
    let listed = ask(&plane, "GET", "/certificates?find=observer", "").await.ok();
    assert_eq!((&listed["total"], &listed["certificates"][0]["status"]), (&json!(1), &json!("ACTIVE")));
    let id = listed["certificates"][0]["id"].as_str().unwrap().to_owned();
    let sessions = ask(&plane, "GET", "/sessions", "").await.ok();
    assert_eq!(sessions["sessions"][0]["client_id"], "watcher");
    assert_eq!(sessions["sessions"][0]["certificate"], id.as_str());

    let mut decisions = Events::open(&plane, "/decisions/stream?last=10").await;
    decisions.wait_for("\"event\":\"connect\"").await;
    let path = format!("/certificates/{id}/status");
    ask(&plane, "POST", &path, r#"{"status":"INACTIVE"}"#).await.ok();
    assert!(timeout(PATIENCE, observer.next()).await.unwrap().is_none());
    decisions.wait_for("\"event\":\"disconnect\"").await;
    // Under other client ids, which may connect once a second each.
    assert!(Observer::connect(plane.sandbox.local_addr(), &credentials, "watcher-2").await.is_err());
    decisions.wait_for("INACTIVE").await;
    ask(&plane, "POST", &path, r#"{"status":"ACTIVE"}"#).await.ok();
    assert!(Observer::connect(plane.sandbox.local_addr(), &credentials, "watcher-3").await.is_ok());
}

#[tokio::test]
async fn what_is_published_arrives_at_subscribers_and_at_the_stream() {
    let plane = Plane::start().await;
    let credentials = plane.sandbox.files().observer_credentials().unwrap();
    let mut observer = Observer::connect(plane.sandbox.local_addr(), &credentials, "watcher").await.unwrap();
    observer.subscribe("press/#").await.unwrap();
    let mut events = Events::open(&plane, "/messages?filter=press%2F%2B").await;
    let message = json!({ "topic": "press/3", "payload": "25.0", "qos": 1 }).to_string();
    ask(&plane, "POST", "/publish", &message).await.ok();
    events.wait_for(r#""payload":"25.0""#).await;
    let message = json!({ "topic": "press/4", "payload_base64": "//4=" }).to_string();
    ask(&plane, "POST", "/publish", &message).await.ok();
    events.wait_for(r#""payload_base64":"//4=""#).await;
    let first = timeout(PATIENCE, observer.next()).await.unwrap().unwrap();
    assert_eq!((first.topic.as_str(), &first.payload[..]), ("press/3", &b"25.0"[..]));
    plane.sandbox.shutdown().await;
    let mut rest = String::new();
    timeout(PATIENCE, events.socket.read_to_string(&mut rest))
        .await
        .expect("the stream ends with the sandbox")
        .unwrap();
}

#[tokio::test]
async fn the_clock_moves_on_and_a_reset_needs_a_yes() {
    let plane = Plane::start().await;
    plane.post("/keys-and-certificate?setAsActive=true", json!({})).await.ok();
    plane.post("/things/press-3", json!({})).await.ok();
    let moved = ask(&plane, "POST", "/clock", r#"{"advance_s":3600}"#).await.ok();
    assert_eq!(moved["clock_ahead_s"], 3600);
    let message = json!({ "topic": "a", "payload": "x", "retain": true }).to_string();
    ask(&plane, "POST", "/publish", &message).await.ok();
    let counts = ask(&plane, "GET", "/status", "").await.ok()["counts"].clone();
    assert_eq!(
        (&counts["things"], &counts["certificates"], &counts["retained_messages"]),
        (&json!(1), &json!(3), &json!(1))
    );
    assert_eq!(ask(&plane, "POST", "/reset", r#"{"confirm":false}"#).await.status, 400);
    ask(&plane, "POST", "/reset", r#"{"confirm":true}"#).await.ok();
    let counts = ask(&plane, "GET", "/status", "").await.ok()["counts"].clone();
    assert_eq!(
        (&counts["things"], &counts["certificates"], &counts["retained_messages"]),
        (&json!(0), &json!(2), &json!(0))
    );
    let policies = ask(&plane, "GET", "/policies", "").await.ok();
    assert_eq!(policies["total"], 3);
}

#[tokio::test]
async fn a_wrong_request_is_told_what_was_expected() {
    let plane = Plane::start().await;
    for (method, path, body, status, part) in [
        ("GET", "/things?limt=3", "", 400, "limt"),
        ("GET", "/nothing", "", 404, "no such operation"),
        ("POST", "/status", "", 405, "method"),
        ("GET", "/messages?filter=a%2F%23%2Fb", "", 400, "topic filter"),
        ("POST", "/publish", r##"{"topic":"a/#","payload":""}"##, 400, "wildcard"),
        ("POST", "/publish", r#"{"topic":"a","payload":"","qos":2}"#, 400, "0 or 1"),
        ("POST", "/clock", r#"{"advance_s":0}"#, 400, "expected 1"),
        ("POST", "/certificates/x/status", r#"{"status":"ACTIVE"}"#, 400, "64"),
        ("POST", "/explain", r#"{"client_id":"a","action":"iot:Fly","resource":"a"}"#, 400, "iot:Publish"),
        ("POST", "/clock", "{", 400, "body"),
    ] {
        let answer = ask(&plane, method, path, body).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.text);
        assert!(answer.body["error"].as_str().unwrap().contains(part), "{path}: {}", answer.text);
    }
    let unknown = format!("/certificates/{}/status", "0".repeat(64));
    assert_eq!(ask(&plane, "POST", &unknown, r#"{"status":"ACTIVE"}"#).await.status, 404);
}

#[tokio::test]
async fn a_fault_script_is_set_counted_and_cleared() {
    let plane = Plane::start().await;
    assert_eq!(ask(&plane, "GET", "/faults", "").await.ok()["rules"], json!([]));
    let script = r#"[{"step":"connect","times":1,"action":"disconnect"}]"#;
    ask(&plane, "PUT", "/faults", script).await.ok();
    let credentials = plane.sandbox.files().observer_credentials().unwrap();
    assert!(Observer::connect(plane.sandbox.local_addr(), &credentials, "one").await.is_err());
    assert!(Observer::connect(plane.sandbox.local_addr(), &credentials, "two").await.is_ok());
    let rules = ask(&plane, "GET", "/faults", "").await.ok()["rules"].clone();
    assert_eq!((&rules[0]["matched"], &rules[0]["fired"]), (&json!(2), &json!(1)));
    let wrong = ask(&plane, "PUT", "/faults", r#"[{"step":"sleep","action":"drop"}]"#).await;
    assert_eq!(wrong.status, 400, "{}", wrong.text);
    ask(&plane, "PUT", "/faults", "[]").await.ok();
    assert_eq!(ask(&plane, "GET", "/faults", "").await.ok()["rules"], json!([]));
}

#[tokio::test]
async fn a_denial_is_explained() {
    let plane = Plane::start().await;
    let listed = ask(&plane, "GET", "/certificates?find=claim", "").await.ok();
    let certificate = &listed["certificates"][0]["id"];
    let question =
        json!({ "client_id": "a", "action": "iot:Publish", "resource": "press-3", "certificate": certificate });
    let explained = ask(&plane, "POST", "/explain", &question.to_string()).await.ok();
    assert_eq!(explained["decision"], "IMPLICIT_DENY");
    assert!(explained["text"].as_str().unwrap().contains("no statement allows it"));
    assert_eq!(explained["statements"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn the_end_of_time_is_a_date_like_any_other() {
    let plane = Plane::start().await;
    plane.sandbox.advance(Duration::MAX);
    let status = ask(&plane, "GET", "/status", "").await.ok();
    assert_eq!(status["now"], "9999-12-31T23:59:59.000Z");
    let moved = ask(&plane, "POST", "/clock", &json!({ "advance_s": 86_400 }).to_string()).await.ok();
    assert_eq!(moved["now"], status["now"]);
    ask(&plane, "GET", "/certificates", "").await.ok();
    plane.post("/keys-and-certificate", json!({})).await.ok();
    plane.get("/certificates").await.ok();
    plane.sandbox.shutdown().await;
}
