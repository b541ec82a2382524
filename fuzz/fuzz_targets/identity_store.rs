//! A device's identity store with anything in its files.
//!
//! Input: the number of a file, the length of its content by 16, the content; and so on.

#![no_main]

use aether_provisioning::__fuzz::store;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| store(data));
