//! Lengths of time as people write them.

use std::time::Duration;

/// Reads a length of time: a number and a unit out of `us`, `ms`, `s`, `m`, `h`, such as `2s`,
/// `250ms` or `1.5h`.
///
/// # Errors
///
/// The text is something else, or longer than about 580 billion years.
pub fn parse_duration(text: &str) -> Result<Duration, InvalidDuration> {
    let invalid = || InvalidDuration { found: text.to_owned() };
    let unit_at = text.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(invalid)?;
    let (number, unit) = text.split_at(unit_at);
    let seconds = match unit {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(invalid()),
    };
    let number: f64 = number.parse().map_err(|_| invalid())?;
    Duration::try_from_secs_f64(number * seconds).map_err(|_| invalid())
}

/// A text that is not a length of time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is not a length of time: expected a number and a unit (us, ms, s, m, h), such as 2s or 250ms")]
pub struct InvalidDuration {
    found: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_and_a_unit_make_a_length_of_time() {
        for (text, millis) in [("2s", 2_000), ("250ms", 250), ("1.5h", 5_400_000), ("1m", 60_000), ("0s", 0)] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        assert_eq!(parse_duration("500us"), Ok(Duration::from_micros(500)));
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "2", "s", "2 s", "-2s", "2d", "1.2.3s", ".s", "99999999999999999999h"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
