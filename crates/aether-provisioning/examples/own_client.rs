//! Provisions with an MQTT client that is not ours: the machine says what to do, whoever does it.
//!
//! `cargo run -p aether-provisioning --example own_client -- HOST PORT CA CLAIM_CERT CLAIM_KEY TEMPLATE SERIAL STATE`
//!
//! [`provision`] is all there is to it. What follows below it is a small blocking client, made of the crates
//! `mqtt-protocol-core` and `rustls`: put your own in its place.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for the command line")]

use std::collections::VecDeque;
use std::error::Error;
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use aether_mqtt::{ConnectError, Credentials, EndReason, Endpoint, Message, ServerRoots, SessionEnded};
use aether_provisioning::{
    Action, Claim, DirectoryStore, Identity, IdentityStore, Input, Login, Now, Provisioner, Record, Staged, Start,
    StoreError,
};
use mqtt_protocol_core::mqtt::Version;
use mqtt_protocol_core::mqtt::common::Cursor;
use mqtt_protocol_core::mqtt::connection::{Connection, Event, role};
use mqtt_protocol_core::mqtt::packet::{GenericPacketTrait as _, Packet, Qos, SubEntry, SubOpts, v3_1_1};
use mqtt_protocol_core::mqtt::result_code::ConnectReturnCode;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _};

type Fallible<T> = Result<T, Box<dyn Error>>;

/// Does what the machine says until it says that it is done.
fn provision(site: &Site, claim: &Claim, store: &dyn IdentityStore) -> Fallible<Identity> {
    let (mut machine, mut client) = (Provisioner::new(claim, start(store)?, now()), None::<Client>);
    loop {
        let input = match (machine.poll(), &mut client) {
            (Some(Action::Prepare { .. }), _) => {
                store.prepare().map_or_else(Input::NotPrepared, |()| Input::Prepared(None))
            }
            (Some(Action::Persist(record)), _) => {
                keep(store, &record).map_or_else(Input::NotPersisted, |()| Input::Persisted)
            }
            (Some(Action::Connect(login)), _) => {
                client = Client::connect(site, &login).inspect_err(|error| eprintln!("{error}")).ok();
                if client.is_some() { Input::Connected } else { Input::ConnectFailed(site.unreachable()) }
            }
            (Some(Action::Subscribe(filter)), Some(mqtt)) => {
                mqtt.subscribe(filter.as_str()).map_or_else(ended, |()| Input::Subscribed(filter))
            }
            (Some(Action::Publish { topic, payload }), Some(mqtt)) => match mqtt.publish(topic.as_str(), payload) {
                Ok(()) => continue,
                Err(error) => ended(error),
            },
            (Some(Action::Done(identity)), _) => return Ok(identity),
            (Some(Action::Disconnect), _) => {
                client = None;
                continue;
            }
            (Some(other), _) => {
                eprintln!("{other:?}");
                continue;
            }
            (None, Some(mqtt)) => match mqtt.message(machine.deadline()) {
                Ok(message) => message.map_or(Input::Elapsed, Input::Message),
                Err(error) => ended(error),
            },
            (None, None) => {
                std::thread::sleep(until(machine.deadline()));
                Input::Elapsed
            }
        };
        machine.handle(now(), input)?;
    }
}

/// What an earlier run has left.
fn start(store: &dyn IdentityStore) -> Fallible<Start> {
    Ok(match store.load(SystemTime::now())?.staged {
        Staged::Nothing | Staged::Key(_) => Start::Empty,
        Staged::Issued(issued) => Start::Issued(issued),
        Staged::Registered(identity) => Start::Registered(identity),
    })
}

fn keep(store: &dyn IdentityStore, record: &Record) -> Result<(), StoreError> {
    match record {
        Record::Issued(issued) => store.stage_issued(issued),
        Record::Registered(identity) => store.stage_registered(identity),
        Record::Proven(identity) => store.promote(identity),
        _ => Ok(()),
    }
}

fn now() -> Now {
    // For the jitter of delays. A fleet takes better ones.
    let random = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| u64::from(since.subsec_nanos()) << 34);
    Now { instant: Instant::now(), wall: SystemTime::now(), random }
}

fn until(deadline: Option<Instant>) -> Duration {
    deadline.map_or(Duration::ZERO, |at| at.saturating_duration_since(Instant::now()))
}

fn ended(error: Box<dyn Error>) -> Input {
    eprintln!("{error}");
    Input::Disconnected(SessionEnded::new(EndReason::ClosedByPeer))
}

/// Where the cloud is, and the claim's certificate and key.
struct Site {
    host: String,
    port: u16,
    ca: Vec<u8>,
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl Site {
    fn unreachable(&self) -> ConnectError {
        ConnectError::Closed { endpoint: format!("{}:{}", self.host, self.port) }
    }
}

/// A client of MQTT 3.1.1 over mutual TLS that blocks.
struct Client {
    tls: StreamOwned<ClientConnection, TcpStream>,
    mqtt: Connection<role::Client>,
    received: VecDeque<Packet>,
}

impl Client {
    fn connect(site: &Site, login: &Login) -> Fallible<Self> {
        let (client_id, certificate, key) = match login {
            Login::Claim => ("a-claim-of-our-own", site.certificate.as_slice(), Some(site.key.as_slice())),
            Login::Device(identity) => {
                let credentials = identity.credentials();
                (identity.thing_name().as_str(), credentials.certificate_pem(), credentials.private_key().pem())
            }
        };
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(&site.ca)?)?;
        let chain = CertificateDer::pem_slice_iter(certificate).collect::<Result<_, _>>()?;
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(key.unwrap_or_default())?)?;
        let connection = ClientConnection::new(Arc::new(config), ServerName::try_from(site.host.clone())?)?;
        let tls = StreamOwned::new(connection, TcpStream::connect((site.host.as_str(), site.port))?);
        let mut client = Self { tls, mqtt: Connection::new(Version::V3_1_1), received: VecDeque::new() };
        client.mqtt.set_auto_pub_response(true);
        client.send(v3_1_1::Connect::builder().client_id(client_id)?.clean_session(true).build()?.into())?;
        let answer = client.next(|packet| matches!(packet, Packet::V3_1_1Connack(_)))?;
        let accepted =
            matches!(&answer, Packet::V3_1_1Connack(one) if one.return_code() == ConnectReturnCode::Accepted);
        if accepted { Ok(client) } else { Err("the broker refused the connection".into()) }
    }

    fn subscribe(&mut self, filter: &str) -> Fallible<()> {
        let entry = SubEntry::new(filter, SubOpts::new().set_qos(Qos::AtLeastOnce))?;
        let id = self.mqtt.acquire_packet_id()?;
        self.send(v3_1_1::Subscribe::builder().packet_id(id).entries(vec![entry]).build()?.into())?;
        self.next(|packet| matches!(packet, Packet::V3_1_1Suback(_))).map(drop)
    }

    fn publish(&mut self, topic: &str, payload: Vec<u8>) -> Fallible<()> {
        let id = self.mqtt.acquire_packet_id()?;
        let publish = v3_1_1::Publish::builder().topic_name(topic)?.qos(Qos::AtLeastOnce).packet_id(id);
        self.send(publish.payload(payload).build()?.into())
    }

    /// The next message; `None` at the deadline.
    fn message(&mut self, deadline: Option<Instant>) -> Fallible<Option<Message>> {
        loop {
            while let Some(packet) = self.received.pop_front() {
                if let Packet::V3_1_1Publish(publish) = packet {
                    let payload = publish.payload().as_slice().to_vec();
                    return Ok(Some(Message::new(publish.topic_name().parse()?, payload)));
                }
            }
            match self.receive(until(deadline)) {
                Err(error) if is_timeout(&*error) => return Ok(None),
                received => received?,
            }
        }
    }

    /// The next packet that is wanted; others stay for [`message`](Self::message).
    fn next(&mut self, wanted: impl Fn(&Packet) -> bool) -> Fallible<Packet> {
        loop {
            if let Some(packet) = self.received.iter().position(&wanted).and_then(|at| self.received.remove(at)) {
                return Ok(packet);
            }
            self.receive(Duration::from_secs(30))?;
        }
    }

    fn receive(&mut self, within: Duration) -> Fallible<()> {
        self.tls.sock.set_read_timeout(Some(within.max(Duration::from_millis(1))))?;
        let mut bytes = [0; 16 * 1024];
        let length = self.tls.read(&mut bytes)?;
        let mut rest = Cursor::new(&bytes[..length]);
        if length == 0 {
            return Err("the connection is closed".into());
        }
        while rest.position() < length as u64 {
            let events = self.mqtt.recv(&mut rest);
            self.follow(events)?;
        }
        Ok(())
    }

    fn send(&mut self, packet: Packet) -> Fallible<()> {
        let events = self.mqtt.send(packet);
        self.follow(events)
    }

    fn follow(&mut self, events: Vec<Event>) -> Fallible<()> {
        for event in events {
            match event {
                Event::RequestSendPacket { packet, .. } => self.tls.write_all(&packet.to_continuous_buffer())?,
                Event::NotifyPacketReceived(packet) => self.received.push_back(packet),
                Event::NotifyError(error) => return Err(format!("{error:?}").into()),
                Event::RequestClose => return Err("the connection is to be closed".into()),
                Event::NotifyPacketIdReleased(_) | Event::RequestTimerReset { .. } | Event::RequestTimerCancel(_) => {}
            }
        }
        Ok(self.tls.flush()?)
    }
}

fn is_timeout(error: &(dyn Error + 'static)) -> bool {
    let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
    matches!(kind, Some(io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut))
}

fn main() -> Fallible<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [host, port, ca, certificate, key, template, serial, state] = arguments.as_slice() else {
        return Err("expected HOST PORT CA CLAIM_CERT CLAIM_KEY TEMPLATE SERIAL STATE".into());
    };
    let read = |path: &String| std::fs::read(path);
    let (ca, certificate, key) = (read(ca)?, read(certificate)?, read(key)?);
    let site = Site { host: host.clone(), port: port.parse()?, ca, certificate, key };
    let credentials = Credentials::from_pem(&site.certificate, &site.key)?;
    let claim = Claim::new(Endpoint::new(host, site.port)?, ServerRoots::mozilla(), credentials, template.parse()?)
        .parameters([("SerialNumber".to_owned(), serial.clone())].into());
    let identity = provision(&site, &claim, &DirectoryStore::new(state))?;
    println!("{}", identity.thing_name());
    Ok(())
}
