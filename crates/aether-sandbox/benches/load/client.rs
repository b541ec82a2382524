//! One connection of a device: TLS with its certificate, MQTT packets in and out.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail, ensure};
use bytes::BytesMut;
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::frames::{self, CONNACK, Frame, Message, PINGRESP, PUBACK, PUBLISH, SUBACK};

/// Longest wait for any one answer. A herd of devices that want RSA keys at once waits minutes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(600);

/// What clients trust, and the cryptography they share.
#[derive(Clone, Debug)]
pub(crate) struct Trust {
    provider: Arc<CryptoProvider>,
    verifier: Arc<WebPkiServerVerifier>,
}

impl Trust {
    pub(crate) fn new(ca_pem: &[u8]) -> anyhow::Result<Self> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(ca_pem)?)?;
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build()?;
        Ok(Self { provider, verifier })
    }

    /// The identity of a client: its certificate and key.
    pub(crate) fn identity(&self, certificate_pem: &[u8], key_pem: &[u8]) -> anyhow::Result<Identity> {
        let chain = vec![CertificateDer::from_pem_slice(certificate_pem)?];
        let key = PrivateKeyDer::from_pem_slice(key_pem)?;
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()?
            .with_webpki_verifier(Arc::clone(&self.verifier))
            .with_client_auth_cert(chain, key)?;
        config.resumption = Resumption::disabled();
        Ok(Identity(Arc::new(config)))
    }
}

/// A certificate with its key, ready to connect.
#[derive(Clone, Debug)]
pub(crate) struct Identity(Arc<ClientConfig>);

/// How long the two halves of a connect took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Opening {
    /// TCP and TLS.
    pub(crate) tls: Duration,
    /// From CONNECT to CONNACK.
    pub(crate) connect: Duration,
}

/// A connected client.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) stream: TlsStream<TcpStream>,
    pub(crate) inbox: BytesMut,
}

impl Connection {
    /// Connects with a clean session.
    pub(crate) async fn open(
        address: SocketAddr,
        identity: &Identity,
        client_id: &str,
        keep_alive: u16,
    ) -> anyhow::Result<(Self, Opening)> {
        let begun = Instant::now();
        let name = ServerName::try_from("localhost")?;
        let opening = async {
            let socket = TcpStream::connect(address).await?;
            socket.set_nodelay(true)?;
            TlsConnector::from(Arc::clone(&identity.0)).connect(name, socket).await
        };
        let stream = timeout(PATIENCE, opening).await.context("no TLS in time")?.context("TLS failed")?;
        let tls = begun.elapsed();
        let mut connection = Self { stream, inbox: BytesMut::new() };
        connection.send(&frames::connect(client_id, keep_alive)).await?;
        let answer = connection.receive().await.context("no CONNACK")?;
        ensure!(answer.kind() == CONNACK && answer.body.get(1) == Some(&0), "CONNECT was refused: {answer:?}");
        Ok((connection, Opening { tls, connect: begun.elapsed() - tls }))
    }

    /// The cipher suite the two sides have agreed on.
    pub(crate) fn suite(&self) -> String {
        let connection = self.stream.get_ref().1;
        let suite = connection.negotiated_cipher_suite().map(|suite| format!("{:?}", suite.suite()));
        let version = connection.protocol_version().map(|version| format!("{version:?}"));
        format!("{} {}", version.unwrap_or_default(), suite.unwrap_or_default())
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        let sent = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        timeout(PATIENCE, sent).await.context("could not send in time")?.context("could not send")
    }

    /// The next packet.
    pub(crate) async fn receive(&mut self) -> anyhow::Result<Frame> {
        loop {
            if let Some(frame) = Frame::take(&mut self.inbox)? {
                return Ok(frame);
            }
            let read = timeout(PATIENCE, self.stream.read_buf(&mut self.inbox)).await.context("no answer in time")?;
            if read.context("connection broke")? == 0 {
                bail!("the broker hung up");
            }
        }
    }

    pub(crate) async fn subscribe(&mut self, filters: &[&str], qos: u8) -> anyhow::Result<()> {
        self.send(&frames::subscribe(filters, qos)).await?;
        let answer = self.expect(SUBACK).await?;
        let granted = answer.body.get(2..).unwrap_or_default();
        ensure!(granted.len() == filters.len() && granted.iter().all(|code| *code < 0x80), "SUBSCRIBE was refused");
        Ok(())
    }

    /// Publishes at QoS 1 and waits for the PUBACK; a message that comes before it is kept for
    /// [`message`](Self::message).
    pub(crate) async fn publish(&mut self, topic: &str, payload: &[u8]) -> anyhow::Result<Option<Message>> {
        let mut out = BytesMut::new();
        frames::publish(&mut out, topic, 1, payload);
        self.send(&out).await?;
        let mut early = None;
        loop {
            let frame = self.receive().await?;
            match frame.kind() {
                PUBACK => return Ok(early),
                PUBLISH if early.is_none() => early = Some(self.acknowledged(frame).await?),
                other => bail!("expected a PUBACK, got type {other:#x}"),
            }
        }
    }

    /// The next message, acknowledged.
    pub(crate) async fn message(&mut self) -> anyhow::Result<Message> {
        let frame = self.expect(PUBLISH).await?;
        self.acknowledged(frame).await
    }

    async fn acknowledged(&mut self, frame: Frame) -> anyhow::Result<Message> {
        let message = frame.message()?;
        if message.packet_id != 0 {
            let mut out = BytesMut::new();
            frames::puback(&mut out, message.packet_id);
            self.send(&out).await?;
        }
        Ok(message)
    }

    /// Asks the broker for a sign of life.
    pub(crate) async fn ping(&mut self) -> anyhow::Result<()> {
        self.send(frames::PINGREQ).await?;
        self.expect(PINGRESP).await.map(drop)
    }

    pub(crate) async fn disconnect(mut self) -> anyhow::Result<()> {
        self.send(frames::DISCONNECT).await?;
        // The broker may have closed its side already.
        let _ = self.stream.shutdown().await;
        Ok(())
    }

    async fn expect(&mut self, kind: u8) -> anyhow::Result<Frame> {
        let frame = self.receive().await?;
        match frame.kind() == kind {
            true => Ok(frame),
            false => Err(anyhow!("expected a packet of type {kind:#x}, got {:#x}", frame.kind())),
        }
    }
}
