//! Starting, stopping, restarting, and what is refused before anything is written.

mod support;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use aether_sandbox::{KeyKind, Sandbox, StartError};
use serde_json::Value;
use support::provision;

/// Every file below `dir` with its content, the decision log left out.
fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_none_or(|extension| extension != "jsonl") {
            found.insert(path.clone(), std::fs::read(&path).expect("a file"));
        }
    }
    found
}

#[tokio::test]
async fn a_restart_knows_its_things_and_changes_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = support::start(dir.path()).await;
    let device = provision(&sandbox, "1").await;
    let (things, certificates) = (sandbox.things(), sandbox.certificates());
    sandbox.shutdown().await;
    let before = files(dir.path());

    let sandbox = support::start(dir.path()).await;
    assert_eq!(files(dir.path()), before);
    // The times of the registry are whole seconds on disk.
    let names = |sandbox: &Sandbox| sandbox.things().into_iter().map(|thing| thing.name).collect::<Vec<_>>();
    assert_eq!(names(&sandbox), things.into_iter().map(|thing| thing.name).collect::<Vec<_>>());
    assert_eq!(sandbox.certificates().len(), certificates.len());
    support::device(&sandbox, &device).await.publish("aether-1", b"again").await.unwrap();
    sandbox.shutdown().await;
}

#[tokio::test]
async fn private_files_are_for_their_owner_alone() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let sandbox = support::start(&state).await;
    provision(&sandbox, "1").await;
    sandbox.shutdown().await;
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&state), 0o700);
    let mut keys = 0;
    for path in files(&state).into_keys() {
        assert_eq!(mode(path.parent().unwrap()), 0o700, "{}", path.display());
        if path.extension().is_some_and(|extension| extension == "key") {
            assert_eq!(mode(&path), 0o600, "{}", path.display());
            keys += 1;
        }
    }
    assert_eq!(keys, 4);
}

#[tokio::test]
async fn a_second_sandbox_on_the_same_directory_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = support::start(dir.path()).await;
    let second = Sandbox::builder().dir(dir.path()).listen("127.0.0.1:0".parse().unwrap()).start().await;
    let error = second.unwrap_err();
    assert!(matches!(error, StartError::DirectoryInUse { .. }), "{error:?}");
    assert!(error.is_usage());
    assert!(error.to_string().contains("setting `dir`"), "{error}");
    sandbox.shutdown().await;
    support::start(dir.path()).await.shutdown().await;
}

#[tokio::test]
async fn a_port_in_use_is_named_and_nothing_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let state = dir.path().join("state");
    let address = taken.local_addr().unwrap();
    let error = Sandbox::builder().dir(&state).listen(address).start().await.unwrap_err();
    assert!(error.is_usage());
    let said = error.to_string();
    assert!(said.contains("`listen`") && said.contains(&address.to_string()), "{said}");
    assert!(!state.exists());
}

#[tokio::test]
async fn a_template_name_outside_its_range_is_refused_and_nothing_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    for name in ["", "a b", "a/b", "ä", &"x".repeat(37)] {
        let error = Sandbox::builder().dir(&state).template_name(name).start().await.unwrap_err();
        assert!(error.is_usage());
        let said = error.to_string();
        assert!(said.contains("`template_name`") && said.contains("`--template`"), "{said}");
        assert!(said.contains(&format!("{name:?}")), "{said}");
    }
    assert!(!state.exists());
}

#[tokio::test]
async fn the_template_name_belongs_to_the_directory() {
    let dir = tempfile::tempdir().unwrap();
    let builder =
        || Sandbox::builder().dir(dir.path()).listen("127.0.0.1:0".parse().unwrap()).device_keys(KeyKind::EcP256);
    let sandbox = builder().template_name("press-line").start().await.unwrap();
    sandbox.shutdown().await;
    let policy = std::fs::read_to_string(dir.path().join("policies/aether-claim.json")).unwrap();
    assert!(policy.contains("$aws/provisioning-templates/press-line/provision/*"));
    let sandbox = builder().start().await.unwrap();
    assert_eq!(sandbox.template_name(), "press-line");
    sandbox.shutdown().await;
    let error = builder().template_name("Other").start().await.unwrap_err();
    assert!(error.to_string().contains("\"press-line\""), "{error}");
}

#[tokio::test]
async fn a_damaged_state_file_stops_the_start_and_stays_as_it_is() {
    for name in [
        "settings.json",
        "template.json",
        "policies/aether-device.json",
        "ca.pem",
        "claim.pem",
        "claim.key",
        "private/device-ca.key",
    ] {
        let dir = tempfile::tempdir().unwrap();
        support::start(dir.path()).await.shutdown().await;
        let path = dir.path().join(name);
        std::fs::write(&path, "damaged").unwrap();
        let before = files(dir.path());
        let start = Sandbox::builder().dir(dir.path()).listen("127.0.0.1:0".parse().unwrap()).start().await;
        let error = start.unwrap_err();
        assert!(error.is_usage());
        assert!(error.to_string().contains(name), "{name}: {error}");
        assert_eq!(files(dir.path()), before, "{name}");
    }
}

#[tokio::test]
async fn dropped_connections_can_come_back_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = support::start(dir.path()).await;
    let device = provision(&sandbox, "1").await;
    let client = support::device(&sandbox, &device).await;
    sandbox.drop_connections();
    support::closed(&client).await;
    let client = support::device(&sandbox, &device).await;
    client.publish("aether-1", b"back").await.unwrap();
    sandbox.shutdown().await;
}

#[tokio::test]
async fn shutting_down_closes_clients_and_gives_the_port_free() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = support::start(dir.path()).await;
    let address = sandbox.local_addr();
    let client = support::claim(&sandbox, "claim").await;
    sandbox.shutdown().await;
    support::closed(&client).await;
    let again = Sandbox::builder().dir(dir.path()).listen(address).start().await.unwrap();
    assert_eq!(again.local_addr(), address);
    again.shutdown().await;
}

#[tokio::test]
async fn the_decision_log_holds_every_decision_and_no_secret() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = support::start(dir.path()).await;
    let mut client = support::claim(&sandbox, "claim").await;
    support::listen_for_answers(&client).await;
    let created = support::ask(&mut client, support::CREATE, b"{}").await.unwrap();
    let _ = client.publish("aether-1", b"the-payload").await;
    let log = sandbox.files().audit_log().to_owned();
    sandbox.shutdown().await;

    let text = std::fs::read_to_string(log).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let count = |event: &str, decision: &str| {
        lines.iter().filter(|line| line["event"] == event && line["decision"] == decision).count()
    };
    assert_eq!(count("connect", "allowed"), 1);
    assert_eq!(count("subscribe", "allowed"), 4);
    assert_eq!(count("publish", "allowed"), 1);
    assert_eq!(count("publish", "denied"), 1);
    assert_eq!(count("create-keys-and-certificate", "allowed"), 1);
    assert_eq!(count("disconnect", "allowed"), 1);
    let publish = lines.iter().find(|line| line["event"] == "publish").unwrap();
    assert_eq!(publish["certificate_kind"], "claim");
    assert_eq!((&publish["policy"], &publish["statement"]), (&"aether-claim".into(), &1.into()));
    assert!(!text.contains(created["certificateOwnershipToken"].as_str().unwrap()));
    assert!(!text.contains("the-payload") && !text.contains("PRIVATE KEY"));
}

#[tokio::test]
async fn two_sandboxes_run_beside_each_other_and_leave_nothing_behind() {
    let (first, second) = tokio::join!(Sandbox::builder().start(), Sandbox::builder().start());
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_ne!(first.local_addr(), second.local_addr());
    let dirs = [first.files().dir().to_owned(), second.files().dir().to_owned()];
    assert_ne!(dirs[0], dirs[1]);
    for dir in &dirs {
        assert_eq!(std::fs::metadata(dir).unwrap().permissions().mode() & 0o777, 0o700);
    }
    first.shutdown().await;
    second.shutdown().await;
    assert!(dirs.iter().all(|dir| !dir.exists()), "{dirs:?}");
}
