//! The connection of an observer: one task that reads, writes and pings.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU16;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::BytesMut;
use rmqtt_codec::v3::{Codec, Connect, Packet, SubscribeReturnCode};
use rustls::client::Resumption;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::codec::{Decoder, Encoder};
use tokio_util::sync::CancellationToken;

use super::{Credentials, Message, ObserverError};
use crate::error::Cause;

/// Longest wait for any answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Keep-alive asked for; a ping goes out at half of it.
const KEEP_ALIVE: Duration = Duration::from_secs(60);
/// Messages that wait for [`Link::next`]. Only QoS 0 can come to more, and then some are lost.
const MAX_WAITING: usize = 10_000;

/// An answer to something asked with a packet id.
#[derive(Debug)]
pub(super) enum Ack {
    Published,
    Subscribed(Vec<SubscribeReturnCode>),
}

type Incoming = (Message, Option<NonZeroU16>);

#[derive(Debug)]
pub(super) struct Link {
    outgoing: mpsc::UnboundedSender<Packet>,
    incoming: mpsc::Receiver<Incoming>,
    asked: Arc<Mutex<Asked>>,
    gone: CancellationToken,
    task: JoinHandle<()>,
}

/// Questions without an answer yet.
#[derive(Debug, Default)]
struct Asked {
    last_id: u16,
    waiting: HashMap<NonZeroU16, oneshot::Sender<Ack>>,
    closed: bool,
}

impl Link {
    pub(super) async fn open(
        address: SocketAddr,
        credentials: &Credentials,
        client_id: &str,
    ) -> Result<Self, ObserverError> {
        match timeout(ANSWER_TIMEOUT, shake_hands(address, credentials, client_id)).await {
            Ok(connected) => Ok(Self::start(connected?)),
            Err(_) => Err(timed_out("CONNACK")),
        }
    }

    fn start(connected: Connected) -> Self {
        let (outgoing, to_write) = mpsc::unbounded_channel();
        let (to_user, incoming) = mpsc::channel(MAX_WAITING);
        let asked = Arc::new(Mutex::new(Asked::default()));
        let gone = CancellationToken::new();
        let worker = Worker { connected, asked: Arc::clone(&asked), to_user };
        let ended = gone.clone().drop_guard();
        let task = tokio::spawn(async move {
            worker.run(to_write).await;
            drop(ended);
        });
        Self { outgoing, incoming, asked, gone, task }
    }

    /// Sends a packet that has a packet id and waits for its answer.
    pub(super) async fn ask(
        &self,
        awaited: &'static str,
        packet: impl FnOnce(NonZeroU16) -> Packet,
    ) -> Result<Ack, ObserverError> {
        let (answer, answered) = oneshot::channel();
        let packet_id = lock(&self.asked).take_id(answer).ok_or(ObserverError::HungUp)?;
        self.tell(packet(packet_id));
        match timeout(ANSWER_TIMEOUT, answered).await {
            Ok(Ok(ack)) => Ok(ack),
            Ok(Err(_)) => Err(ObserverError::HungUp),
            Err(_) => Err(timed_out(awaited)),
        }
    }

    /// Sends a packet that has no answer. After the end it goes nowhere.
    pub(super) fn tell(&self, packet: Packet) {
        // The task has gone with the connection: the caller learns that from `next` or `ask`.
        let _ = self.outgoing.send(packet);
    }

    pub(super) async fn next(&mut self) -> Option<Incoming> {
        self.incoming.recv().await
    }

    pub(super) async fn closed(&self) {
        self.gone.cancelled().await;
    }

    pub(super) async fn closed_in_time(&self) {
        // Too late is gone as well: dropping the link aborts its task.
        let _ = timeout(ANSWER_TIMEOUT, self.closed()).await;
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Asked {
    fn take_id(&mut self, answer: oneshot::Sender<Ack>) -> Option<NonZeroU16> {
        if self.closed || self.waiting.len() >= usize::from(u16::MAX) {
            return None;
        }
        loop {
            self.last_id = self.last_id.wrapping_add(1);
            if let Some(id) = NonZeroU16::new(self.last_id).filter(|id| !self.waiting.contains_key(id)) {
                self.waiting.insert(id, answer);
                return Some(id);
            }
        }
    }

    fn answer(&mut self, packet_id: NonZeroU16, ack: Ack) {
        if let Some(waiting) = self.waiting.remove(&packet_id) {
            // Whoever asked may have stopped waiting.
            let _ = waiting.send(ack);
        }
    }
}

/// A connection past its CONNACK.
struct Connected {
    stream: TlsStream<TcpStream>,
    buffer: BytesMut,
    codec: Codec,
}

struct Worker {
    connected: Connected,
    asked: Arc<Mutex<Asked>>,
    to_user: mpsc::Sender<Incoming>,
}

impl Worker {
    async fn run(mut self, mut to_write: mpsc::UnboundedReceiver<Packet>) {
        if let Err(error) = self.serve(&mut to_write).await {
            tracing::debug!(error = &error as &dyn std::error::Error, "observer connection ended");
        }
        let mut asked = lock(&self.asked);
        asked.closed = true;
        // Dropping the senders tells everybody who waits.
        asked.waiting.clear();
    }

    async fn serve(&mut self, to_write: &mut mpsc::UnboundedReceiver<Packet>) -> io::Result<()> {
        let mut ping = tokio::time::interval(KEEP_ALIVE / 2);
        ping.reset();
        loop {
            while let Some(packet) = self.connected.decode()? {
                self.take(packet);
            }
            tokio::select! {
                read = self.connected.stream.read_buf(&mut self.connected.buffer) => {
                    if read? == 0 {
                        return Ok(());
                    }
                }
                packet = to_write.recv() => match packet {
                    Some(Packet::Disconnect) => {
                        self.connected.write(Packet::Disconnect).await?;
                        return self.connected.stream.shutdown().await;
                    }
                    Some(packet) => self.connected.write(packet).await?,
                    None => return Ok(()),
                },
                _ = ping.tick() => self.connected.write(Packet::PingRequest).await?,
            }
        }
    }

    fn take(&self, packet: Packet) {
        match packet {
            Packet::Publish(publish) => {
                let message = Message { topic: publish.topic.to_string(), payload: publish.payload.to_vec() };
                if self.to_user.try_send((message, publish.packet_id)).is_err() {
                    tracing::warn!("observer does not read its messages, one is lost");
                }
            }
            Packet::PublishAck { packet_id } => lock(&self.asked).answer(packet_id, Ack::Published),
            Packet::SubscribeAck { packet_id, status } => {
                lock(&self.asked).answer(packet_id, Ack::Subscribed(status));
            }
            Packet::Connect(_)
            | Packet::ConnectAck(_)
            | Packet::PublishReceived { .. }
            | Packet::PublishRelease { .. }
            | Packet::PublishComplete { .. }
            | Packet::Subscribe { .. }
            | Packet::Unsubscribe { .. }
            | Packet::UnsubscribeAck { .. }
            | Packet::PingRequest
            | Packet::PingResponse
            | Packet::Disconnect => {}
        }
    }
}

impl Connected {
    fn decode(&mut self) -> io::Result<Option<Packet>> {
        let decoded = self.codec.decode(&mut self.buffer);
        Ok(decoded.map_err(io::Error::other)?.map(|(packet, _)| packet))
    }

    async fn write(&mut self, packet: Packet) -> io::Result<()> {
        let mut bytes = BytesMut::new();
        self.codec.encode(packet, &mut bytes).map_err(io::Error::other)?;
        self.stream.write_all(&bytes).await?;
        self.stream.flush().await
    }
}

async fn shake_hands(
    address: SocketAddr,
    credentials: &Credentials,
    client_id: &str,
) -> Result<Connected, ObserverError> {
    let address = SocketAddr::new(reachable(address.ip()), address.port());
    let config = client_config(credentials).map_err(ObserverError::Credentials)?;
    let socket = TcpStream::connect(address).await.map_err(|source| ObserverError::Unreachable { address, source })?;
    let name = ServerName::IpAddress(address.ip().into());
    let in_tls = |source| ObserverError::Tls { address, source };
    let stream = TlsConnector::from(Arc::new(config)).connect(name, socket).await.map_err(in_tls)?;
    let mut connected = Connected { stream, buffer: BytesMut::new(), codec: Codec::new(0) };
    let connect = Connect {
        clean_session: true,
        keep_alive: u16::try_from(KEEP_ALIVE.as_secs()).unwrap_or(u16::MAX),
        ..Connect::default().client_id(client_id.to_owned())
    };
    connected.write(connect.into()).await.map_err(in_tls)?;
    loop {
        match connected.decode().map_err(in_tls)? {
            Some(Packet::ConnectAck(ack)) => match u8::from(ack.return_code) {
                0 => return Ok(connected),
                code => return Err(ObserverError::Refused { code }),
            },
            Some(_) => return Err(ObserverError::HungUp),
            None => {}
        }
        match connected.stream.read_buf(&mut connected.buffer).await {
            Ok(0) => return Err(ObserverError::HungUp),
            Ok(_) => {}
            // In TLS 1.3 the alert for a refused certificate comes after the handshake.
            Err(source) if source.kind() == io::ErrorKind::InvalidData => return Err(in_tls(source)),
            Err(_) => return Err(ObserverError::HungUp),
        }
    }
}

fn client_config(credentials: &Credentials) -> Result<ClientConfig, Cause> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    for root in &credentials.roots {
        roots.add(root.clone())?;
    }
    let key = rustls::crypto::ring::sign::any_supported_type(&credentials.key)?;
    // Through a resolver, because rustls refuses X.509 v1 where it parses the certificate itself.
    let certificate = SingleCertAndKey::from(CertifiedKey::new(credentials.chain.clone(), key));
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_client_cert_resolver(Arc::new(certificate));
    config.resumption = Resumption::disabled();
    Ok(config)
}

fn reachable(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        IpAddr::V4(_) | IpAddr::V6(_) => ip,
    }
}

fn timed_out(awaited: &'static str) -> ObserverError {
    ObserverError::TimedOut { awaited, seconds: ANSWER_TIMEOUT.as_secs() }
}

fn lock(asked: &Mutex<Asked>) -> MutexGuard<'_, Asked> {
    asked.lock().unwrap_or_else(PoisonError::into_inner)
}
