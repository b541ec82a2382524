//! Where the steps of a connection meet the fault script.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::time::sleep;

use super::Broker;
use super::client::Client;
use super::ending::{EndReason, Fault};
use super::message::Message;
use super::packet::{Incoming, Outgoing, Publish};
use super::session::Session;
use super::subscriber::{How, Subscriber};
use crate::AuditEvent;
use crate::faults::{Flow, Step, Subject};

/// How long a step that was dropped keeps its connection before it is closed.
pub(super) const SILENCE: Duration = Duration::from_secs(60);

/// The end of a connection that a rule disconnects.
pub(super) fn cut() -> Fault {
    Fault::new(EndReason::Cut, "fault script")
}

fn about<'a>(client: &'a Client, topics: &'a [&'a str]) -> Subject<'a> {
    Subject { client_id: Some(&client.id), certificate: Some(&client.identity.certificate), topics }
}

/// What the script says of the answer to a provisioning request.
pub(super) fn on_answer(broker: &Broker, client: &Client, asked: AuditEvent, topic: &str) -> Option<Flow> {
    let steps = [
        (AuditEvent::CreateKeysAndCertificate, Step::CreateKeys),
        (AuditEvent::CreateCertificateFromCsr, Step::CreateCsr),
        (AuditEvent::RegisterThing, Step::RegisterThing),
    ];
    let (_, step) = steps.into_iter().find(|(event, _)| *event == asked)?;
    broker.faults.hit(step, about(client, &[topic]))
}

/// Sends an answer, unless the script has something else in mind.
pub(super) fn send(
    broker: &Broker,
    client: &Arc<Client>,
    step: Step,
    topics: &[&str],
    packet: Outgoing,
) -> Result<(), Fault> {
    match broker.faults.hit(step, about(client, topics)) {
        None | Some(Flow::Refuse(_)) => {}
        Some(Flow::Drop) => return Ok(()),
        Some(Flow::Duplicate) => client.wire.send(&packet)?,
        Some(Flow::Disconnect) => return Err(cut()),
        Some(Flow::Corrupt(how)) => {
            let mut bytes = BytesMut::new();
            client.version().encode(&packet, &mut bytes);
            return Ok(client.wire.send_raw(&how.spoil(&bytes))?);
        }
        Some(Flow::Delay(by)) => {
            let client = Arc::clone(client);
            let stop = broker.stop.clone();
            broker.tasks.spawn(async move {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = sleep(by) => {
                        if client.wire.send(&packet).is_err() {
                            client.end(EndReason::ClientError);
                        }
                    }
                }
            });
            return Ok(());
        }
    }
    Ok(client.wire.send(&packet)?)
}

/// Handles a packet, unless the script has something else in mind.
pub(super) async fn handle(broker: &Broker, session: &Session, packet: Incoming) -> Result<(), Fault> {
    let client = session.client();
    let flow = match &packet {
        Incoming::Publish(publish) => broker.faults.hit(Step::Publish, about(client, &[&publish.topic])),
        Incoming::Subscribe { filters, .. } => {
            let topics: Vec<&str> = filters.iter().map(|filter| filter.text.as_str()).collect();
            broker.faults.hit(Step::Subscribe, about(client, &topics))
        }
        Incoming::PublishAck { .. }
        | Incoming::Unsubscribe { .. }
        | Incoming::Ping
        | Incoming::Disconnect { .. }
        | Incoming::Auth
        | Incoming::Connect(_)
        | Incoming::QosTwo
        | Incoming::OfServer => None,
    };
    let packet = match (flow, packet) {
        (Some(Flow::Drop), _) => return Ok(()),
        (Some(Flow::Disconnect), _) => return Err(cut()),
        (Some(Flow::Refuse(code)), packet) => {
            return session.refuse(u8::try_from(code).unwrap_or(u8::MAX), &packet);
        }
        (Some(Flow::Delay(by)), packet) => {
            tokio::select! {
                () = client.stopped() => {}
                () = sleep(by) => {}
            }
            if client.is_stopped() {
                return Err(Fault::new(EndReason::ShutDown, "cut"));
            }
            packet
        }
        (Some(Flow::Duplicate), Incoming::Publish(publish)) => {
            session.handle(Incoming::Publish(publish.clone()))?;
            Incoming::Publish(publish)
        }
        (Some(Flow::Corrupt(how)), Incoming::Publish(publish)) => {
            let payload = how.spoil(&publish.payload);
            Incoming::Publish(Publish { payload, ..publish })
        }
        (Some(Flow::Duplicate | Flow::Corrupt(_)) | None, packet) => packet,
    };
    session.handle(packet)
}

/// Delivers a message, unless the script has something else in mind. `true` if the receiver's
/// mailbox is crowded now.
pub(super) fn deliver(broker: &Broker, to: &Arc<Subscriber>, message: &Arc<Message>, how: How) -> bool {
    let client = to.client();
    let flow = client.as_ref().and_then(|client| broker.faults.hit(Step::Deliver, about(client, &[&message.topic])));
    let limits = &broker.limits;
    match flow {
        Some(Flow::Drop) => return false,
        Some(Flow::Duplicate) => {
            to.deliver(message, how, limits);
        }
        Some(Flow::Corrupt(spoiling)) => {
            let message = Message { payload: spoiling.spoil(&message.payload), ..Message::clone(message) };
            return to.deliver(&Arc::new(message), how, limits);
        }
        Some(Flow::Disconnect) => {
            if let Some(client) = client {
                client.end(EndReason::Cut);
            }
        }
        Some(Flow::Delay(by)) => {
            let (to, message) = (Arc::clone(to), Arc::clone(message));
            let (limits, stop) = (Arc::clone(limits), broker.stop.clone());
            broker.tasks.spawn(async move {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = sleep(by) => {
                        to.deliver(&message, how, &limits);
                    }
                }
            });
            return false;
        }
        Some(Flow::Refuse(_)) | None => {}
    }
    to.deliver(message, how, limits)
}
