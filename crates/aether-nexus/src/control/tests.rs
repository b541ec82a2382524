//! The socket as whoever connects to it finds it.

#![cfg(unix)]

use std::{
    os::unix::fs::{FileTypeExt as _, PermissionsExt as _},
    path::Path,
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    sync::broadcast,
    time::timeout,
};

use super::*;
use crate::nexus::Nexus;

/// A server of a runtime that is built and does not run, so that it has no identity.
fn server(state_dir: &Path) -> ControlServer {
    let nexus = Nexus::builder().state_dir(state_dir).build().unwrap();
    ControlServer::start(state_dir, nexus.handle(), broadcast::channel(1).0).unwrap()
}

/// What the server says to these bytes until it hangs up.
async fn said(state_dir: &Path, bytes: &[u8]) -> String {
    let mut stream = UnixStream::connect(state_dir.join(SOCKET)).await.unwrap();
    // The server may have had enough before it was all sent.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let read = timeout(Duration::from_secs(30), stream.read_to_end(&mut answer)).await;
    // A server that hangs up on unread bytes resets the connection.
    let _ = read.expect("the server hangs up");
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn the_socket_is_its_owners_alone_and_goes_with_the_runtime() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(SOCKET);
    for _ in 0..2 {
        let server = server(directory.path());
        let metadata = std::fs::metadata(&path).unwrap();
        assert!(metadata.file_type().is_socket());
        assert_eq!(metadata.permissions().mode() & 0o7777, 0o600);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1, "nothing else is left there");
        ControlClient::connect(directory.path()).await.unwrap();
        drop(server);
        assert!(!path.exists());
    }
    let error = ControlClient::connect(directory.path()).await.unwrap_err();
    assert!(matches!(error, ControlError::NotRunning(_)), "{error}");
}

#[tokio::test]
async fn what_a_killed_runtime_left_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    // A listener that is dropped leaves its socket behind, as a process that is killed does.
    drop(std::os::unix::net::UnixListener::bind(directory.path().join(SOCKET)).unwrap());
    std::fs::create_dir(directory.path().join(".ctl")).unwrap();
    drop(std::os::unix::net::UnixListener::bind(directory.path().join(".ctl/s")).unwrap());
    let error = ControlClient::connect(directory.path()).await.unwrap_err();
    assert!(matches!(error, ControlError::NotRunning(_)), "{error}");

    let _server = server(directory.path());
    ControlClient::connect(directory.path()).await.unwrap();
}

#[tokio::test]
async fn a_path_beyond_the_systems_limit_is_no_reason_to_end() {
    let directory = tempfile::tempdir().unwrap();
    let long = directory.path().join("x".repeat(120));
    std::fs::create_dir(&long).unwrap();
    let nexus = Nexus::builder().state_dir(&long).build().unwrap();
    assert!(ControlServer::start(&long, nexus.handle(), broadcast::channel(1).0).is_none());
    assert_eq!(std::fs::read_dir(&long).unwrap().count(), 0);
    let error = ControlClient::connect(&long).await.unwrap_err();
    assert!(matches!(error, ControlError::NotRunning(_)), "{error}");
}

#[tokio::test]
async fn strange_requests_are_answered_with_what_is_known() {
    let directory = tempfile::tempdir().unwrap();
    let _server = server(directory.path());
    let unknown = said(directory.path(), b"{\"command\":\"format\"}\n").await;
    assert!(unknown.contains("`rotate`") && unknown.contains("`identity`"), "{unknown}");
    assert!(unknown.starts_with("{\"error\":") && unknown.ends_with("}\n"), "{unknown}");
    for bytes in [&b"\n"[..], b"[]\n", b"null\n", b"\xff\xfe\n", b"{\"command\":3}\n"] {
        let answer = said(directory.path(), bytes).await;
        assert!(answer.starts_with("{\"error\":"), "{bytes:?}: {answer}");
    }
    // Longer than it may be, and no end of line within: it need not be read to be refused.
    let long = said(directory.path(), &[b'x'; 100_000]).await;
    assert!(long.is_empty() || long.contains("at most 4096 bytes"), "{long}");
}

#[tokio::test]
async fn a_device_without_identity_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let _server = server(directory.path());
    let identity = ControlClient::connect(directory.path()).await.unwrap().identity().await.unwrap_err();
    let rotation = ControlClient::connect(directory.path()).await.unwrap().rotate(|_, _| ()).await.unwrap_err();
    for error in [identity, rotation] {
        assert!(matches!(error, ControlError::Refused { kind: Refusal::Failed, .. }), "{error:?}");
        assert_eq!(error.to_string(), "the device has no identity yet");
    }
}

#[tokio::test(start_paused = true)]
async fn who_says_nothing_is_hung_up_on_and_keeps_nobody_out() {
    let directory = tempfile::tempdir().unwrap();
    let _server = server(directory.path());
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(UnixStream::connect(directory.path().join(SOCKET)).await.unwrap());
    }
    let answer = said(directory.path(), b"{\"command\":\"identity\"}\n").await;
    assert!(answer.contains("no identity yet"), "{answer}");
}
