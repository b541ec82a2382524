//! Randomness from the operating system.

use std::io;

use ring::rand::{SecureRandom, SystemRandom};

use crate::id::hex;

/// `N` random bytes.
pub(crate) fn bytes<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| io::Error::other("the operating system gave no random bytes"))?;
    Ok(bytes)
}

/// `N` random bytes as `2 * N` hexadecimal characters.
pub(crate) fn hex_text<const N: usize>() -> io::Result<String> {
    Ok(hex(&bytes::<N>()?))
}

/// A random UUID, version 4 (RFC 9562, section 5.4).
pub(crate) fn uuid() -> io::Result<String> {
    let mut bytes = bytes::<16>()?;
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let text = hex(&bytes);
    Ok(format!("{}-{}-{}-{}-{}", &text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..]))
}
