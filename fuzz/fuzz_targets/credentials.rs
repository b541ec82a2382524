//! Certificates and private keys, as files and the cloud bring them.
//!
//! Input: the certificate chain, a line with `---`, the key; without that line all of it is both.

#![no_main]

use aether_mqtt::{Credentials, PrivateKey};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let line = b"\n---\n";
    let at = data.windows(line.len()).position(|window| window == line);
    let (chain, key) = at.map_or((data, data), |at| (&data[..at], &data[at + line.len()..]));
    if let Ok(key) = PrivateKey::from_pem(key) {
        assert!(!key.algorithm().schemes().is_empty() && !key.public_key_der().is_empty());
    }
    match Credentials::from_pem(chain, key) {
        Ok(credentials) => assert_eq!(credentials.fingerprint().len(), 64),
        Err(error) => assert!(error.to_string().len() < 70_000, "an error stays readable"),
    }
});
