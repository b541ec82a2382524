//! Points in time as policies write them: W3C's profile of ISO 8601, or seconds since 1970.

use std::time::{SystemTime, UNIX_EPOCH};

/// A point in time: seconds since 1970 and nanoseconds after them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment {
    seconds: i64,
    nanos: u32,
}

impl Moment {
    pub(crate) fn from_system_time(time: SystemTime) -> Option<Self> {
        match time.duration_since(UNIX_EPOCH) {
            Ok(after) => Some(Self { seconds: i64::try_from(after.as_secs()).ok()?, nanos: after.subsec_nanos() }),
            Err(before) => {
                let before = before.duration();
                let seconds = -i64::try_from(before.as_secs()).ok()?;
                Some(match before.subsec_nanos() {
                    0 => Self { seconds, nanos: 0 },
                    nanos => Self { seconds: seconds - 1, nanos: 1_000_000_000 - nanos },
                })
            }
        }
    }

    /// Seconds since 1970, rounded down.
    pub(crate) fn seconds(self) -> i64 {
        self.seconds
    }

    /// Reads `2026`, `2026-07`, `2026-07-31`, `2026-07-31T10:20Z`, `…:30Z`, `…:30.5+02:00`, or whole
    /// seconds since 1970. Four digits alone are a year.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.len() != 4
            && text.len() <= 16
            && text.strip_prefix('-').unwrap_or(text).bytes().all(|byte| byte.is_ascii_digit())
        {
            return text.parse().ok().map(|seconds| Self { seconds, nanos: 0 });
        }
        let (date, time) = text.split_once(['T', 't']).map_or((text, None), |(date, time)| (date, Some(time)));
        let mut parts = date.split('-');
        let year = number(parts.next()?, 4)?;
        let month = parts.next().map_or(Some(1), |text| number(text, 2))?;
        let day_text = parts.next();
        let day = day_text.map_or(Some(1), |text| number(text, 2))?;
        let is_whole_date = day_text.is_some();
        if parts.next().is_some() || !(1..=12).contains(&month) || !(1..=days_in(year, month)).contains(&day) {
            return None;
        }
        let midnight = days_since_1970(year, month, day) * 86_400;
        match time {
            None => Some(Self { seconds: midnight, nanos: 0 }),
            Some(time) if is_whole_date => {
                let (seconds, nanos) = time_of_day(time)?;
                Some(Self { seconds: midnight + seconds, nanos })
            }
            Some(_) => None,
        }
    }
}

/// As `aws:CurrentTime` is written: `2026-07-31T10:20:30Z`.
pub(crate) fn to_text(moment: Moment) -> String {
    let (days, second) = (moment.seconds.div_euclid(86_400), moment.seconds.rem_euclid(86_400));
    // Counting from 1 March 0000 puts the leap day at the end of its year.
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", second / 3600, second / 60 % 60, second % 60)
}

/// Seconds since midnight UTC, possibly on a neighbouring day, and nanoseconds.
fn time_of_day(text: &str) -> Option<(i64, u32)> {
    let zone_at = text.find(['Z', 'z', '+', '-'])?;
    let (clock, zone) = text.split_at(zone_at);
    let offset = match zone.split_at_checked(1)? {
        ("Z" | "z", "") => 0,
        (sign, offset) => {
            let (hours, minutes) = offset.split_once(':')?;
            let (hours, minutes) = (number(hours, 2)?, number(minutes, 2)?);
            let seconds = (hours * 60 + minutes) * 60;
            match sign {
                _ if hours > 23 || minutes > 59 => return None,
                "+" => seconds,
                "-" => -seconds,
                _ => return None,
            }
        }
    };
    let mut parts = clock.split(':');
    let (hour, minute) = (number(parts.next()?, 2)?, number(parts.next()?, 2)?);
    let (second, nanos) = match parts.next() {
        None => (0, 0),
        Some(text) => match text.split_once('.') {
            None => (number(text, 2)?, 0),
            Some((second, fraction)) => (number(second, 2)?, nanos(fraction)?),
        },
    };
    if parts.next().is_some() || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    Some(((hour * 60 + minute) * 60 + second - offset, nanos))
}

fn nanos(fraction: &str) -> Option<u32> {
    let digits = (1..=9).contains(&fraction.len()) && fraction.bytes().all(|byte| byte.is_ascii_digit());
    format!("{fraction:0<9}").parse().ok().filter(|_| digits)
}

/// A number of exactly so many digits.
fn number(text: &str, digits: usize) -> Option<i64> {
    let fits = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    if fits { text.parse().ok() } else { None }
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let before: i64 = (1..month).map(|month| days_in(year, month)).sum();
    let past = year - 1;
    let years = past * 365 + past.div_euclid(4) - past.div_euclid(100) + past.div_euclid(400);
    years + before + day - 1 - 719_162
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<(i64, u32)>) {
        assert_eq!(Moment::parse(text).map(|moment| (moment.seconds, moment.nanos)), expected, "{text}");
    }

    #[test]
    fn every_form_of_the_profile_is_read() {
        check("1970", Some((0, 0)));
        check("1970-02", Some((31 * 86_400, 0)));
        check("2000-03-01", Some((951_868_800, 0)));
        check("2025-10-09T08:53:20Z", Some((1_760_000_000, 0)));
        check("2025-10-09T08:53Z", Some((1_759_999_980, 0)));
        check("2025-10-09T10:53:20.25+02:00", Some((1_760_000_000, 250_000_000)));
        check("2025-10-08T23:53:20-09:00", Some((1_760_000_000, 0)));
        check("1760000000", Some((1_760_000_000, 0)));
        check("-5", Some((-5, 0)));
        check("0", Some((0, 0)));
    }

    #[test]
    fn what_is_no_point_in_time_is_refused() {
        for text in [
            "",
            "-",
            "today",
            "2025-13",
            "2025-02-29",
            "2025-1-1",
            "2025-10-09T08:53:20",
            "2025-10T08:53Z",
            "2025-10-09T24:00:00Z",
            "2025-10-09T08:60Z",
            "2025-10-09T08:53:20.Z",
            "2025-10-09T08:53:20Zx",
            "2025-10-09T08:53:20+24:00",
            "99999999999999999999",
            "2025-10-09-01",
            "é-10",
            "2025-10-09T08Z",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn system_times_before_1970_round_down() {
        let moment = Moment::from_system_time(UNIX_EPOCH - Duration::from_millis(1500)).unwrap();
        assert_eq!((moment.seconds, moment.nanos), (-2, 500_000_000));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

        #[test]
        fn what_is_written_reads_back(seconds in -62_135_596_800i64..253_402_300_800) {
            let moment = Moment { seconds, nanos: 0 };
            prop_assert_eq!(Moment::parse(&to_text(moment)), Some(moment));
        }
    }
}
