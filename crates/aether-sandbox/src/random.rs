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
