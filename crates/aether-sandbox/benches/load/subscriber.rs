//! A client that counts what it gets.

use std::time::Duration;

use anyhow::bail;
use bytes::BytesMut;
use tokio::io::AsyncReadExt as _;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::client::Connection;
use crate::frames::{self, Frame, PUBLISH};

/// Silence after which nothing more is on its way.
const QUIET: Duration = Duration::from_millis(500);

/// Receives and acknowledges until `done` and then until nothing more comes; gives the number of
/// messages and the time from the first to the last of them.
pub(crate) async fn receive(mut connection: Connection, done: CancellationToken) -> anyhow::Result<(usize, Duration)> {
    let mut count = 0;
    let mut between: Option<(Instant, Instant)> = None;
    let mut answers = BytesMut::new();
    loop {
        let read = connection.stream.read_buf(&mut connection.inbox);
        let bytes = if done.is_cancelled() {
            match timeout(QUIET, read).await {
                Ok(bytes) => bytes?,
                Err(_) => break,
            }
        } else {
            tokio::select! {
                bytes = read => bytes?,
                () = done.cancelled() => continue,
            }
        };
        if bytes == 0 {
            bail!("the broker hung up on a subscriber after {count} messages");
        }
        let now = Instant::now();
        while let Some(frame) = Frame::take(&mut connection.inbox)? {
            if frame.kind() != PUBLISH {
                bail!("a subscriber got a packet of type {:#x}", frame.kind());
            }
            let message = frame.message()?;
            if message.packet_id != 0 {
                frames::puback(&mut answers, message.packet_id);
            }
            count += 1;
            between = Some((between.map_or(now, |(first, _)| first), now));
        }
        if !answers.is_empty() {
            connection.send(&answers).await?;
            answers.clear();
        }
    }
    connection.disconnect().await?;
    Ok((count, between.map_or(Duration::ZERO, |(first, last)| last - first).max(Duration::from_millis(1))))
}
