//! The latest decisions, kept in memory for those who ask what has just happened.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

use crate::AuditStream;

/// How many decisions are kept; the file `audit.jsonl` has more.
const KEPT: usize = 1000;
/// How many a reader may fall behind before it misses some.
const BACKLOG: usize = 1024;

/// The latest decisions, each as one JSON object.
#[derive(Debug)]
pub(super) struct DecisionRing {
    kept: Mutex<VecDeque<Arc<str>>>,
    live: broadcast::Sender<Arc<str>>,
}

impl Default for DecisionRing {
    fn default() -> Self {
        Self { kept: Mutex::default(), live: broadcast::Sender::new(BACKLOG) }
    }
}

impl DecisionRing {
    /// Takes in the decisions of a stream until it or the sandbox ends.
    pub(super) async fn follow(self: Arc<Self>, mut stream: AuditStream, stop: CancellationToken) {
        loop {
            let record = tokio::select! {
                () = stop.cancelled() => return,
                record = stream.next() => record,
            };
            match record {
                Some(record) => self.push(record.to_json().into()),
                None => return,
            }
        }
    }

    fn push(&self, line: Arc<str>) {
        let mut kept = self.kept();
        if kept.len() >= KEPT {
            kept.pop_front();
        }
        kept.push_back(Arc::clone(&line));
        // Under the lock, so that `since` neither misses nor repeats one. Nobody listening is usual.
        let _ = self.live.send(line);
    }

    /// The last `count` decisions, oldest first, and all that follow them.
    pub(super) fn since(&self, count: usize) -> (Vec<Arc<str>>, broadcast::Receiver<Arc<str>>) {
        let kept = self.kept();
        let skip = kept.len().saturating_sub(count);
        (kept.iter().skip(skip).cloned().collect(), self.live.subscribe())
    }

    fn kept(&self) -> MutexGuard<'_, VecDeque<Arc<str>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_are_kept_and_what_follows_is_neither_missed_nor_repeated() {
        let ring = DecisionRing::default();
        for number in 0..KEPT + 5 {
            ring.push(number.to_string().into());
        }
        let (last, mut live) = ring.since(2);
        assert_eq!(last, [Arc::from("1003"), Arc::from("1004")]);
        ring.push("next".into());
        assert_eq!(live.try_recv().unwrap(), Arc::from("next"));
        assert!(live.try_recv().is_err());
        assert_eq!(ring.since(usize::MAX).0.len(), KEPT);
    }
}
