//! Answers of the provisioning service as the device reads them, in JSON and CBOR.
//!
//! Input: a byte whose lowest bit chooses the encoding, then the payload.

#![no_main]

use aether_provisioning::{__fuzz::answer, Encoding};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let [choice, payload @ ..] = data {
        answer(if choice & 1 == 0 { Encoding::Json } else { Encoding::Cbor }, payload);
    }
});
