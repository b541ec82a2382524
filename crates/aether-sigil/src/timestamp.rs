//! A point in time with the resolution that events carry.

use std::{
    fmt,
    str::FromStr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use chrono::{DateTime, SecondsFormat, Utc};

/// A point in time, UTC, in microseconds; printed as RFC 3339 (`2026-11-22T09:30:00.000250Z`).
///
/// Range: years 1601 to 9999, which an OPC UA DateTime (Part 6, section 5.2.2.5) can carry and
/// RFC 3339 can print; other times are moved to the nearer end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// A text that is not an RFC 3339 time.
#[derive(Debug, thiserror::Error)]
#[error("`{found}` is not an RFC 3339 time such as 2026-11-22T09:30:00Z")]
pub struct InvalidTimestamp {
    found: String,
    #[source]
    source: Box<dyn std::error::Error + Send + Sync>,
}

/// 1601-01-01T00:00:00Z, where OPC UA's DateTime starts.
const EARLIEST: i64 = -11_644_473_600_000_000;
/// 9999-12-31T23:59:59.999999Z.
const LATEST: i64 = 253_402_300_799_999_999;

impl Timestamp {
    /// Reads the system's clock.
    pub fn now() -> Self {
        SystemTime::now().into()
    }

    /// Makes a timestamp from microseconds since 1970-01-01T00:00:00Z.
    pub fn from_unix_micros(micros: i64) -> Self {
        Self(micros.clamp(EARLIEST, LATEST))
    }

    /// Returns the microseconds since 1970-01-01T00:00:00Z.
    pub const fn unix_micros(self) -> i64 {
        self.0
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        let micros = |d: Duration| i64::try_from(d.as_micros()).unwrap_or(i64::MAX);
        Self::from_unix_micros(match time.duration_since(UNIX_EPOCH) {
            Ok(after) => micros(after),
            Err(before) => -micros(before.duration()),
        })
    }
}

impl From<Timestamp> for SystemTime {
    fn from(time: Timestamp) -> Self {
        let distance = Duration::from_micros(time.0.unsigned_abs());
        if time.0 >= 0 { UNIX_EPOCH + distance } else { UNIX_EPOCH - distance }
    }
}

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        DateTime::parse_from_rfc3339(text)
            .map(|time| Self::from_unix_micros(time.timestamp_micros()))
            .map_err(|source| InvalidTimestamp { found: text.to_owned(), source: Box::new(source) })
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = DateTime::<Utc>::from_timestamp_micros(self.0).unwrap_or_default();
        f.write_str(&time.to_rfc3339_opts(SecondsFormat::Micros, true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_printed_with_microseconds_and_z() {
        let time = Timestamp::from_unix_micros(1_795_339_800_000_250);
        assert_eq!(time.to_string(), "2026-11-22T09:30:00.000250Z");
        assert_eq!(time.to_string().parse::<Timestamp>().unwrap(), time);
    }

    #[test]
    fn times_outside_the_range_are_moved_to_its_end() {
        assert_eq!(Timestamp::from_unix_micros(i64::MIN).to_string(), "1601-01-01T00:00:00.000000Z");
        assert_eq!(Timestamp::from_unix_micros(i64::MAX).to_string(), "9999-12-31T23:59:59.999999Z");
    }

    #[test]
    fn system_time_survives_the_round_trip() {
        for micros in [EARLIEST, -1, 0, 1, 1_795_339_800_000_250, LATEST] {
            let time = Timestamp::from_unix_micros(micros);
            assert_eq!(Timestamp::from(SystemTime::from(time)), time);
        }
    }
}
