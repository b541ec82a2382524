//! Error texts quote what was found. A text too long for a name is not repeated: it may be a key that
//! somebody put in the wrong place, and errors go into the decision log.

/// Longest quoted text that is repeated: the longest names and resource names fit.
const MAX_QUOTED: usize = 200;

/// Puts `…` in the place of each text in double quotes that is too long.
pub(super) fn shorten(text: &str) -> String {
    let mut short = String::with_capacity(text.len().min(1024));
    let mut rest = text;
    while let Some((before, quoted)) = rest.split_once('"') {
        short.push_str(before);
        let end = end_of(quoted);
        let (inside, after) = quoted.split_at(end);
        short.push('"');
        short.push_str(if inside.len() > MAX_QUOTED { "…" } else { inside });
        rest = match after.strip_prefix('"') {
            Some(after) => {
                short.push('"');
                after
            }
            None => after,
        };
    }
    short.push_str(rest);
    short
}

/// Where a quoted text ends: at the next quote without a backslash before it, or with the text.
fn end_of(quoted: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in quoted.bytes().enumerate() {
        match byte {
            b'"' if !escaped => return at,
            b'\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    quoted.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_repeated_and_long_texts_are_not() {
        let long = "k".repeat(MAX_QUOTED + 1);
        assert_eq!(shorten("status is \"OPEN\", expected \"x\""), "status is \"OPEN\", expected \"x\"");
        assert_eq!(
            shorten(&format!("invalid: string \"{long}\", expected a \"b\"")),
            "invalid: string \"…\", expected a \"b\""
        );
        assert_eq!(shorten(&format!("is \"a\\\"{long}\\\\\" at")), "is \"…\" at");
        assert_eq!(shorten(&format!("is \"é{long}")), "is \"…");
        assert_eq!(shorten("no quote"), "no quote");
    }
}
