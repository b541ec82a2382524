//! A sandbox that is killed while messages are in flight keeps what it has acknowledged.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::BTreeSet,
    fs,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpStream},
    path::Path,
    sync::Arc,
    time::Duration,
};

use aether_tests::aether::Sandbox;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _};

/// Longest wait for one packet.
const SOON: Duration = Duration::from_secs(45);
/// Publishers, and messages of each.
const PUBLISHERS: usize = 4;
const MESSAGES: u16 = 500;

/// The sandbox's claim policy for this test.
const OPEN: &str = r#"{ "Version": "2012-10-17",
    "Statement": [{ "Effect": "Allow", "Action": "iot:*", "Resource": "*" }] }"#;
/// AWS's paces would make the test last minutes.
const LIMITS: &str = "[limits]\npublishes_per_second = 4294967295\nredeliveries_per_second = 4294967295\n\
    retained_per_second = 4294967295\nqueued_messages = 10000\n";

/// An MQTT 3.1.1 client that keeps its session.
struct Client {
    stream: StreamOwned<ClientConnection, TcpStream>,
    received: Vec<u8>,
}

impl Client {
    /// Connects with the claim certificate; gives whether there was a session.
    fn connect(sandbox: &Sandbox, client_id: &str) -> (Self, bool) {
        let claim = sandbox.claim();
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(sandbox.ca()).unwrap()).unwrap();
        let chain = vec![CertificateDer::from_pem_file(claim.certificate).unwrap()];
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, PrivateKeyDer::from_pem_file(claim.key).unwrap())
            .unwrap();
        let socket = TcpStream::connect((Ipv4Addr::LOCALHOST, sandbox.port())).unwrap();
        socket.set_read_timeout(Some(SOON)).unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let connection = ClientConnection::new(Arc::new(config), name).unwrap();
        let mut client = Self { stream: StreamOwned::new(connection, socket), received: Vec::new() };
        client.send(0x10, &[b"\x00\x04MQTT\x04\x00\x04\xb0", &text(client_id)[..]].concat());
        let (first, body) = client.next().expect("CONNACK");
        assert_eq!((first, body[1]), (0x20, 0));
        (client, body[0] == 1)
    }

    fn send(&mut self, first: u8, body: &[u8]) {
        let length = u8::try_from(body.len()).ok().filter(|length| *length < 0x80).expect("a short packet");
        self.stream.write_all(&[&[first, length], body].concat()).unwrap();
    }

    fn subscribe(&mut self, filter: &str) {
        self.send(0x82, &[b"\x00\x01", &text(filter)[..], b"\x01"].concat());
        assert_eq!(self.next().expect("SUBACK"), (0x90, vec![0, 1, 1]));
    }

    /// Publishes a number with QoS 1 and RETAIN, and does not wait for PUBACK.
    fn publish(&mut self, topic: &str, number: u16) {
        self.send(0x33, &[&text(topic)[..], &number.to_be_bytes(), number.to_string().as_bytes()].concat());
    }

    /// The packet id of the next PUBACK; `None` once the sandbox is gone.
    fn acknowledged(&mut self) -> Option<u16> {
        let (first, body) = self.next()?;
        assert_eq!(first, 0x40);
        Some(u16::from_be_bytes([body[0], body[1]]))
    }

    /// Topic and number of the next PUBLISH, and acknowledges it.
    fn delivered(&mut self) -> (String, u16) {
        let (first, body) = self.next().expect("PUBLISH");
        assert_eq!(first & 0xF6, 0x32, "QoS 1");
        let (topic, rest) = body[2..].split_at(usize::from(body[1]));
        self.send(0x40, &rest[..2]);
        let number = String::from_utf8(rest[2..].to_vec()).unwrap();
        (String::from_utf8(topic.to_vec()).unwrap(), number.parse().unwrap())
    }

    /// First byte and body of the next packet; `None` once the connection is gone.
    fn next(&mut self) -> Option<(u8, Vec<u8>)> {
        loop {
            if let [_, length, rest @ ..] = &self.received[..]
                && let Some(body) = rest.get(..usize::from(*length))
            {
                let packet = (self.received[0], body.to_vec());
                self.received.drain(..2 + packet.1.len());
                return Some(packet);
            }
            let mut bytes = [0; 4096];
            match self.stream.read(&mut bytes) {
                Ok(length @ 1..) => self.received.extend(&bytes[..length]),
                Ok(_) | Err(_) => return None,
            }
        }
    }
}

/// A text with its length before it.
fn text(text: &str) -> Vec<u8> {
    [&u16::try_from(text.len()).unwrap().to_be_bytes()[..], text.as_bytes()].concat()
}

fn topic(publisher: usize) -> String {
    format!("line/{publisher}")
}

/// Starts a sandbox that lets every client do anything.
fn open(folder: &Path) -> Sandbox {
    let (directory, config) = (folder.join("sandbox"), folder.join("sandbox.toml"));
    fs::write(&config, LIMITS).unwrap();
    drop(Sandbox::up_with(&directory, &config));
    fs::write(directory.join("policies/aether-claim.json"), OPEN).unwrap();
    Sandbox::up_with(directory, &config)
}

#[test]
fn what_a_killed_sandbox_has_acknowledged_it_still_holds() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = open(folder.path());
    // One is away, the other is there and acknowledges nothing.
    let (mut away, present) = Client::connect(&sandbox, "away");
    assert!(!present);
    away.subscribe("line/+");
    drop(away);
    let (mut silent, _) = Client::connect(&sandbox, "silent");
    silent.subscribe("line/+");
    let mut publishers: Vec<_> =
        (0..PUBLISHERS).map(|at| Client::connect(&sandbox, &format!("publisher-{at}")).0).collect();
    for number in 1..=MESSAGES {
        for (at, publisher) in publishers.iter_mut().enumerate() {
            publisher.publish(&topic(at), number);
        }
    }
    let mut acknowledged = BTreeSet::new();
    for _ in 0..MESSAGES / 10 {
        acknowledged.insert((topic(0), publishers[0].acknowledged().expect("PUBACK")));
    }
    // Dropped, the program is killed with SIGKILL; what it has sent before can still be read.
    drop(sandbox);
    for (at, publisher) in publishers.iter_mut().enumerate() {
        acknowledged.extend(std::iter::from_fn(|| publisher.acknowledged()).map(|number| (topic(at), number)));
    }
    drop(silent);

    let sandbox = Sandbox::up_with(folder.path().join("sandbox"), &folder.path().join("sandbox.toml"));
    let (mut after, _) = Client::connect(&sandbox, "after");
    for at in 0..PUBLISHERS {
        let last = acknowledged.iter().filter(|(name, _)| *name == topic(at)).map(|(_, number)| *number).max();
        if let Some(last) = last {
            after.subscribe(&topic(at));
            let (name, retained) = after.delivered();
            assert!(name == topic(at) && retained >= last, "{retained} is retained, {last} was acknowledged");
        }
    }
    let (mut last, _) = Client::connect(&sandbox, "last");
    last.publish("line/end", 1);
    assert_eq!(last.acknowledged(), Some(1));
    for client_id in ["away", "silent"] {
        let (mut client, present) = Client::connect(&sandbox, client_id);
        assert!(present, "the session of {client_id}");
        let mut held = BTreeSet::new();
        loop {
            let delivery = client.delivered();
            if delivery.0 == "line/end" {
                break;
            }
            assert!(!held.contains(&delivery), "{delivery:?} twice for {client_id}");
            held.insert(delivery);
        }
        let lost: Vec<_> = acknowledged.difference(&held).collect();
        assert!(lost.is_empty(), "{} of {} lost for {client_id}: {lost:?}", lost.len(), acknowledged.len());
    }
}
