//! Payloads of the three provisioning operations in JSON and CBOR, and signing requests inside them.
//!
//! Input: the topic, a line feed, the payload; without a line feed all of it is a payload and a CSR.

#![no_main]

use aether_sandbox::__fuzz::{provisioning_request, signing_request};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    match data.iter().position(|byte| *byte == b'\n') {
        Some(end) => provisioning_request(&String::from_utf8_lossy(&data[..end]), &data[end + 1..]),
        None => provisioning_request("$aws/certificates/create/cbor", data),
    }
    if let Ok(text) = std::str::from_utf8(data) {
        signing_request(text);
    }
});
