//! A client that sends whatever a test wants, over the TLS version it wants.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use bytes::BytesMut;
use rmqtt_codec::types::{Publish, QoS};
use rmqtt_codec::v3::{Codec, Connect, Packet};
use rmqtt_codec::v5;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::codec::{Decoder, Encoder};

use super::PATIENCE;

pub(crate) struct Raw {
    stream: TlsStream<TcpStream>,
    buffer: BytesMut,
    codec: Codec,
    five: v5::Codec,
}

impl Raw {
    /// Does the TLS handshake and nothing else, with the whole chain in `cert`.
    pub(crate) async fn open(
        address: SocketAddr,
        ca: &Path,
        cert: &Path,
        key: &Path,
        version: &'static SupportedProtocolVersion,
    ) -> std::io::Result<Self> {
        Self::open_as(address, ca, cert, key, version, "localhost", &[]).await
    }

    /// Does the handshake with a server called `name`, an address for no SNI, and offers `alpn`.
    pub(crate) async fn open_as(
        address: SocketAddr,
        ca: &Path,
        cert: &Path,
        key: &Path,
        version: &'static SupportedProtocolVersion,
        name: &str,
        alpn: &[&str],
    ) -> std::io::Result<Self> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(ca).unwrap()).unwrap();
        let key = PrivateKeyDer::from_pem_file(key).unwrap();
        let key = rustls::crypto::ring::sign::any_supported_type(&key).unwrap();
        let chain = CertificateDer::pem_file_iter(cert).unwrap().map(Result::unwrap).collect();
        let identity = SingleCertAndKey::from(CertifiedKey::new(chain, key));
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_client_cert_resolver(Arc::new(identity));
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        let socket = TcpStream::connect(address).await?;
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let stream = TlsConnector::from(Arc::new(config)).connect(name, socket).await?;
        Ok(Self { stream, buffer: BytesMut::new(), codec: Codec::new(0), five: v5::Codec::new(0, 0) })
    }

    /// The application protocol the server chose.
    pub(crate) fn alpn(&self) -> Option<&[u8]> {
        self.stream.get_ref().1.alpn_protocol()
    }

    /// Opens with the sandbox's claim certificate over TLS 1.3.
    pub(crate) async fn claim(sandbox: &aether_sandbox::Sandbox) -> Self {
        let files = sandbox.files();
        let version = &rustls::version::TLS13;
        let opened = Self::open(sandbox.local_addr(), files.ca(), files.claim_cert(), files.claim_key(), version);
        opened.await.unwrap()
    }

    /// Opens as [`claim`](Self::claim) and connects.
    pub(crate) async fn connected(sandbox: &aether_sandbox::Sandbox, client_id: &str) -> Self {
        let mut raw = Self::claim(sandbox).await;
        raw.send(connect(client_id).into()).await;
        match raw.receive().await {
            Some(Packet::ConnectAck(_)) => raw,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn send(&mut self, packet: Packet) {
        let mut bytes = BytesMut::new();
        self.codec.encode(packet, &mut bytes).unwrap();
        self.send_bytes(&bytes).await;
    }

    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) {
        // A broker that has hung up already shows in `receive`.
        let _ = self.stream.write_all(bytes).await;
        let _ = self.stream.flush().await;
    }

    /// The next packet; `None` once the broker has hung up.
    pub(crate) async fn receive(&mut self) -> Option<Packet> {
        loop {
            if let Some((packet, _)) = self.codec.decode(&mut self.buffer).unwrap() {
                return Some(packet);
            }
            if !self.read_more().await {
                return None;
            }
        }
    }

    /// Opens as [`claim`](Self::claim) and connects with MQTT 5; gives the CONNACK too.
    pub(crate) async fn connected5(sandbox: &aether_sandbox::Sandbox, connect: v5::Connect) -> (Self, v5::ConnectAck) {
        let mut raw = Self::claim(sandbox).await;
        raw.send5(v5::Packet::Connect(Box::new(connect))).await;
        match raw.receive5().await {
            Some(v5::Packet::ConnectAck(ack)) => (raw, *ack),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn send5(&mut self, packet: v5::Packet) {
        let mut bytes = BytesMut::new();
        self.five.encode(packet, &mut bytes).unwrap();
        self.send_bytes(&bytes).await;
    }

    /// The next MQTT 5 packet; `None` once the broker has hung up.
    pub(crate) async fn receive5(&mut self) -> Option<v5::Packet> {
        loop {
            if let Some((packet, _)) = self.five.decode(&mut self.buffer).unwrap() {
                return Some(packet);
            }
            if !self.read_more().await {
                return None;
            }
        }
    }

    /// The reason code of the DISCONNECT that comes next, before the broker hangs up.
    pub(crate) async fn disconnected5(&mut self) -> u8 {
        let Some(v5::Packet::Disconnect(goodbye)) = self.receive5().await else { panic!("no DISCONNECT") };
        assert_eq!(self.receive5().await, None);
        goodbye.reason_code.into()
    }

    /// Everything the broker sends until it hangs up.
    pub(crate) async fn receive_bytes(&mut self) -> Vec<u8> {
        while self.read_more().await {}
        self.buffer.to_vec()
    }

    /// What comes until nothing came for so long; stops early, after a moment's grace, once there
    /// are `enough` bytes.
    pub(crate) async fn hear(&mut self, silence: std::time::Duration, enough: usize) -> Vec<u8> {
        let grace = silence / 10;
        loop {
            let wait = if self.buffer.len() < enough { silence } else { grace };
            match timeout(wait, self.stream.read_buf(&mut self.buffer)).await {
                Ok(Ok(bytes)) if bytes > 0 => {}
                Ok(_) | Err(_) => return self.buffer.split().to_vec(),
            }
        }
    }

    /// Whether the broker hangs up within so long.
    pub(crate) async fn hung_up(&mut self, silence: std::time::Duration) -> bool {
        matches!(timeout(silence, self.stream.read_buf(&mut self.buffer)).await, Ok(Ok(0) | Err(_)))
    }

    async fn read_more(&mut self) -> bool {
        let read = timeout(PATIENCE, self.stream.read_buf(&mut self.buffer)).await;
        matches!(read.expect("an answer in time"), Ok(bytes) if bytes > 0)
    }
}

pub(crate) fn connect(client_id: &str) -> Connect {
    Connect { clean_session: true, keep_alive: 60, ..Connect::default().client_id(client_id.to_owned()) }
}

pub(crate) fn publish(topic: &str, qos: QoS, payload: &[u8]) -> Packet {
    Packet::Publish(Box::new(Publish {
        dup: false,
        retain: false,
        qos,
        topic: topic.into(),
        packet_id: (qos != QoS::AtMostOnce).then(|| 7.try_into().unwrap()),
        payload: payload.to_vec().into(),
        properties: None,
    }))
}

pub(crate) fn subscribe(filters: &[(&str, QoS)]) -> Packet {
    Packet::Subscribe {
        packet_id: 9.try_into().unwrap(),
        topic_filters: filters.iter().map(|(filter, qos)| ((*filter).into(), *qos)).collect(),
    }
}

pub(crate) fn connect5(client_id: &str) -> v5::Connect {
    v5::Connect { clean_start: true, keep_alive: 60, ..v5::Connect::default().client_id(client_id.to_owned()) }
}

pub(crate) fn publish5(topic: &str, qos: QoS, payload: &[u8], properties: v5::PublishProperties) -> v5::Packet {
    let Packet::Publish(publish) = publish(topic, qos, payload) else { unreachable!() };
    v5::Packet::Publish(Box::new(Publish { properties: Some(properties), ..*publish }))
}

pub(crate) fn subscribe5(filters: &[(&str, v5::SubscriptionOptions)]) -> v5::Packet {
    v5::Packet::Subscribe(v5::Subscribe {
        packet_id: 9.try_into().unwrap(),
        id: None,
        user_properties: Vec::new(),
        topic_filters: filters.iter().map(|(filter, options)| ((*filter).into(), *options)).collect(),
    })
}
