//! No secret leaves its place: not into the log, the decision log, `Debug`, or a file others may read.

#![allow(clippy::unwrap_used, reason = "a helper fails its test by panicking")]

mod support;

use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use aether_sandbox::{Credentials, KeyKind, Limits, Observer, Sandbox};
use serde_json::{Value, json};
use support::http::{Plane, text};
use support::{CREATE, PROVISION, ask, credentials, listen_for_answers, next};
use tracing_subscriber::filter::LevelFilter;

/// Everything the sandbox and what it is made of have logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What must not be told, each with its name.
#[derive(Default)]
struct Secrets(Vec<(String, String)>);

impl Secrets {
    fn token(&mut self, name: &str, token: &str) {
        assert!(token.len() > 20, "{name} is a secret");
        self.0.push((name.to_owned(), token.to_owned()));
    }

    /// The lines of a private key that hold nothing of the public one: of an EC key the first two, of an
    /// RSA key the second half.
    fn key(&mut self, name: &str, pem: &str) {
        let lines: Vec<_> = pem.lines().filter(|line| line.len() > 20 && !line.starts_with("-----")).collect();
        assert!(pem.contains("PRIVATE KEY") && lines.len() > 2, "{name} is a private key");
        let lines = if lines.len() < 5 { &lines[..2] } else { &lines[lines.len() / 2..] };
        for line in lines {
            self.token(name, line);
        }
    }

    #[track_caller]
    fn check_absent(&self, place: &str, text: &str) {
        for (name, secret) in &self.0 {
            assert!(!text.contains(secret), "{name} stands in {place}");
        }
    }
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files_below(&path)),
            false => found.push(path),
        }
    }
    found
}

/// A claim exchange over MQTT, with its mistakes; the device's client.
async fn provision(sandbox: &Sandbox, claim: &Credentials, serial: &str, secrets: &mut Secrets) -> Observer {
    let mut client = Observer::connect(sandbox.local_addr(), claim, serial).await.unwrap();
    listen_for_answers(&client).await;
    let created = ask(&mut client, CREATE, b"{}").await.unwrap();
    let token = text(&created, "certificateOwnershipToken");
    secrets.token("an ownership token", &token);
    secrets.key("a device key", created["privateKey"].as_str().unwrap());
    for wrong in [
        json!({ "certificateOwnershipToken": token, "parameters": "none" }),
        json!({ "certificateOwnershipToken": [token] }),
        json!({ "certificateOwnershipToken": { "token": token } }),
        json!({ "certificateOwnershipToken": token, "parameters": { "SerialNumber": "not a name" } }),
        json!(token),
        json!([token]),
        json!({ "certificateOwnershipToken": format!("{token}A") }),
    ] {
        ask(&mut client, PROVISION, wrong.to_string().as_bytes()).await.unwrap_err();
    }
    let right = json!({ "certificateOwnershipToken": token, "parameters": { "SerialNumber": serial } });
    let registered = ask(&mut client, PROVISION, right.to_string().as_bytes()).await.unwrap();
    let device = credentials(sandbox, &created);
    secrets.check_absent("the credentials' Debug form", &format!("{device:?}"));
    Observer::connect(sandbox.local_addr(), &device, registered["thingName"].as_str().unwrap()).await.unwrap()
}

/// A hook that keeps what it was told and allows everything.
fn hook(dir: &Path) -> PathBuf {
    let path = dir.join("hook");
    let told = dir.join("told");
    let text = format!("#!/bin/sh\ncat >> '{}'\nprintf '{{\"allowProvisioning\": true}}'\n", told.display());
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
    path
}

#[tokio::test]
async fn keys_and_tokens_stay_out_of_every_log_and_every_file_others_may_read() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_max_level(LevelFilter::TRACE).with_ansi(false);
    let subscriber = subscriber.with_writer(move || writer.clone()).finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();

    let dir = tempfile::tempdir().unwrap();
    let hook = hook(dir.path());
    let builder = Sandbox::builder().dir(dir.path().join("sandbox")).device_keys(KeyKind::EcP256);
    let builder = builder.listen("127.0.0.1:0".parse().unwrap()).control("127.0.0.1:0".parse().unwrap());
    let builder = builder.limits(Limits::unpaced()).template_hook(format!("exec:{}", hook.display()).parse().unwrap());
    let plane = Plane { sandbox: builder.start().await.unwrap(), dir };
    let sandbox = &plane.sandbox;
    let mut secrets = Secrets::default();
    let control: Value = serde_json::from_slice(&std::fs::read(sandbox.files().control()).unwrap()).unwrap();
    secrets.token("the admin token", control["token"].as_str().unwrap());
    for path in files_below(sandbox.files().dir()) {
        let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
        if text.contains("PRIVATE KEY") {
            secrets.key(&path.file_name().unwrap().to_string_lossy(), &text);
        }
    }

    // Whoever watches everything hears no key either.
    let mut watcher = support::observer(sandbox, "#").await;
    let claim = sandbox.files().claim_credentials().unwrap();
    let device = provision(sandbox, &claim, "P3-00017", &mut secrets).await;
    device.publish("aether-P3-00017", b"25.0").await.unwrap();
    assert_eq!(next(&mut watcher).await.topic, "aether-P3-00017");

    let made = plane.post("/keys-and-certificate?setAsActive=true", json!({})).await.ok();
    let pair = made["keyPair"]["PrivateKey"].as_str().unwrap();
    secrets.key("a key of CreateKeysAndCertificate", pair);
    let trusted = plane.post("/provisioning-templates/Aether/provisioning-claim", json!({})).await.ok();
    let trusted_key = trusted["keyPair"]["PrivateKey"].as_str().unwrap();
    secrets.key("a key of CreateProvisioningClaim", trusted_key);
    let ca = std::fs::read(sandbox.files().ca()).unwrap();
    let trusted = Credentials::from_pem(&ca, text(&trusted, "certificatePem").as_bytes(), trusted_key.as_bytes());
    provision(sandbox, &trusted.unwrap(), "P3-00018", &mut secrets).await;

    // A key where a certificate or a request is expected.
    for (target, member) in [
        ("/cacertificate", "caCertificate"),
        ("/certificate/register", "certificatePem"),
        ("/certificate/register-no-ca", "certificatePem"),
        ("/certificates", "certificateSigningRequest"),
    ] {
        let answer = plane.post(target, json!({ member: pair, "verificationCertificate": pair })).await;
        assert_eq!(answer.status, 400, "{}", answer.text);
        secrets.check_absent("an answer that refuses", &answer.text);
        for wrong in [json!(pair), json!({ member: [pair], "tags": pair, "status": [pair] })] {
            let answer = plane.post(target, wrong).await;
            assert_eq!(answer.status, 400, "{}", answer.text);
            secrets.check_absent("an answer that refuses", &answer.text);
        }
    }
    secrets.check_absent("the sandbox's Debug form", &format!("{sandbox:?}"));

    let files = files_below(sandbox.files().dir());
    for path in files {
        let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
        if std::fs::metadata(&path).unwrap().permissions().mode() & 0o077 != 0 {
            secrets.check_absent(&path.display().to_string(), &text);
        }
        let own_place = path.parent().is_some_and(|folder| folder.ends_with("private"))
            || path.extension().is_some_and(|extension| extension == "key");
        assert!(own_place || !text.contains("PRIVATE KEY"), "a private key stands in {}", path.display());
    }
    let told = std::fs::read_to_string(plane.dir.path().join("told")).unwrap();
    assert!(told.contains("P3-00017") && told.contains("P3-00018"), "the hook was asked: {told}");
    secrets.check_absent("what the hook is told", &told);
    let decisions = sandbox.files().audit_log().to_owned();
    plane.sandbox.shutdown().await;
    let decisions = std::fs::read_to_string(decisions).unwrap();
    assert!(decisions.contains("CreateProvisioningClaim") && decisions.contains("P3-00018"), "{decisions}");
    secrets.check_absent("the decision log", &decisions);
    let log = String::from_utf8_lossy(&log.0.lock().unwrap()).into_owned();
    assert!(log.lines().count() > 20, "everything was logged: {}", log.len());
    secrets.check_absent("the log", &log);
}
