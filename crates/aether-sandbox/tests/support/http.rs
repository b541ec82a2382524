//! A client of the control plane that does as it is told, byte by byte.

use std::time::Duration;

use aether_sandbox::{KeyKind, Sandbox};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// A sandbox with its control plane, in a directory of its own.
pub(crate) struct Plane {
    pub(crate) sandbox: Sandbox,
    pub(crate) dir: tempfile::TempDir,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The name of the exception, or nothing.
    pub(crate) error: String,
    pub(crate) body: Value,
    pub(crate) text: String,
}

impl Plane {
    pub(crate) async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let builder = Sandbox::builder().dir(dir.path().join("sandbox")).device_keys(KeyKind::EcP256);
        let builder = builder.listen("127.0.0.1:0".parse().unwrap()).control("127.0.0.1:0".parse().unwrap());
        Self { sandbox: builder.start().await.unwrap(), dir }
    }

    /// The address of the control plane, `host:port`.
    pub(crate) fn host(&self) -> String {
        self.sandbox.control_url().unwrap().trim_start_matches("http://").to_owned()
    }

    /// Sends one request signed as far as it has to be.
    pub(crate) async fn ask(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut head = format!(
            "{method} {target} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-length: {}\r\n\
             authorization: AWS4-HMAC-SHA256 Credential=x\r\n",
            self.host(),
            body.len()
        );
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        self.send(format!("{head}\r\n{body}").as_bytes()).await.expect("an answer")
    }

    pub(crate) async fn get(&self, target: &str) -> Answer {
        self.ask("GET", target, &[], "").await
    }

    pub(crate) async fn post(&self, target: &str, body: Value) -> Answer {
        self.ask("POST", target, &[], &body.to_string()).await
    }

    pub(crate) async fn put(&self, target: &str, body: Value) -> Answer {
        self.ask("PUT", target, &[], &body.to_string()).await
    }

    pub(crate) async fn patch(&self, target: &str, body: Value) -> Answer {
        self.ask("PATCH", target, &[], &body.to_string()).await
    }

    pub(crate) async fn delete(&self, target: &str) -> Answer {
        self.ask("DELETE", target, &[], "").await
    }

    /// Sends these bytes; nothing when the connection ends without an answer.
    pub(crate) async fn send(&self, bytes: &[u8]) -> Option<Answer> {
        let mut socket = TcpStream::connect(self.host()).await.unwrap();
        // The other end may have closed already; what it said before counts.
        let _ = socket.write_all(bytes).await;
        Self::read(socket).await
    }

    /// Sends these bytes and nothing more.
    pub(crate) async fn send_last(&self, bytes: &[u8]) -> Option<Answer> {
        let mut socket = TcpStream::connect(self.host()).await.unwrap();
        let _ = socket.write_all(bytes).await;
        let _ = socket.shutdown().await;
        Self::read(socket).await
    }

    async fn read(mut socket: TcpStream) -> Option<Answer> {
        let mut received = Vec::new();
        let _ = timeout(PATIENCE, socket.read_to_end(&mut received)).await.expect("the end of the answer in time");
        Answer::parse(&received)
    }
}

impl Answer {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        let error = head.lines().find_map(|line| line.strip_prefix("x-amzn-errortype: ")).unwrap_or_default();
        let json = serde_json::from_str(body).unwrap_or_default();
        Some(Self { status, error: error.to_owned(), body: json, text: text.clone().into_owned() })
    }

    /// The body of an answer that must be a success.
    #[track_caller]
    pub(crate) fn ok(self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text);
        self.body
    }

    /// Checks that it is this refusal.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16, error: &str) {
        assert_eq!((self.status, self.error.as_str()), (status, error), "{}", self.text);
        assert!(self.body["message"].is_string(), "{}", self.text);
    }
}

/// A text of the answer.
#[track_caller]
pub(crate) fn text(body: &Value, member: &str) -> String {
    body[member].as_str().unwrap_or_else(|| panic!("no text {member} in {body}")).to_owned()
}
