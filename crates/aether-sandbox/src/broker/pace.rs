//! How fast a connection may go: messages a second, bytes a second.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);
/// How many keys are remembered before those of earlier seconds are forgotten.
const MAX_KEYS: usize = 10_000;

/// Counts events by the second and says when there were too many.
#[derive(Debug)]
pub(super) struct Pace {
    per_second: u32,
    window: Mutex<Option<(Instant, u32)>>,
}

impl Pace {
    pub(super) fn new(per_second: u32) -> Self {
        Self { per_second, window: Mutex::new(None) }
    }

    /// Whether one more is within the limit; one that is not does not count.
    pub(super) fn take(&self) -> bool {
        if self.per_second == u32::MAX {
            return true;
        }
        let now = Instant::now();
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        let (begun, count) = match *window {
            Some((begun, count)) if now.duration_since(begun) < SECOND => (begun, count),
            Some(_) | None => (now, 0),
        };
        let within = count < self.per_second;
        *window = Some((begun, count + u32::from(within)));
        within
    }
}

/// Counts by the second for each of many keys.
#[derive(Debug)]
pub(super) struct Paces {
    per_second: u32,
    recent: Mutex<HashMap<Box<str>, (Instant, u32)>>,
}

impl Paces {
    pub(super) fn new(per_second: u32) -> Self {
        Self { per_second, recent: Mutex::default() }
    }

    /// Whether one more of this key is within the limit; one that is not does not count.
    pub(super) fn take(&self, key: &str) -> bool {
        if self.per_second == u32::MAX {
            return true;
        }
        let now = Instant::now();
        let fresh = |begun: Instant| now.duration_since(begun) < SECOND;
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if recent.len() >= MAX_KEYS {
            recent.retain(|_, (begun, _)| fresh(*begun));
        }
        match recent.get_mut(key).filter(|(begun, _)| fresh(*begun)) {
            Some((_, count)) if *count >= self.per_second => false,
            Some((_, count)) => {
                *count += 1;
                true
            }
            None => {
                recent.insert(key.into(), (now, 1));
                self.per_second > 0
            }
        }
    }
}

/// Delays what goes beyond so many bytes a second; one second's worth may come at once.
#[derive(Debug)]
pub(super) struct Throttle {
    bytes_per_second: u32,
    /// When all that was charged so far would have passed at the allowed rate.
    passed: Mutex<Option<Instant>>,
}

impl Throttle {
    pub(super) fn new(bytes_per_second: u32) -> Self {
        Self { bytes_per_second, passed: Mutex::new(None) }
    }

    /// Charges bytes that are to pass; gives how long they have to wait.
    pub(super) fn charge(&self, bytes: usize) -> Duration {
        if self.bytes_per_second == u32::MAX {
            return Duration::ZERO;
        }
        let now = Instant::now();
        let takes = Duration::from_secs_f64(bytes as f64 / f64::from(self.bytes_per_second.max(1)));
        let mut passed = self.passed.lock().unwrap_or_else(PoisonError::into_inner);
        let begins = passed.filter(|passed| *passed > now).unwrap_or(now);
        let ends = begins + takes;
        *passed = Some(ends);
        ends.duration_since(now).saturating_sub(SECOND)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_second_holds_so_many_and_the_next_second_as_many_again() {
        let pace = Pace::new(3);
        assert_eq!([(); 5].map(|()| pace.take()), [true, true, true, false, false]);
        tokio::time::advance(Duration::from_millis(999)).await;
        assert!(!pace.take());
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!([(); 4].map(|()| pace.take()), [true, true, true, false]);
    }

    #[tokio::test(start_paused = true)]
    async fn each_key_has_its_own_second() {
        let paces = Paces::new(1);
        assert_eq!(["a", "a", "b"].map(|key| paces.take(key)), [true, false, true]);
        tokio::time::advance(SECOND).await;
        assert!(paces.take("a"));
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_beyond_a_seconds_worth_wait() {
        let throttle = Throttle::new(1000);
        assert_eq!(throttle.charge(1000), Duration::ZERO);
        assert_eq!(throttle.charge(500), Duration::from_millis(500));
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(throttle.charge(1000), Duration::ZERO);
    }
}
