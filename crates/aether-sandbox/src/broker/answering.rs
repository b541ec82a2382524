//! Provisioning answers: to the connection that asked, to nobody else, and never to the disk.

use std::sync::Arc;

use super::client::Client;
use super::ending::EndReason;
use super::message::{Message, Qos};
use super::subscriber::{How, Subscriber};
use super::{Broker, faulty};
use crate::faults::{Corruption, Flow};
use crate::provisioning::{Answer, Rejection, RequestTopic};
use crate::{AuditDecision, AuditRecord};

/// Sends a provisioning answer, unless the fault script has something else in mind.
pub(super) async fn faulty_answer(
    broker: &Broker,
    client: &Client,
    subscriber: &Arc<Subscriber>,
    request: &RequestTopic,
    mut done: Answer,
) {
    let topic = request.answer_topic(done.accepted());
    let mut corruption = None;
    match faulty::on_answer(broker, client, request.audit_event(), &topic) {
        Some(Flow::Drop) => return,
        Some(Flow::Disconnect) => return client.end(EndReason::Cut),
        Some(Flow::Delay(by)) => tokio::select! {
            () = broker.stop.cancelled() => return,
            () = tokio::time::sleep(by) => {}
        },
        Some(Flow::Duplicate) => answer(broker, client, subscriber, request, &done, None),
        Some(Flow::Corrupt(how)) => corruption = Some(how),
        Some(Flow::Refuse(status)) => {
            let message = "Refused by the fault script.".to_owned();
            done = Answer::rejected(request, Rejection { status, code: "FaultScript", message });
        }
        None => {}
    }
    answer(broker, client, subscriber, request, &done, corruption);
}

/// Sends a provisioning answer to the asking client, if it has subscribed to it (sheet, 1.1).
pub(super) fn answer(
    broker: &Broker,
    client: &Client,
    subscriber: &Arc<Subscriber>,
    request: &RequestTopic,
    answer: &Answer,
    corruption: Option<Corruption>,
) {
    let topic = request.answer_topic(answer.accepted());
    let subscribed = subscriber.subscribed_to(&topic);
    let (decision, mut reason) = match &answer.outcome {
        Ok(_) => (AuditDecision::Allowed, None),
        Err(rejection) => {
            let words = format!("{} {}: {}", rejection.status, rejection.code, rejection.message);
            (AuditDecision::Denied, Some(words))
        }
    };
    if subscribed.is_none() {
        let words = reason.map(|words| format!("{words}; ")).unwrap_or_default();
        reason = Some(format!("{words}nobody hears the answer: {topic} is not subscribed to"));
    }
    let note = client.witness.note(request.audit_event(), decision);
    client.witness.log.record(AuditRecord { topic: Some(topic.clone()), reason, ..note });
    if let Some(qos) = subscribed {
        let payload = match corruption {
            Some(how) => how.spoil(&answer.payload()),
            None => answer.payload().into(),
        };
        let message = Message::of_service(&topic, payload, Qos::AtLeastOnce, broker.clock.now());
        // For the connection that asked, not for one that has taken the client id over; and the private
        // key in it is not for the disk.
        let how = How { qos, retain: false, only: Some(client.connection()) };
        faulty::deliver(broker, subscriber, &Arc::new(message), how);
    }
}
