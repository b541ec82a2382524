//! Answers of pre-provisioning hooks.

#![no_main]

use aether_sandbox::__fuzz::hook_answer;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| hook_answer(data));
