//! The gateway and the sandbox, seen by programs nobody here wrote.
//!
//! ```text
//!  gateway   asyncua at the OPC UA server; mosquitto and openssl at the sandbox a gateway provisions with
//!  device    devices built with the AWS IoT Device SDKs and with mosquitto's clients, at the sandbox
//!  bridge    a Mosquitto broker that bridges to the sandbox
//! ```
//!
//! Run by `cargo xtask witness` and by the gate, both of which install those programs first. One that is
//! missing fails the test. The device under test and the sandbox are the `aether` program, started as its
//! users start it.
#![expect(clippy::unwrap_used, reason = "helpers of tests: to panic is their way to fail")]

mod support;

mod bridge;
mod device;
mod gateway;
