//! A broker whose every byte the test decides: real TLS and TCP on a loopback port, packets by hand.
#![allow(dead_code, reason = "each test file uses its own part of it")]

pub(crate) mod certificates;
pub(crate) mod verifier;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use aether_mqtt::{ClientId, ConnectOptions, Connector, Credentials, Endpoint, RumqttConnector, ServerRoots, Session};
use bytes::BytesMut;
use rumqttc::{ConnAck, Connect, ConnectReturnCode, Packet, PubAck, Publish, QoS, SubAck, SubscribeReasonCode};
use rustls::server::NoServerSessionStorage;
use rustls::{ServerConfig, SupportedProtocolVersion};
use rustls_pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use certificates::{Authority, Pair};
use verifier::AnyClient;

/// Longest wait for anything a test expects.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) const BOTH_VERSIONS: [&SupportedProtocolVersion; 2] = [&rustls::version::TLS12, &rustls::version::TLS13];

/// Waits for what is expected, and fails the test rather than hang.
pub(crate) async fn soon<T>(expected: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, expected).await.expect("it happens within the test's patience")
}

pub(crate) struct Broker {
    listener: TcpListener,
    acceptor: TlsAcceptor,
    pub(crate) authority: Authority,
}

/// The broker's end of one connection.
pub(crate) struct Peer {
    pub(crate) stream: TlsStream<TcpStream>,
    read: BytesMut,
}

impl Broker {
    /// A broker named `localhost` that speaks both TLS versions and takes any client certificate.
    pub(crate) async fn start() -> Self {
        Self::with(&BOTH_VERSIONS, AnyClient::accepted()).await
    }

    pub(crate) async fn with(versions: &[&'static SupportedProtocolVersion], clients: AnyClient) -> Self {
        let authority = Authority::new();
        let Pair { certificate, key } = authority.server("localhost");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_client_cert_verifier(Arc::new(clients))
            .with_single_cert(vec![certificate.into()], PrivateKeyDer::try_from(key).unwrap())
            .unwrap();
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        Self { listener, acceptor: TlsAcceptor::from(Arc::new(config)), authority }
    }

    pub(crate) fn endpoint(&self) -> Endpoint {
        Endpoint::new("localhost", self.listener.local_addr().unwrap().port()).unwrap()
    }

    pub(crate) fn roots(&self) -> ServerRoots {
        ServerRoots::from_pem(self.authority.pem().as_bytes()).unwrap()
    }

    /// Options that lead to this broker.
    pub(crate) fn options(&self) -> ConnectOptions {
        self.options_with(certificates::client("device-1"))
    }

    pub(crate) fn options_with(&self, credentials: Credentials) -> ConnectOptions {
        let client_id: ClientId = "device-1".parse().unwrap();
        ConnectOptions::new(self.endpoint(), client_id, credentials).roots(self.roots())
    }

    pub(crate) async fn accept_tcp(&self) -> TcpStream {
        self.listener.accept().await.unwrap().0
    }

    pub(crate) async fn accept(&self) -> io::Result<Peer> {
        let stream = self.acceptor.accept(self.accept_tcp().await).await?;
        Ok(Peer { stream, read: BytesMut::new() })
    }

    /// Refuses a connection in the TLS handshake, and reads on until the client is gone: closing over unread bytes
    /// would reset the connection, and the alert with it.
    pub(crate) async fn refuse(&self, stream: TcpStream) {
        let (_, mut stream) = self.acceptor.accept(stream).into_fallible().await.expect_err("the handshake fails");
        let mut rest = Vec::new();
        // How the client closes is of no interest.
        let _ = soon(stream.read_to_end(&mut rest)).await;
    }

    /// Accepts a connection up to the CONNACK.
    pub(crate) async fn welcome(&self) -> (Peer, Connect) {
        let mut peer = self.accept().await.unwrap();
        let connect = match peer.packet().await {
            Some(Packet::Connect(connect)) => connect,
            other => panic!("expected a CONNECT, found {other:?}"),
        };
        peer.send(Packet::ConnAck(ConnAck::new(ConnectReturnCode::Success, false))).await;
        (peer, connect)
    }

    /// Both ends of a new session.
    pub(crate) async fn session(&self, options: &ConnectOptions) -> (Box<dyn Session>, Peer) {
        let connector = RumqttConnector::default();
        let (session, (peer, _)) = soon(async { tokio::join!(connector.connect(options), self.welcome()) }).await;
        (session.unwrap(), peer)
    }
}

impl Peer {
    /// The next packet; `None` when the client is gone.
    pub(crate) async fn packet(&mut self) -> Option<Packet> {
        loop {
            match Packet::read(&mut self.read, 1 << 20) {
                Ok(packet) => return Some(packet),
                Err(rumqttc::mqttbytes::Error::InsufficientBytes(_)) => {}
                Err(error) => panic!("the client sent nonsense: {error}"),
            }
            match soon(self.stream.read_buf(&mut self.read)).await {
                Ok(1..) => {}
                Ok(0) | Err(_) => return None,
            }
        }
    }

    pub(crate) async fn publish(&mut self) -> Publish {
        match self.packet().await {
            Some(Packet::Publish(publish)) => publish,
            other => panic!("expected a PUBLISH, found {other:?}"),
        }
    }

    /// The packet id of the next SUBSCRIBE.
    pub(crate) async fn subscribe(&mut self) -> u16 {
        match self.packet().await {
            Some(Packet::Subscribe(subscribe)) => subscribe.pkid,
            other => panic!("expected a SUBSCRIBE, found {other:?}"),
        }
    }

    pub(crate) async fn send(&mut self, packet: Packet) {
        self.send_all(&[packet]).await;
    }

    /// Sends several packets in one write.
    pub(crate) async fn send_all(&mut self, packets: &[Packet]) {
        let mut bytes = BytesMut::new();
        for packet in packets {
            packet.write(&mut bytes, 1 << 20).unwrap();
        }
        self.stream.write_all(&bytes).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    pub(crate) async fn acknowledge(&mut self, packet_id: u16) {
        self.send(Packet::PubAck(PubAck::new(packet_id))).await;
    }

    pub(crate) async fn grant(&mut self, packet_id: u16) {
        let codes = vec![SubscribeReasonCode::Success(QoS::AtLeastOnce)];
        self.send(Packet::SubAck(SubAck::new(packet_id, codes))).await;
    }
}

/// A message from the broker, at QoS 0.
pub(crate) fn message(topic: &str, payload: &[u8]) -> Packet {
    Packet::Publish(Publish::new(topic, QoS::AtMostOnce, payload))
}
