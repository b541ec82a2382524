//! Values of settings as texts: the same from a file, the environment and code.

use std::time::Duration;

use crate::config::parse_duration;

/// What a setting should have held. What it holds is said by whoever names the setting.
#[derive(Debug, thiserror::Error)]
#[error("expected {0}")]
pub(crate) struct Expected(pub(crate) &'static str);

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

/// A TCP port from 1 to 65535.
pub(crate) fn port(text: &str) -> Result<u16, Expected> {
    text.parse().ok().filter(|port| *port != 0).ok_or(Expected("a port from 1 to 65535"))
}

/// For how long the cloud may take to activate a certificate.
pub(crate) fn activation(text: &str) -> Result<Duration, Expected> {
    let range = SECOND..=720 * HOUR;
    let time = parse_duration(text).ok().filter(|time| range.contains(time));
    time.ok_or(Expected("a length of time from 1s to 720h, such as 90s or 1h"))
}

/// One of the bounds between which is waited before the next try.
pub(crate) fn delay(text: &str) -> Result<Duration, Expected> {
    let range = SECOND..=24 * HOUR;
    let time = parse_duration(text).ok().filter(|time| range.contains(time));
    time.ok_or(Expected("a length of time from 1s to 24h, such as 5s or 10m"))
}

/// How many refusals in a row are taken.
pub(crate) fn refusals(text: &str) -> Result<u32, Expected> {
    let number = text.parse().ok().filter(|number| (1..=1000).contains(number));
    number.ok_or(Expected("a whole number from 1 to 1000"))
}

/// The part of a certificate's lifetime at which it is replaced; `None` for never.
pub(crate) fn rotate_at(text: &str) -> Result<Option<f64>, Expected> {
    if text == "off" {
        return Ok(None);
    }
    let part = text.parse().ok().filter(|part| (0.05..=0.95).contains(part));
    part.map(Some).ok_or(Expected("a number from 0.05 to 0.95, or \"off\""))
}

/// A length of time in the words of [`parse_duration`].
pub(crate) fn duration_text(time: Duration) -> String {
    if time.subsec_nanos() == 0 {
        format!("{}s", time.as_secs())
    } else if time.subsec_nanos().is_multiple_of(1_000_000) {
        format!("{}ms", time.as_millis())
    } else {
        format!("{}us", time.as_micros())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_keeps_within_its_range() {
        assert_eq!(rotate_at("off").unwrap(), None);
        assert_eq!(rotate_at("0.5").unwrap(), Some(0.5));
        for wrong in ["0.04", "0.96", "1", "0", "nan", "inf", "-0.5", "never", "50%", ""] {
            assert!(rotate_at(wrong).is_err(), "{wrong}");
        }
        assert_eq!((refusals("1").unwrap(), refusals("1000").unwrap()), (1, 1000));
        assert_eq!((delay("1s").unwrap(), delay("24h").unwrap()), (SECOND, 24 * HOUR));
        assert_eq!((activation("1500ms").unwrap(), activation("720h").unwrap()), (SECOND * 3 / 2, 720 * HOUR));
        for wrong in ["0", "1001", "-1", "ten", "1.5", ""] {
            assert!(refusals(wrong).is_err(), "{wrong}");
        }
        for wrong in ["999ms", "25h", "5", "soon", ""] {
            assert!(delay(wrong).is_err(), "{wrong}");
        }
        assert!(activation("721h").is_err() && activation("0s").is_err());
        assert!(port("0").is_err() && port("65536").is_err() && port("8883").is_ok());
    }

    #[test]
    fn lengths_of_time_are_written_as_they_are_read() {
        for (micros, text) in [(90_000_000, "90s"), (1_500_000, "1500ms"), (1_000_001, "1000001us"), (0, "0s")] {
            let time = Duration::from_micros(micros);
            assert_eq!(duration_text(time), text);
            assert_eq!(parse_duration(text), Ok(time));
        }
    }
}
