//! Percent-encoding (RFC 3986, section 2.1).

/// The bytes behind a percent-encoded text; `None` if a `%` is not followed by two hexadecimal digits.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes().iter();
    while let Some(&byte) = rest.next() {
        if byte == b'%' {
            decoded.push(digit(*rest.next()?)? << 4 | digit(*rest.next()?)?);
        } else {
            decoded.push(byte);
        }
    }
    Some(decoded)
}

/// Bytes as text: letters, digits, `-`, `.` and `_` as they are, all else percent-encoded.
pub(crate) fn encode(bytes: &[u8]) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    bytes.iter().map(|&byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}
