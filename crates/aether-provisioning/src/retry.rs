//! How soon, and how often, to try again.

use std::time::Duration;

use aether_mqtt::Backoff;

use crate::error::Pace;

/// How an attempt that failed is followed by another: exponential back-off with full jitter, in two paces.
///
/// What a network does is tried again soon; what somebody has to change in the cloud first (a policy, a hook's mind, a
/// quota) is tried slowly. Refusals that cost something there, and answers that make no sense, are tried a bounded
/// number of times in a row: each of those may leave a certificate behind that AWS keeps for an hour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    soon: (Duration, Duration),
    slow: (Duration, Duration),
    refusals: u32,
}

/// A bound of [`RetryPolicy`] that is out of its range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{setting} of {found:?} is out of range, expected {least:?} to {most:?}")]
pub struct InvalidRetry {
    setting: &'static str,
    found: Duration,
    least: Duration,
    most: Duration,
}

/// Shortest first delay: AWS IoT Core takes one CONNECT per second and client id.
const LEAST: Duration = Duration::from_secs(1);
const MOST: Duration = Duration::from_secs(24 * 3600);

impl Default for RetryPolicy {
    /// 1 s to 2 min; slowly 5 s to 10 min; ten refusals.
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { soon: (seconds(1), seconds(120)), slow: (seconds(5), seconds(600)), refusals: 10 }
    }
}

impl RetryPolicy {
    /// Shortest and longest delay after a connection that failed, and statuses 5xx. Range: 1 s to 24 h.
    ///
    /// # Errors
    ///
    /// [`InvalidRetry`] names the bound out of range.
    pub fn soon(mut self, first: Duration, longest: Duration) -> Result<Self, InvalidRetry> {
        self.soon = checked("the shortest delay", first, "the longest delay", longest)?;
        Ok(self)
    }

    /// Shortest and longest delay after a refusal: statuses 403 and 429, a subscription that was refused, a hang-up in
    /// the middle; and after a request that was not answered. Range: 1 s to 24 h.
    ///
    /// # Errors
    ///
    /// [`InvalidRetry`] names the bound out of range.
    pub fn slow(mut self, first: Duration, longest: Duration) -> Result<Self, InvalidRetry> {
        self.slow = checked("the shortest slow delay", first, "the longest slow delay", longest)?;
        Ok(self)
    }

    /// How many rejections with status 403 (what a pre-provisioning hook says), answers that make no sense, or
    /// certificates whose registration got lost, in a row before giving up. Default: 10. At least 1.
    #[must_use]
    pub fn refusals(mut self, in_a_row: u32) -> Self {
        self.refusals = in_a_row.max(1);
        self
    }

    pub(crate) fn begin(&self) -> Waits {
        let backoff = |(base, max)| Backoff::new(base, max);
        Waits { soon: backoff(self.soon), slow: backoff(self.slow), refused: 0, refusals: self.refusals }
    }
}

fn checked(
    first_name: &'static str,
    first: Duration,
    longest_name: &'static str,
    longest: Duration,
) -> Result<(Duration, Duration), InvalidRetry> {
    for (setting, found, least) in [(first_name, first, LEAST), (longest_name, longest, first.max(LEAST))] {
        if found < least || found > MOST {
            return Err(InvalidRetry { setting, found, least, most: MOST });
        }
    }
    Ok((first, longest))
}

/// How often was waited, and for how long the next time.
#[derive(Clone, Debug)]
pub(crate) struct Waits {
    soon: Backoff,
    slow: Backoff,
    refused: u32,
    refusals: u32,
}

/// What to do after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Try again after this time.
    After(Duration),
    /// Nothing helps but a change.
    Final,
    /// Tried this often, and no more.
    GiveUp(u32),
}

impl Waits {
    pub(crate) fn after(&mut self, pace: Pace, random: u64) -> Verdict {
        match pace {
            Pace::Normal => Verdict::After(self.soon.next_delay(random)),
            Pace::Slow => Verdict::After(self.slow.next_delay(random)),
            Pace::Bounded => {
                self.refused += 1;
                if self.refused >= self.refusals {
                    return Verdict::GiveUp(self.refused);
                }
                Verdict::After(self.slow.next_delay(random))
            }
            Pace::Never => Verdict::Final,
        }
    }

    /// The service has answered as hoped: delays start over.
    pub(crate) fn progressed(&mut self) {
        self.soon.reset();
        self.slow.reset();
    }

    /// There is a Thing: refusals start over, too. A certificate alone is no reason to, as a hook that refuses would then
    /// be asked with a new one every hour.
    pub(crate) fn succeeded(&mut self) {
        self.progressed();
        self.refused = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_bounded_in_a_row_and_other_failures_are_not() {
        let mut waits = RetryPolicy::default().refusals(3).begin();
        for pace in [Pace::Bounded, Pace::Normal, Pace::Slow, Pace::Bounded] {
            assert!(matches!(waits.after(pace, 0), Verdict::After(_)));
        }
        assert_eq!(waits.after(Pace::Bounded, 0), Verdict::GiveUp(3));
        waits.succeeded();
        assert!(matches!(waits.after(Pace::Bounded, 0), Verdict::After(_)));
        assert_eq!(waits.after(Pace::Never, 0), Verdict::Final);
    }

    #[test]
    fn delays_grow_between_their_bounds() {
        let seconds = Duration::from_secs;
        let policy =
            RetryPolicy::default().soon(seconds(2), seconds(10)).unwrap().slow(seconds(60), seconds(900)).unwrap();
        let mut waits = policy.begin();
        let longest: Vec<_> = (0..4).map(|_| waits.after(Pace::Normal, u64::MAX)).collect();
        assert_eq!(longest, [4, 8, 10, 10].map(|s| Verdict::After(seconds(s))));
        assert_eq!(waits.after(Pace::Slow, 0), Verdict::After(seconds(60)));
    }

    #[test]
    fn bounds_out_of_range_are_named() {
        let error = RetryPolicy::default().soon(Duration::ZERO, LEAST).unwrap_err().to_string();
        assert_eq!(error, "the shortest delay of 0ns is out of range, expected 1s to 86400s");
        let error = RetryPolicy::default().slow(2 * LEAST, LEAST).unwrap_err().to_string();
        assert_eq!(error, "the longest slow delay of 1s is out of range, expected 2s to 86400s");
    }
}
