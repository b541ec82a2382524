//! The server as clients meet it, over real connections on loopback.
#![expect(clippy::unwrap_used, reason = "helpers of tests may unwrap as tests do")]

mod abuse;
mod access;
mod browse;
mod lifecycle;
mod secured;
mod subscribe;
mod support;
mod values;
