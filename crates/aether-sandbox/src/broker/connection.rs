//! The life of one network connection, from the first byte to the last.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use rmqtt_codec::v3::{Codec, ConnectAck, ConnectAckReason, LastWill, Packet};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, WriteHalf};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::codec::Decoder;

use super::Broker;
use super::admission::{self, Admitted};
use super::client::{Client, EndReason, Witness};
use super::limits::{DRAIN_TIMEOUT, HANDSHAKE_TIMEOUT, MAX_PACKET, WRITE_TIMEOUT};
use super::outbound::Delivery;
use super::session::{Fault, Session};
use crate::policy::Action;
use crate::trust::{ClientVerifier, Identity};
use crate::{AuditDecision, AuditEvent, AuditRecord, CertificateStatus};

/// Serves one connection to its end.
pub(super) async fn serve(broker: Arc<Broker>, socket: TcpStream, peer: SocketAddr) {
    let mut witness = Witness {
        log: broker.audit.clone(),
        connection: broker.next_connection(),
        peer,
        identity: None,
        client_id: None,
    };
    let stop = broker.stop.clone();
    let handshake = tokio::select! {
        () = stop.cancelled() => return,
        handshake = handshake(&broker, socket, &witness) => handshake,
    };
    let Some((mut stream, identity)) = handshake else { return };
    witness.identity = Some(identity.clone());
    let mut buffer = BytesMut::with_capacity(4096);
    let mut codec = Codec::new(MAX_PACKET);
    let connect = tokio::select! {
        () = stop.cancelled() => return,
        connect = admission::read_connect(&mut stream, &mut buffer, &mut codec) => connect,
    };
    let admitted = match connect {
        Ok(connect) => admission::admit(&broker, witness, identity, connect),
        Err(refusal) => {
            admission::refused(&witness, &refusal);
            Err(refusal)
        }
    };
    match admitted {
        Ok(admitted) => run(&broker, stream, buffer, codec, admitted).await,
        Err(refusal) => {
            let farewell = async {
                if let Some(answer) = refusal.answer {
                    stream.write_all(&answer).await?;
                }
                stream.shutdown().await
            };
            // The client is refused either way; whether it hears so is up to the network.
            let _ = timeout(DRAIN_TIMEOUT, farewell).await;
        }
    }
}

async fn handshake(broker: &Broker, socket: TcpStream, witness: &Witness) -> Option<(TlsStream<TcpStream>, Identity)> {
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(error = &error as &dyn std::error::Error, "could not set no-delay");
    }
    let verifier = Arc::new(ClientVerifier::new(Arc::clone(&broker.trust)));
    let config = match broker.tls.config(Arc::clone(&verifier)) {
        Ok(config) => config,
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "could not set up TLS");
            return None;
        }
    };
    let accepting = TlsAcceptor::from(config).accept(socket);
    let reason = match timeout(HANDSHAKE_TIMEOUT, accepting).await {
        Ok(Ok(stream)) => match verifier.identity() {
            Some(identity) => return Some((stream, identity.clone())),
            None => "no client certificate".to_owned(),
        },
        Ok(Err(error)) => error.to_string(),
        Err(_) => "TLS handshake not done in time".to_owned(),
    };
    let note = witness.note(AuditEvent::TlsHandshake, AuditDecision::Denied);
    let certificate_id = verifier.certificate().cloned();
    let certificate_kind = verifier.identity().map(|identity| identity.kind);
    witness.log.record(AuditRecord { certificate_id, certificate_kind, reason: Some(reason), ..note });
    None
}

/// Serves a client that was let in.
async fn run(
    broker: &Arc<Broker>,
    stream: TlsStream<TcpStream>,
    mut buffer: BytesMut,
    mut codec: Codec,
    admitted: Admitted,
) {
    let Admitted { client, silence, will } = admitted;
    let (mut read, write) = tokio::io::split(stream);
    let writer = tokio::spawn(write_out(write, Arc::clone(&client)));
    broker.router.enter(&client);
    // Asked again now that the client can be found and cut: the status may have changed between.
    if client.status() != Some(CertificateStatus::Active) {
        client.end(EndReason::ServerInitiated);
    }
    let session = Session::new(Arc::clone(broker), Arc::clone(&client));
    let fault = match session.send(connack()) {
        Ok(()) => read_in(&mut read, &mut buffer, &mut codec, &session, silence).await,
        Err(fault) => fault,
    };
    client.end(fault.reason);
    // Another reason may have come first: the take-over that made the read stop, for instance.
    let reason = client.ended().unwrap_or(fault.reason);
    broker.router.leave(&client);
    client.outbound.close(reason != EndReason::ServerInitiated);
    finish_writing(writer).await;
    record_end(&client, reason, &fault);
    if let Some(will) = will
        && reason != EndReason::ClientInitiated
        && !broker.stop.is_cancelled()
    {
        publish_will(broker, &client, will);
    }
}

/// Reads and handles packets until something ends the connection.
async fn read_in(
    read: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
    codec: &mut Codec,
    session: &Session,
    silence: Duration,
) -> Fault {
    let mut heard = Instant::now();
    loop {
        loop {
            match codec.decode(buffer) {
                Ok(Some((packet, _))) => {
                    heard = Instant::now();
                    if let Err(fault) = session.handle(packet) {
                        return fault;
                    }
                }
                Ok(None) => break,
                Err(error) => return Fault::new(EndReason::ClientError, error.to_string()),
            }
        }
        let bytes = tokio::select! {
            () = session.client().stopped() => return Fault::new(EndReason::ServerInitiated, "cut"),
            bytes = timeout_at(heard + silence, read.read_buf(buffer)) => bytes,
        };
        match bytes {
            Ok(Ok(0)) => return Fault::new(EndReason::ConnectionLost, "closed by the client"),
            Ok(Ok(_)) => {}
            // Without TLS's close_notify, which is how a killed client goes.
            Ok(Err(error)) if error.kind() == ErrorKind::UnexpectedEof => {
                return Fault::new(EndReason::ConnectionLost, "closed by the client");
            }
            Ok(Err(error)) => return Fault::new(EndReason::ConnectionLost, error.to_string()),
            Err(_) => return Fault::new(EndReason::KeepAliveTimeout, "nothing heard"),
        }
    }
}

/// The writer task: everything for the client passes through here.
async fn write_out<W: AsyncWrite + Unpin>(mut write: WriteHalf<W>, client: Arc<Client>) {
    while let Some(bytes) = client.outbound.next().await {
        let written = timeout(WRITE_TIMEOUT, async {
            write.write_all(&bytes).await?;
            write.flush().await
        });
        if !matches!(written.await, Ok(Ok(()))) {
            client.end(EndReason::ConnectionLost);
            return;
        }
    }
    // The connection is over; a client that has gone already cannot be told so.
    let _ = write.shutdown().await;
}

async fn finish_writing(mut writer: tokio::task::JoinHandle<()>) {
    if timeout(DRAIN_TIMEOUT, &mut writer).await.is_err() {
        writer.abort();
    }
}

fn connack() -> Packet {
    Packet::ConnectAck(ConnectAck {
        return_code: ConnectAckReason::ConnectionAccepted,
        // Sessions are not kept in this version, so none is ever present.
        session_present: false,
    })
}

fn record_end(client: &Client, reason: EndReason, fault: &Fault) {
    let mut words = reason.as_str().to_owned();
    if fault.reason == reason && !fault.detail.is_empty() {
        words = format!("{words}: {}", fault.detail);
    }
    let dropped = client.outbound.dropped();
    if dropped > 0 {
        words = format!("{words}; {dropped} deliveries dropped because its queue was full");
    }
    let note = client.witness.note(AuditEvent::Disconnect, AuditDecision::Allowed);
    client.witness.log.record(AuditRecord { reason: Some(words), ..note });
}

/// Sends the last will of a client that went without a goodbye (sheet, 4.6).
fn publish_will(broker: &Broker, client: &Client, will: LastWill) {
    let topic = will.topic.to_string();
    let verdict = client.may(Action::Publish, &topic);
    if verdict.allowed {
        client.witness.allowed(AuditEvent::Publish, &topic, verdict.decided_by);
        broker.router.publish(&Delivery { topic, payload: will.message, qos: will.qos });
    }
}
