//! Requests to the control plane: the router of every operation, over a small account and without a socket.
//!
//! Input: up to eight requests with a line `---` between them. A request is `METHOD /path?query`, headers one a
//! line, an empty line, the body. `<device>`, `<pending>` and `<ca>` stand for ids of the account, `<device-pem>`,
//! `<ca-pem>` and `<csr>` for certificates and a signing request as they are written in JSON.

#![no_main]

use aether_sandbox::__fuzz::control_plane;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| control_plane(data));
