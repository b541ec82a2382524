//! Programs nobody here wrote: where they are, and how they are told about a sandbox.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::aether::{Identity, Sandbox, target_directory};
use crate::program::{Program, Stream};

/// A version of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the two that AWS IoT Core speaks")]
pub enum Mqtt {
    /// MQTT 3.1.1.
    V3_1_1,
    /// MQTT 5.
    V5,
}

impl Mqtt {
    /// What mosquitto's `-V` calls it.
    fn for_mosquitto(self) -> &'static str {
        match self {
            Self::V3_1_1 => "mqttv311",
            Self::V5 => "mqttv5",
        }
    }

    /// What the scripts in `tests/witness` call it.
    #[must_use]
    pub fn for_scripts(self) -> &'static str {
        match self {
            Self::V3_1_1 => "3.1.1",
            Self::V5 => "5",
        }
    }
}

/// A foreign program by its name, from the `PATH` or from where Debian puts servers.
///
/// # Panics
///
/// When it is not installed; the message says how to install it. A witness that is missing is no witness.
#[must_use]
#[track_caller]
pub fn program(name: &str) -> Command {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let servers = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
    let found = std::env::split_paths(&path).chain(servers).map(|folder| folder.join(name)).find(|file| file.is_file());
    Command::new(
        found.unwrap_or_else(|| panic!("`{name}` is not installed: run `cargo xtask witness`, which installs it")),
    )
}

/// `mosquitto_sub`, `mosquitto_pub` or `mosquitto_rr`, with this identity, towards the sandbox.
///
/// # Panics
///
/// As [`program`].
#[must_use]
#[track_caller]
pub fn mosquitto<A: AsRef<OsStr>>(
    name: &str,
    mqtt: Mqtt,
    sandbox: &Sandbox,
    identity: &Identity,
    arguments: impl IntoIterator<Item = A>,
) -> Command {
    // For the message when it is missing.
    drop(program(name));
    // Line by line: into a pipe it would keep what it has to say until there is a page of it.
    let mut command = program("stdbuf");
    command.args(["-oL", name]);
    command.args(["-d", "-V", mqtt.for_mosquitto(), "-q", "1", "-h", "localhost", "-p"]);
    command.arg(sandbox.port().to_string()).arg("--cafile").arg(sandbox.ca());
    command.arg("--cert").arg(&identity.certificate).arg("--key").arg(&identity.key);
    command.args(arguments);
    command
}

/// Runs `openssl` with these arguments, separated by blanks, in `folder`.
///
/// # Panics
///
/// When it fails, or as [`program`].
#[track_caller]
pub fn openssl(folder: &Path, arguments: &str) {
    let made = program("openssl").args(arguments.split(' ')).current_dir(folder).output();
    let made = made.unwrap_or_else(|error| panic!("could not start openssl: {error}"));
    assert!(made.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&made.stderr));
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
    python_in("AETHER_WITNESS_PYTHON", "witness-venv", script)
}

/// Python with the AWS IoT Device SDK and boto3, running one of the scripts in `tests/witness`.
///
/// The interpreter is the one in `AETHER_WITNESS_AWS_PYTHON`; else as [`python`].
///
/// # Panics
///
/// When it is not installed; the message says how to install it.
#[must_use]
#[track_caller]
pub fn aws_python(script: &str) -> Command {
    python_in("AETHER_WITNESS_AWS_PYTHON", "witness-aws-venv", script)
}

/// Python with paho-mqtt and cbor2, running one of the scripts in `tests/witness`.
///
/// The interpreter is the one in `AETHER_WITNESS_PAHO_PYTHON`; else as [`python`].
///
/// # Panics
///
/// When it is not installed; the message says how to install it.
#[must_use]
#[track_caller]
pub fn paho_python(script: &str) -> Command {
    python_in("AETHER_WITNESS_PAHO_PYTHON", "witness-paho-venv", script)
}

/// The folder that has `aws`, the command line.
///
/// # Panics
///
/// As [`aws_python`].
#[must_use]
#[track_caller]
pub fn aws_folder() -> PathBuf {
    let python = interpreter("AETHER_WITNESS_AWS_PYTHON", "witness-aws-venv");
    python.parent().expect("an interpreter lies in a folder").to_owned()
}

#[track_caller]
fn python_in(variable: &str, environment: &str, script: &str) -> Command {
    let mut command = Command::new(interpreter(variable, environment));
    // -B: leave nothing behind in the source tree.
    command.arg("-B").arg(script_path(script));
    command
}

#[track_caller]
fn interpreter(variable: &str, environment: &str) -> PathBuf {
    let python = installed(variable, || target_directory().join(environment).join("bin/python"));
    assert!(python.is_file(), "no Python at {}: run `cargo xtask witness`, which installs it", python.display());
    python
}

fn installed(variable: &str, otherwise: impl FnOnce() -> PathBuf) -> PathBuf {
    std::env::var_os(variable).map_or_else(otherwise, PathBuf::from)
}

fn script_path(script: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("witness").join(script)
}

/// Node.js with the AWS IoT Device SDK and playwright-core, running one of the scripts in `tests/witness`.
///
/// The packages are those in `AETHER_WITNESS_NODE_PATH`; else as [`python`].
///
/// # Panics
///
/// When it is not installed; the message says how to install it.
#[must_use]
#[track_caller]
pub fn node(script: &str) -> Command {
    let modules = installed("AETHER_WITNESS_NODE_PATH", || target_directory().join("witness-node/node_modules"));
    assert!(
        modules.is_dir(),
        "no Node.js packages at {}: run `cargo xtask witness`, which installs them",
        modules.display()
    );
    let mut command = program("node");
    command.arg(script_path(script)).env("NODE_PATH", modules);
    command
}

/// A script in `tests/witness` that tells what it has done, a line of JSON for each step: `{"step": NAME, …}`.
#[derive(Debug)]
pub struct Steps {
    program: Program,
    longest: Duration,
}

impl Steps {
    /// Starts it; each step is waited for at most `longest`.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    #[must_use]
    #[track_caller]
    pub fn start(command: &mut Command, longest: Duration) -> Self {
        Self { program: Program::start(command), longest }
    }

    /// Waits for a step and gives what it tells.
    ///
    /// # Panics
    ///
    /// When it does not come in time, or the script ends first.
    #[must_use]
    #[track_caller]
    pub fn step(&self, name: &str) -> Value {
        self.program.wait_until(&format!("step {name}"), self.longest, || {
            let lines = self.program.lines(Stream::Out);
            let mut steps = lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            steps.find(|step| step["step"] == name)
        })
    }

    /// Waits for its end.
    ///
    /// # Panics
    ///
    /// When it does not end in time, or with a failure.
    #[track_caller]
    pub fn end(mut self) {
        let status = self.program.wait_for_exit(self.longest);
        assert!(status.success(), "{status}:\n{}", self.program.printed());
    }
}
