//! A token bucket: no more publishes per second than the broker takes.

use std::time::Duration;

use tokio::time::Instant;

/// How many publishes per second may leave.
///
/// AWS IoT Core discards what exceeds 100 publishes per second and connection, without a PUBACK
/// (AWS General Reference, "AWS IoT Core endpoints and quotas", message broker limits).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    per_second: Option<u32>,
}

impl Pace {
    /// As fast as acknowledgements come.
    pub const UNLIMITED: Self = Self { per_second: None };

    /// At most `publishes` per second, in bursts of at most a tenth of that; at least 1.
    pub const fn per_second(publishes: u32) -> Self {
        Self { per_second: Some(if publishes == 0 { 1 } else { publishes }) }
    }

    pub(crate) fn start(self, now: Instant) -> Bucket {
        Bucket { per_second: self.per_second, tokens: self.capacity(), filled_at: now }
    }

    fn capacity(self) -> f64 {
        self.per_second.map_or(f64::INFINITY, |rate| (f64::from(rate) / 10.0).max(1.0))
    }
}

/// What is left of the pace at one moment.
#[derive(Debug)]
pub(crate) struct Bucket {
    per_second: Option<u32>,
    tokens: f64,
    filled_at: Instant,
}

impl Bucket {
    /// How many publishes may leave at `now`, at most `wanted`.
    pub(crate) fn available(&mut self, now: Instant, wanted: usize) -> usize {
        let Some(rate) = self.per_second else { return wanted };
        let grown = now.saturating_duration_since(self.filled_at).as_secs_f64() * f64::from(rate);
        self.tokens = (self.tokens + grown).min(Pace { per_second: self.per_second }.capacity());
        self.filled_at = now;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and the capacity")]
        let whole = self.tokens as usize;
        whole.min(wanted)
    }

    /// Takes note of publishes that left.
    pub(crate) fn spend(&mut self, publishes: usize) {
        #[expect(clippy::cast_precision_loss, reason = "at most the window")]
        let spent = publishes as f64;
        self.tokens -= spent;
    }

    /// When the next publish may leave, for one that may not leave at `now`.
    pub(crate) fn next_at(&self, now: Instant) -> Instant {
        let missing = (1.0 - self.tokens).max(0.0);
        now + self.per_second.map_or(Duration::ZERO, |rate| Duration::from_secs_f64(missing / f64::from(rate)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn no_second_sees_more_than_its_share_and_a_burst() {
        let mut bucket = Pace::per_second(100).start(Instant::now());
        let (start, mut sent) = (Instant::now(), 0);
        while start.elapsed() < Duration::from_secs(10) {
            let now = Instant::now();
            let batch = bucket.available(now, 50);
            bucket.spend(batch);
            sent += batch;
            tokio::time::sleep_until(bucket.next_at(now)).await;
        }
        assert!((1000..=1011).contains(&sent), "{sent}");
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_limit_everything_may_leave() {
        let mut bucket = Pace::UNLIMITED.start(Instant::now());
        bucket.spend(1_000_000);
        assert_eq!(bucket.available(Instant::now(), 77), 77);
    }
}
