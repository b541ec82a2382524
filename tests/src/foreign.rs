//! Programs nobody here wrote: where they are, and how they are told about a sandbox.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::aether::{Identity, Sandbox, target_directory};

/// A foreign program by its name, from the `PATH`.
///
/// # Panics
///
/// When it is not installed; the message says how to install it. A witness that is missing is no witness.
#[must_use]
#[track_caller]
pub fn program(name: &str) -> Command {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let there = std::env::split_paths(&path).any(|folder| folder.join(name).is_file());
    assert!(there, "`{name}` is not installed: run `cargo xtask witness`, which installs it");
    Command::new(name)
}

/// `mosquitto_sub` or `mosquitto_pub`, with this identity, towards the sandbox.
///
/// # Panics
///
/// As [`program`].
#[must_use]
#[track_caller]
pub fn mosquitto<A: AsRef<OsStr>>(
    name: &str,
    sandbox: &Sandbox,
    identity: &Identity,
    arguments: impl IntoIterator<Item = A>,
) -> Command {
    // For the message when it is missing.
    drop(program(name));
    // Line by line: into a pipe it would keep what it has to say until there is a page of it.
    let mut command = program("stdbuf");
    command.args(["-oL", name]);
    command.args(["-d", "-V", "mqttv311", "-q", "1", "-h", "localhost", "-p"]).arg(sandbox.port().to_string());
    command.arg("--cafile").arg(sandbox.ca());
    command.arg("--cert").arg(&identity.certificate).arg("--key").arg(&identity.key);
    command.args(arguments);
    command
}

/// Python with asyncua, running one of the scripts in `tests/witness`.
///
/// The interpreter is the one in `AETHER_WITNESS_PYTHON`, which the gate sets; without it, the one the gate
/// has put into the target directory before.
///
/// # Panics
///
/// When it is not installed; the message says how to install it.
#[must_use]
#[track_caller]
pub fn python(script: &str) -> Command {
    let python = match std::env::var_os("AETHER_WITNESS_PYTHON") {
        Some(given) => PathBuf::from(given),
        None => target_directory().join("witness-venv/bin/python"),
    };
    assert!(
        python.is_file(),
        "no Python with asyncua at {}: run `cargo xtask witness`, which installs it",
        python.display()
    );
    let mut command = Command::new(python);
    // -B: leave nothing behind in the source tree.
    command.arg("-B").arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("witness").join(script));
    command
}
