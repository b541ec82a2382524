//! The machine's id, hashed so that nobody can tell it from the result.

use ring::hmac;

use super::collect::{Search, read, reason};

const PATH: &str = "etc/machine-id";

/// Aether's application id in the sense of `sd_id128_get_machine_app_specific(3)`. It must never change: devices are
/// told by what it makes of their machine ids.
const APPLICATION: u128 = 0x00b7_5b93_0f33_4679_b73c_4a13_f795_e0cb;

pub(super) fn machine_id(search: &mut Search) -> Option<String> {
    let path = search.path(PATH);
    let text = match read(&path, 64) {
        Ok(text) => text,
        Err(cause) => {
            search.note(path, reason(&cause));
            return None;
        }
    };
    match parse(text.trim()) {
        Some(id) => Some(format!("{:032x}", hashed(id))),
        None => {
            // The text is the secret: it is not repeated.
            search.note(path, "holds no machine id of 32 hexadecimal digits");
            None
        }
    }
}

fn parse(text: &str) -> Option<u128> {
    let digits = text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
    digits.then(|| u128::from_str_radix(text, 16).ok()).flatten().filter(|id| *id != 0)
}

/// As systemd does it: HMAC-SHA256 of the application id under the machine id, its first 16 bytes marked as a random
/// UUID.
fn hashed(id: u128) -> u128 {
    let key = hmac::Key::new(hmac::HMAC_SHA256, &id.to_be_bytes());
    let tag = hmac::sign(&key, &APPLICATION.to_be_bytes());
    let first = tag.as_ref().iter().take(16).fold(0, |value: u128, byte| value << 8 | u128::from(*byte));
    let marks = (0xf << 76) | (0b11 << 62);
    first & !marks | (4 << 76) | (0b10 << 62)
}

#[cfg(test)]
mod tests {
    use super::super::collect::tests::collected;

    const RAW: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn the_machine_id_is_hashed_as_systemd_does_it() {
        // systemd-id128 machine-id --app-specific=… on a machine with that id.
        let value = collected("machine-id", &[("etc/machine-id", &format!("{RAW}\n"))]).unwrap();
        assert_eq!(value, "12ff2faba24c43d49e710be097dfacb6");
    }

    #[test]
    fn what_is_no_machine_id_is_refused_and_not_repeated() {
        for text in [
            "",
            "uninitialized",
            "00000000000000000000000000000000",
            "0123456789abcdef",
            "g123456789abcdef0123456789abcdef",
        ] {
            let error = collected("machine-id", &[("etc/machine-id", text)]).unwrap_err();
            assert!(error.contains("/etc/machine-id (holds no machine id"), "{error}");
            assert!(text.is_empty() || !error.contains(text), "{error}");
        }
    }
}
