//! A device that publishes as fast as the broker takes it.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::ensure;
use bytes::BytesMut;
use tokio::time::Instant;

use crate::client::Connection;
use crate::frames::{self, Frame, PUBACK};

/// Publishes that wait for their PUBACK: AWS's limit (sheet, 4.3).
const WINDOW: usize = 100;
/// Publishes in one write at QoS 0.
const BATCH: usize = 50;

/// What a publisher sends, and for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) qos: u8,
    /// Bytes of a payload.
    pub(crate) payload: usize,
    pub(crate) length: Duration,
}

/// Publishes for the time of the load; gives the connection back with the number of publishes the
/// broker has taken and the time that took.
///
/// A QoS 0 publish counts as taken when the broker answers the ping behind it.
pub(crate) async fn publish(
    mut connection: Connection,
    topic: String,
    load: Load,
) -> anyhow::Result<(Connection, usize, Duration)> {
    let payload = vec![b'x'; load.payload];
    let begun = Instant::now();
    let count = match load.qos {
        0 => unconfirmed(&mut connection, &topic, &payload, begun + load.length).await?,
        _ => confirmed(&mut connection, &topic, &payload, begun + load.length).await?,
    };
    Ok((connection, count, begun.elapsed()))
}

async fn unconfirmed(connection: &mut Connection, topic: &str, payload: &[u8], end: Instant) -> anyhow::Result<usize> {
    let mut batch = BytesMut::new();
    for _ in 0..BATCH {
        frames::publish(&mut batch, topic, 0, payload);
    }
    let mut sent = 0;
    while Instant::now() < end {
        connection.send(&batch).await?;
        sent += BATCH;
    }
    connection.ping().await?;
    Ok(sent)
}

async fn confirmed(connection: &mut Connection, topic: &str, payload: &[u8], end: Instant) -> anyhow::Result<usize> {
    let (mut last_id, mut acknowledged) = (0_u16, 0);
    let mut waiting = VecDeque::with_capacity(WINDOW);
    let mut batch = BytesMut::new();
    loop {
        batch.clear();
        let more = Instant::now() < end;
        while more && waiting.len() < WINDOW {
            last_id = last_id.checked_add(1).unwrap_or(1);
            frames::publish(&mut batch, topic, last_id, payload);
            waiting.push_back(last_id);
        }
        if !batch.is_empty() {
            connection.send(&batch).await?;
        }
        if waiting.is_empty() {
            return Ok(acknowledged);
        }
        let mut frame = Some(connection.receive().await?);
        while let Some(puback) = frame {
            ensure!(puback.kind() == PUBACK && puback.body.len() >= 2, "expected a PUBACK, got {puback:?}");
            let id = u16::from_be_bytes([puback.body[0], puback.body[1]]);
            ensure!(waiting.pop_front() == Some(id), "PUBACK {id} out of order, or for nothing sent");
            acknowledged += 1;
            frame = Frame::take(&mut connection.inbox)?;
        }
    }
}
