//! Tests that need several crates, and what they share: programs, a sandbox, a gateway, foreign tools.
//!
//! ```text
//!  test ──▶ Sandbox  (aether sandbox up)  ◀── mosquitto_sub, mosquitto_pub
//!    │         ▲
//!    └────▶ Gateway  (aether run)         ◀── Python asyncua
//! ```
//!
//! Everything here stays outside: it starts the programs a user starts and looks at what a user can see.
//! It waits for conditions with a deadline, never for a time, and ends what it started when it is dropped.
//! A helper that cannot do its part panics with the reason and what the programs printed: the test has failed.
//!
//! # Features
//!
//! - `witnesses` (off by default): the tests in `tests/witnesses`, which need foreign programs.
//!   `cargo xtask witness` installs those and runs them.

pub mod program;

pub mod aether;
pub mod boto3;
mod dialogue;
pub mod foreign;
pub mod paho;
pub mod shell;
