//! Times of certificates, for people and scripts.

use std::time::{Duration, SystemTime};

use chrono::{DateTime, SecondsFormat, Utc};

/// A time in UTC, to the second: `2026-11-22T08:00:00Z`.
pub(crate) fn rfc3339(time: SystemTime) -> String {
    DateTime::<Utc>::from(time).to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// Whole days from now; 0 on the last one and afterwards.
pub(crate) fn days_left(until: SystemTime) -> u64 {
    const DAY: Duration = Duration::from_secs(24 * 3600);
    until.duration_since(SystemTime::now()).unwrap_or_default().as_secs() / DAY.as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_to_the_second_and_days_are_whole() {
        assert_eq!(rfc3339(SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_334_400_500)), "2026-11-22T08:00:00Z");
        let now = SystemTime::now();
        assert_eq!(days_left(now + Duration::from_secs(25 * 3600)), 1);
        assert_eq!(days_left(now - Duration::from_secs(25 * 3600)), 0);
    }
}
