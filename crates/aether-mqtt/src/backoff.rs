//! How long to wait before the next attempt.

use std::time::Duration;

/// Exponential back-off with full jitter above a floor.
///
/// The n-th delay (from 0) is drawn evenly between `base` and `min(max, base × 2^(n+1))`. AWS's form draws from 0; the
/// floor keeps one device from ever looping tightly: AWS IoT Core allows one CONNECT per second and client id, so a
/// `base` of at least 1 s suits it. The jitter keeps a fleet from coming back all at once.
#[derive(Clone, Debug)]
pub struct Backoff {
    base: Duration,
    max: Duration,
    attempt: u32,
}

impl Backoff {
    /// A back-off from `base` up to `max`. A `max` below `base` counts as `base`.
    #[must_use]
    pub fn new(base: Duration, max: Duration) -> Self {
        Self { base, max: max.max(base), attempt: 0 }
    }

    /// The next delay, chosen by `random`: 0 gives the shortest, `u64::MAX` the longest.
    pub fn next_delay(&mut self, random: u64) -> Duration {
        let factor = 2_u32.saturating_pow(self.attempt.saturating_add(1));
        let ceiling = self.base.saturating_mul(factor).min(self.max);
        self.attempt = self.attempt.saturating_add(1);
        #[expect(clippy::cast_precision_loss, reason = "a fraction for jitter needs no more than 53 bits")]
        let fraction = random as f64 / u64::MAX as f64;
        self.base + (ceiling - self.base).mul_f64(fraction)
    }

    /// The next delay, chosen by the operating system's random numbers.
    ///
    /// Should those fail, the longest delay of this attempt.
    pub fn next_random_delay(&mut self) -> Duration {
        self.next_delay(getrandom::u64().unwrap_or(u64::MAX))
    }

    /// Starts over at `base`, for after a success.
    pub fn reset(&mut self) {
        self.attempt = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_longest_delay_doubles_up_to_the_maximum() {
        let mut backoff = Backoff::new(SECOND, 10 * SECOND);
        let longest: Vec<u64> = (0..5).map(|_| backoff.next_delay(u64::MAX).as_secs()).collect();
        assert_eq!(longest, [2, 4, 8, 10, 10]);
        backoff.reset();
        assert_eq!(backoff.next_delay(u64::MAX), 2 * SECOND);
    }

    #[test]
    fn no_delay_is_below_the_base() {
        let mut backoff = Backoff::new(SECOND, 60 * SECOND);
        for _ in 0..200 {
            assert_eq!(backoff.clone().next_delay(0), SECOND);
            assert!(backoff.next_random_delay() >= SECOND);
        }
    }

    #[test]
    fn a_maximum_below_the_base_counts_as_the_base() {
        let mut backoff = Backoff::new(SECOND, Duration::ZERO);
        assert_eq!(backoff.next_delay(u64::MAX), SECOND);
    }

    #[test]
    fn attempts_beyond_counting_stay_at_the_maximum() {
        let mut backoff = Backoff { base: SECOND, max: Duration::from_secs(120), attempt: u32::MAX };
        assert_eq!(backoff.next_delay(u64::MAX), Duration::from_secs(120));
    }
}
