//! The gateway and the sandbox, seen by programs nobody here wrote.
//!
//! ```text
//!  gateway   asyncua at the OPC UA server; mosquitto and openssl at the sandbox a gateway provisions with
//!  device    devices built with the AWS IoT Device SDKs and with mosquitto's clients, at the sandbox
//!  cbor      paho-mqtt and cbor2 in fleet provisioning
//!  just_in_time
//!            Mosquitto's clients and paho-mqtt with certificates of a registered CA that has a template
//!  sessions, messages
//!            Mosquitto's clients and paho-mqtt: persistent sessions, take-over, shared subscriptions, retained
//!            messages, last wills, lifecycle events
//!  bridge    a Mosquitto broker that bridges to the sandbox
//!  exported  a Mosquitto broker that bridges to the sandbox as a device's Thing, with what `aether` exported
//!  control_plane, seed_commands
//!            boto3 and the aws command line at the control plane of the sandbox
//!  guide     the commands of the sandbox's guide, run as they are printed
//!  seed_documents
//!            the policies and templates of the seed documents, and a device that lives with them
//!  token     SoftHSM: a device whose key never leaves its PKCS#11 token
//!  web_page  Chromium at the web page of the sandbox
//! ```
//!
//! Run by `cargo xtask witness` and by the gate, both of which install those programs first. One that is
//! missing fails the test. The device under test and the sandbox are the `aether` program, started as its
//! users start it.
#![expect(clippy::unwrap_used, reason = "helpers of tests: to panic is their way to fail")]

mod ground;
mod support;

mod bridge;
mod cbor;
mod control_plane;
mod device;
mod exported;
mod gateway;
mod guide;
mod just_in_time;
mod messages;
mod seed_commands;
mod seed_documents;
mod sessions;
mod token;
mod web_page;
