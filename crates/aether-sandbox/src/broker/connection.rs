//! The life of one network connection, from the first byte to the last.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, WriteHalf};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use super::admission::{self, Admitted};
use super::client::{Client, Witness};
use super::codec::{Codec, reason_of};
use super::ending::{EndReason, Fault};
use super::faulty::SILENCE;
use super::first_packet::read_connect;
use super::handshake::handshake;
use super::limits::{BUSY_READ, DRAIN_TIMEOUT, IDLE_READ, PACKET_ROOM, WRITE_TIMEOUT};
use super::message::{Message, Qos};
use super::packet::{Accept, Outgoing, Version, Will};
use super::refusal::Refusal;
use super::session::Session;
use super::subscriber::Subscriber;
use super::wire::Taken;
use super::{Broker, faulty};
use crate::access::Action;
use crate::faults::{Flow, Step, Subject};
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
    match broker.faults.hit(Step::TlsAccept, Subject::default()) {
        Some(Flow::Delay(by)) => pause(&stop, by).await,
        // Silent, until the client has given up.
        Some(Flow::Drop) => return pause(&stop, SILENCE).await,
        Some(Flow::Disconnect | Flow::Refuse(_)) => return,
        Some(Flow::Duplicate | Flow::Corrupt(_)) | None => {}
    }
    let handshake = tokio::select! {
        () = stop.cancelled() => return,
        handshake = handshake(&broker, socket, &witness) => handshake,
    };
    let Some((mut stream, identity)) = handshake else { return };
    witness.identity = Some(identity.clone());
    let mut buffer = BytesMut::with_capacity(IDLE_READ);
    let mut version = None;
    let connect = tokio::select! {
        () = stop.cancelled() => return,
        connect = read_connect(&mut stream, &mut buffer, max_packet(&broker), &mut version) => connect,
    };
    if let Ok((connect, _)) = &connect {
        let certificate = Some(&identity.certificate);
        let subject = Subject { client_id: Some(&connect.client_id), certificate, topics: &[] };
        match broker.faults.hit(Step::Connect, subject) {
            Some(Flow::Delay(by)) => pause(&stop, by).await,
            Some(Flow::Drop) => return pause(&stop, SILENCE).await,
            Some(Flow::Disconnect) => return,
            Some(Flow::Refuse(code)) => return refuse(stream, &Refusal::scripted(code), version).await,
            Some(Flow::Duplicate | Flow::Corrupt(_)) | None => {}
        }
    }
    let admitted = match connect {
        Ok((connect, codec)) => admission::admit(&broker, witness, identity, connect).map(|admitted| (admitted, codec)),
        Err(refusal) => {
            admission::refused(&broker, &witness, &refusal);
            Err(refusal)
        }
    };
    match admitted {
        Ok((admitted, codec)) => run(&broker, stream, buffer, codec, admitted).await,
        Err(refusal) => refuse(stream, &refusal, version).await,
    }
}

async fn refuse(mut stream: TlsStream<TcpStream>, refusal: &Refusal, version: Option<Version>) {
    let farewell = async {
        if let Some(answer) = refusal.answer(version) {
            stream.write_all(&answer).await?;
        }
        stream.shutdown().await
    };
    // The client is refused either way; whether it hears so is up to the network.
    let _ = timeout(DRAIN_TIMEOUT, farewell).await;
}

async fn pause(stop: &CancellationToken, by: Duration) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = sleep(by) => {}
    }
}

/// Longest packet taken: a full payload, a full topic and properties, a CONNECT's fields.
fn max_packet(broker: &Broker) -> u32 {
    u32::try_from(broker.limits.payload_bytes + PACKET_ROOM).unwrap_or(u32::MAX)
}

/// Serves a client that was let in.
async fn run(
    broker: &Arc<Broker>,
    stream: TlsStream<TcpStream>,
    mut buffer: BytesMut,
    mut codec: Codec,
    admitted: Admitted,
) {
    let Admitted { client, will, keep_alive, .. } = &admitted;
    let (mut read, write) = tokio::io::split(stream);
    let now = broker.clock.now();
    let (subscriber, session_present) = broker.router.enter(client, admitted.clean, admitted.expiry, now);
    // Asked again now that the client can be found and cut: the status may have changed between.
    if client.status() != Some(CertificateStatus::Active) {
        client.end(EndReason::Deactivated);
    }
    let version = broker.presence.enter(&client.id, now);
    let accepted = accept(broker, &admitted, session_present).await;
    broker.announce_connected(client, version);
    // Starts after CONNACK is encoded: nothing overtakes it.
    let writing = write_out(write, Arc::clone(broker), Arc::clone(client), Arc::clone(&subscriber));
    let writer = tokio::spawn(writing);
    let session = Session::new(Arc::clone(broker), Arc::clone(client), Arc::clone(&subscriber));
    let fault = match accepted {
        Ok(()) => read_in(&mut read, &mut buffer, &mut codec, &session, *keep_alive * 3 / 2).await,
        Err(fault) => fault,
    };
    client.end(fault.reason);
    // Another reason may have come first: the take-over that made the read stop, for instance.
    let reason = client.ended().unwrap_or(fault.reason);
    let code = if reason == fault.reason { fault.code } else { reason.code() };
    let now = broker.clock.now();
    broker.router.leave(&subscriber, client, session.goodbye_expiry(), now);
    client.wire.close(reason.drains(), code);
    finish_writing(writer).await;
    record_end(client, &subscriber, reason, &fault);
    broker.presence.leave(&client.id, now);
    broker.announce_disconnected(client, reason, version);
    if let Some(will) = will
        && (reason != EndReason::ClientInitiated || fault.with_will)
        && !broker.stop.is_cancelled()
    {
        publish_will(broker, client, will);
    }
}

/// Sends CONNACK. A fault that delays it delays all that follows.
async fn accept(broker: &Broker, admitted: &Admitted, session_present: bool) -> Result<(), Fault> {
    let client = &admitted.client;
    let packet = Outgoing::Accept(acceptance(broker, admitted, session_present));
    let certificate = Some(&client.identity.certificate);
    let subject = Subject { client_id: Some(&client.id), certificate, topics: &[] };
    match broker.faults.hit(Step::Connack, subject) {
        Some(Flow::Delay(by)) => pause(&broker.stop, by).await,
        Some(Flow::Drop) => return Ok(()),
        Some(Flow::Disconnect) => return Err(faulty::cut()),
        Some(Flow::Duplicate) => client.wire.send(&packet)?,
        Some(Flow::Corrupt(how)) => {
            let mut bytes = BytesMut::new();
            client.version().encode(&packet, &mut bytes);
            return Ok(client.wire.send_raw(&how.spoil(&bytes))?);
        }
        Some(Flow::Refuse(_)) | None => {}
    }
    Ok(client.wire.send(&packet)?)
}

fn acceptance(broker: &Broker, admitted: &Admitted, session_present: bool) -> Accept {
    let seconds = |time: Duration| time.as_secs();
    Accept {
        session_present,
        expiry: admitted.adjusted_expiry.map(|expiry| u32::try_from(seconds(expiry)).unwrap_or(u32::MAX)),
        assigned_client_id: admitted.named.then(|| admitted.client.id.clone()),
        receive_max: broker.limits.in_flight,
        aliases: broker.limits.topic_aliases,
        // A part of a second is not to be said, and none at all would switch keep-alive off.
        keep_alive: u16::try_from(seconds(admitted.keep_alive)).unwrap_or(u16::MAX).max(1),
        max_packet: max_packet(broker),
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
    let mut busy = false;
    loop {
        loop {
            // What came in before the end does not count after it: the certificate may be deactivated.
            if session.client().is_stopped() {
                return Fault::new(EndReason::ShutDown, "cut");
            }
            match codec.decode(buffer) {
                Ok(Some(packet)) => {
                    heard = Instant::now();
                    if let Err(fault) = faulty::handle(session.broker(), session, packet).await {
                        return fault;
                    }
                }
                Ok(None) => break,
                Err(error) => return Fault::client(reason_of(&error), error.to_string()),
            }
        }
        session.wait_for_room().await;
        make_room(buffer, busy);
        let room = buffer.capacity() - buffer.len();
        let bytes = tokio::select! {
            () = session.client().stopped() => return Fault::new(EndReason::ShutDown, "cut"),
            bytes = timeout_at(heard + silence, read.read_buf(buffer)) => bytes,
        };
        match bytes {
            Ok(Ok(0)) => return Fault::new(EndReason::ConnectionLost, "closed by the client"),
            Ok(Ok(bytes)) => {
                busy = bytes >= room.min(IDLE_READ);
                let wait = session.client().wire.throttle.charge(bytes);
                if !wait.is_zero() {
                    tokio::select! {
                        () = session.client().stopped() => {}
                        () = sleep(wait) => {}
                    }
                    heard = Instant::now();
                }
            }
            // Without TLS's close_notify, which is how a killed client goes.
            Ok(Err(error)) if error.kind() == ErrorKind::UnexpectedEof => {
                return Fault::new(EndReason::ConnectionLost, "closed by the client");
            }
            Ok(Err(error)) => return Fault::new(EndReason::ConnectionLost, error.to_string()),
            Err(_) => return Fault::new(EndReason::KeepAliveTimeout, "nothing heard"),
        }
    }
}

/// A client that fills what it is given to fill is read from in large pieces; one that has little to
/// say keeps little memory.
fn make_room(buffer: &mut BytesMut, busy: bool) {
    if busy {
        buffer.reserve(BUSY_READ);
    } else if buffer.is_empty() && buffer.capacity() > IDLE_READ {
        *buffer = BytesMut::with_capacity(IDLE_READ);
    } else {
        buffer.reserve(1);
    }
}

/// The writer task: everything for the client passes through here.
async fn write_out<W: AsyncWrite + Unpin>(
    mut write: WriteHalf<W>,
    broker: Arc<Broker>,
    client: Arc<Client>,
    subscriber: Arc<Subscriber>,
) {
    let wire = &client.wire;
    loop {
        let may_receive = |message: &Message| client.may_receive(&message.topic);
        let advanced = subscriber.mailbox.advance(wire, &broker.limits, broker.clock.now(), may_receive);
        advanced.done.iter().for_each(|number| subscriber.done(*number));
        match wire.take() {
            Taken::Bytes(bytes) => {
                let wait = wire.throttle.charge(bytes.len());
                if !wait.is_zero() {
                    tokio::select! {
                        () = client.stopped() => {}
                        () = sleep(wait) => {}
                    }
                }
                let written = timeout(WRITE_TIMEOUT, async {
                    write.write_all(&bytes).await?;
                    write.flush().await
                });
                if !matches!(written.await, Ok(Ok(()))) {
                    client.end(EndReason::ConnectionLost);
                    return;
                }
            }
            Taken::Closed => break,
            Taken::Nothing => match advanced.again {
                Some(again) => tokio::select! {
                    () = wire.woken() => {}
                    () = sleep_until(again) => {}
                },
                None => wire.woken().await,
            },
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

fn record_end(client: &Client, subscriber: &Subscriber, reason: EndReason, fault: &Fault) {
    let mut words = reason.as_str().to_owned();
    if fault.reason == reason && !fault.detail.is_empty() {
        words = format!("{words}: {}", fault.detail);
    } else if let Some(detail) = reason.detail() {
        words = format!("{words}: {detail}");
    }
    let dropped = subscriber.mailbox.dropped();
    if dropped > 0 {
        words = format!("{words}; {dropped} deliveries dropped because its queue was full");
    }
    let note = client.witness.note(AuditEvent::Disconnect, AuditDecision::Allowed);
    client.witness.log.record(AuditRecord { reason: Some(words), ..note });
}

/// Sends the last will of a client that went without a goodbye (sheet, 4.6).
fn publish_will(broker: &Broker, client: &Client, will: &Will) {
    let verdict = client.may(Action::Publish, &will.topic);
    if !verdict.allowed || (will.retain && !client.may(Action::RetainPublish, &will.topic).allowed) {
        return;
    }
    let now = broker.clock.now();
    let message = Message {
        topic: will.topic.as_str().into(),
        payload: will.payload.clone(),
        qos: will.qos.unwrap_or(Qos::AtLeastOnce),
        retain: will.retain,
        properties: will.properties.clone(),
        expires: broker.expires(will.expiry.map(Into::into), now),
        at: now,
        connection: client.connection(),
    };
    match broker.publish(message, Some(&client.id)) {
        Ok(_) => client.witness.allowed(AuditEvent::Publish, &will.topic, verdict.decided_by),
        Err(refused) => client.witness.denied(AuditEvent::Publish, Some(&will.topic), None, refused.reason()),
    }
}
