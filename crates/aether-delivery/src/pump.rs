//! Sends over one session what waits in the outbox, until the session ends.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use aether_mqtt::{PublishError, PublishTicket, Session, SessionEnded, Topic};
use aether_outbox::{Outbox, Sequence};
use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::time::{Instant, sleep_until};
use tracing::error;

use crate::pace::Bucket;

/// One session at work.
pub(crate) struct Pump<'a> {
    pub(crate) session: &'a dyn Session,
    pub(crate) topic: &'a Topic,
    pub(crate) outbox: &'a Outbox,
    pub(crate) window: usize,
    pub(crate) bucket: &'a mut Bucket,
}

/// A publish that waits for its PUBACK.
struct InFlight {
    sequence: Sequence,
    ticket: PublishTicket,
}

impl Future for InFlight {
    type Output = (Sequence, Result<(), PublishError>);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let sequence = self.sequence;
        Pin::new(&mut self.ticket).poll(context).map(|outcome| (sequence, outcome))
    }
}

impl Pump<'_> {
    /// Runs until the session ends. Begins at the oldest unacknowledged entry: a new session knows
    /// nothing of what an earlier one had in flight.
    ///
    /// Cancel safe: what is not acknowledged stays in the outbox.
    pub(crate) async fn run(self) -> SessionEnded {
        let Self { session, topic, outbox, window, bucket } = self;
        let mut in_flight: FuturesUnordered<InFlight> = FuturesUnordered::new();
        let mut sent: Option<Sequence> = None;
        loop {
            let room = window.saturating_sub(in_flight.len());
            let now = Instant::now();
            let allowed = bucket.available(now, room);
            let paced_out = room > 0 && allowed == 0;
            let mut full = false;
            if allowed > 0 {
                let mut left = 0;
                for entry in outbox.next_after(sent, allowed) {
                    match session.publish(topic, entry.payload) {
                        Ok(ticket) => in_flight.push(InFlight { sequence: entry.sequence, ticket }),
                        Err(PublishError::WindowFull { .. }) => {
                            full = true;
                            break;
                        }
                        Err(PublishError::Ended(ended)) => return ended,
                        // Never fits, so it would stand in everybody's way for ever.
                        Err(cause) => {
                            error!(sequence = %entry.sequence, error = &cause as &dyn std::error::Error, "event dropped");
                            outbox.acknowledge(entry.sequence);
                        }
                    }
                    sent = Some(entry.sequence);
                    left += 1;
                }
                bucket.spend(left);
            }
            tokio::select! {
                biased;
                Some((sequence, outcome)) = in_flight.next(), if !in_flight.is_empty() => match outcome {
                    Ok(()) => outbox.acknowledge(sequence),
                    Err(PublishError::Ended(ended)) => return ended,
                    // The session is over or will say so; the entry stays for the next one.
                    Err(_) => return session.ended().await,
                },
                ended = session.ended() => return ended,
                () = sleep_until(bucket.next_at(now)), if paced_out => {}
                () = outbox.wait_after(sent), if allowed > 0 && !full => {}
            }
        }
    }
}
