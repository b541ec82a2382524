//! The `aether` program as its users start it: a sandbox, and a gateway with its settings file.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use crate::program::{Program, free_port};

/// Longest wait for a program to be ready: a start makes RSA keys, on a machine that may be busy.
const START: Duration = Duration::from_secs(60);

/// `aether` with these arguments.
///
/// The program is the one in `AETHER_BIN`, which the gate sets; without it, cargo is asked to build it.
///
/// # Panics
///
/// When it cannot be built.
#[must_use]
#[track_caller]
pub fn aether<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Command {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    let program = PROGRAM.get_or_init(|| match std::env::var_os("AETHER_BIN") {
        Some(given) => given.into(),
        None => build(["--package", "aether-cli", "--bin", "aether"]),
    });
    let mut command = Command::new(program);
    command.args(arguments);
    command
}

/// An example of `aether-nexus`.
///
/// It is taken from the folder in `AETHER_EXAMPLES`, which the gate sets; without it, cargo is asked to build it.
///
/// # Panics
///
/// When it cannot be built.
#[must_use]
#[track_caller]
pub fn example(name: &str) -> Command {
    Command::new(match std::env::var_os("AETHER_EXAMPLES") {
        Some(folder) => Path::new(&folder).join(name),
        None => build(["--package", "aether-nexus", "--example", name]),
    })
}

/// An example of `aether-provisioning`, found as those of `aether-nexus` are.
///
/// # Panics
///
/// When it cannot be built.
#[must_use]
#[track_caller]
pub fn provisioning_example(name: &str) -> Command {
    Command::new(match std::env::var_os("AETHER_EXAMPLES") {
        Some(folder) => Path::new(&folder).join(name),
        None => build(["--package", "aether-provisioning", "--example", name]),
    })
}

/// Builds a program below the target directory that this test was built into; gives its path.
#[track_caller]
fn build(what: [&str; 4]) -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--locked", "--message-format", "json-render-diagnostics", "--target-dir"]);
    command.arg(target_directory()).args(what).current_dir(env!("CARGO_MANIFEST_DIR")).stderr(Stdio::inherit());
    let built = command.output().unwrap_or_else(|error| panic!("could not start cargo: {error}"));
    assert!(built.status.success(), "could not build {}", what[3]);
    let messages = String::from_utf8_lossy(&built.stdout);
    executable(&messages, what[3]).unwrap_or_else(|| panic!("cargo has not said where it put {}", what[3]))
}

/// Where cargo put the program of this name, by what `cargo build` told in JSON.
fn executable(messages: &str, name: &str) -> Option<PathBuf> {
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let mut named = messages.filter(|message| message["target"]["name"] == name);
    named.find_map(|message| message["executable"].as_str().map(PathBuf::from))
}

/// The target directory, from where this test lies: `TARGET/debug/deps/TEST`.
///
/// With a target of cargo's (`CARGO_BUILD_TARGET`) it is the folder below that bears the target's name.
pub(crate) fn target_directory() -> PathBuf {
    let test = std::env::current_exe().expect("the path of this test");
    test.ancestors().nth(3).expect("a test lies in TARGET/debug/deps").to_owned()
}

/// A certificate and its private key, as files.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "two paths, put together by tests")]
pub struct Identity {
    /// The certificate, PEM.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
}

/// `aether sandbox up` on a loopback port.
#[derive(Debug)]
pub struct Sandbox {
    program: Program,
    directory: PathBuf,
    port: u16,
    control_url: String,
}

impl Sandbox {
    /// Starts one on `directory`, on a port that the operating system chooses, and waits until it says that it
    /// listens.
    ///
    /// # Panics
    ///
    /// When it does not come up.
    #[must_use]
    #[track_caller]
    pub fn up(directory: impl Into<PathBuf>) -> Self {
        Self::up_at(directory, 0)
    }

    /// As [`up`](Self::up), on this port.
    ///
    /// # Panics
    ///
    /// When it does not come up.
    #[must_use]
    #[track_caller]
    pub fn up_at(directory: impl Into<PathBuf>, port: u16) -> Self {
        Self::start(directory.into(), port, None)
    }

    /// As [`up`](Self::up), with this settings file.
    ///
    /// # Panics
    ///
    /// When it does not come up.
    #[must_use]
    #[track_caller]
    pub fn up_with(directory: impl Into<PathBuf>, config: &Path) -> Self {
        Self::start(directory.into(), 0, Some(config))
    }

    #[track_caller]
    fn start(directory: PathBuf, port: u16, config: Option<&Path>) -> Self {
        let listen = format!("127.0.0.1:{port}");
        let mut command = aether(["sandbox", "up", "--json", "--listen", &listen, "--control", "127.0.0.1:0"]);
        if let Some(config) = config {
            command.arg("--config").arg(config);
        }
        let program = Program::start(command.arg("--dir").arg(&directory));
        let stage = program.wait_for_stage("sandbox-listening", START);
        let address = stage["detail"].as_str().and_then(|address| address.parse::<SocketAddr>().ok());
        let port = address.unwrap_or_else(|| panic!("no address in {stage}")).port();
        let control_url =
            program.wait_for_stage("control-listening", START)["detail"].as_str().unwrap_or_default().to_owned();
        Self { program, directory, port, control_url }
    }

    /// The running program.
    #[must_use]
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// Its state directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The port it listens on, at the loopback address.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where `aws` and boto3 find its control plane: what `endpoint_url` is set to.
    #[must_use]
    pub fn control_url(&self) -> &str {
        &self.control_url
    }

    /// The root its server certificate stands under.
    #[must_use]
    pub fn ca(&self) -> PathBuf {
        self.directory.join("ca.pem")
    }

    /// The claim certificate it made for devices.
    #[must_use]
    pub fn claim(&self) -> Identity {
        self.identity("claim")
    }

    /// The operator's certificate, which may subscribe to everything and publish nothing.
    #[must_use]
    pub fn observer(&self) -> Identity {
        self.identity("observer")
    }

    fn identity(&self, name: &str) -> Identity {
        Identity {
            certificate: self.directory.join(format!("{name}.pem")),
            key: self.directory.join(format!("{name}.key")),
        }
    }

    /// The decisions it has logged, oldest first.
    ///
    /// # Panics
    ///
    /// When the log is there and not readable as JSON lines.
    #[must_use]
    #[track_caller]
    pub fn decisions(&self) -> Vec<serde_json::Value> {
        let log = fs::read_to_string(self.directory.join("audit.jsonl")).unwrap_or_default();
        // The last line may be only half written.
        let whole = log.rfind('\n').map_or("", |end| &log[..end]);
        let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line}"));
        whole.lines().map(parse).collect()
    }
}

/// The settings of an `aether run`: one Sigil and one Weave that polls it, as in the specification's example.
#[derive(Clone, Debug)]
pub struct Gateway {
    directory: PathBuf,
    opc_ua_port: u16,
    cloud_port: u16,
    root_ca: PathBuf,
    claim: Identity,
    serial: String,
    more: String,
}

impl Gateway {
    /// A gateway that keeps its settings and its state in `directory` and provisions at `sandbox`.
    #[must_use]
    #[track_caller]
    pub fn new(directory: impl Into<PathBuf>, sandbox: &Sandbox) -> Self {
        Self::at(directory, sandbox.port(), sandbox.ca(), sandbox.claim())
    }

    /// As [`new`](Self::new), where the sandbox is not a program: it listens on `cloud_port` of the loopback address.
    #[must_use]
    #[track_caller]
    pub fn at(directory: impl Into<PathBuf>, cloud_port: u16, root_ca: impl Into<PathBuf>, claim: Identity) -> Self {
        Self {
            directory: directory.into(),
            opc_ua_port: free_port(),
            cloud_port,
            root_ca: root_ca.into(),
            claim,
            serial: "P3-00017".to_owned(),
            more: String::new(),
        }
    }

    /// Has another serial number than `P3-00017`; the sandbox's template makes the Thing's name of it.
    #[must_use]
    pub fn serial(mut self, serial: impl Into<String>) -> Self {
        self.serial = serial.into();
        self
    }

    /// Has one more line under `[aws_iot]`.
    #[must_use]
    pub fn aws_iot(mut self, line: &str) -> Self {
        self.more.push_str(line);
        self.more.push('\n');
        self
    }

    /// Shows another claim certificate than the sandbox's own.
    #[must_use]
    pub fn claim(mut self, claim: Identity) -> Self {
        self.claim = claim;
        self
    }

    /// Looks for the cloud on another port.
    #[must_use]
    pub fn cloud_port(mut self, port: u16) -> Self {
        self.cloud_port = port;
        self
    }

    /// Where OPC UA clients find it.
    #[must_use]
    pub fn opc_ua_url(&self) -> String {
        format!("opc.tcp://127.0.0.1:{}", self.opc_ua_port)
    }

    /// Writes the settings and starts `aether run` with them.
    ///
    /// # Panics
    ///
    /// When the file cannot be written or the program not be started.
    #[must_use]
    #[track_caller]
    pub fn run(&self) -> Program {
        Program::start(&mut self.command())
    }

    /// As [`run`](Self::run), with `--json`.
    ///
    /// # Panics
    ///
    /// As [`run`](Self::run).
    #[must_use]
    #[track_caller]
    pub fn run_json(&self) -> Program {
        Program::start(self.command().arg("--json"))
    }

    /// Writes the settings; `aether run` with them.
    ///
    /// # Panics
    ///
    /// When the file cannot be written.
    #[must_use]
    #[track_caller]
    pub fn command(&self) -> Command {
        fs::create_dir_all(&self.directory).expect("a directory for the gateway");
        fs::write(self.config(), self.settings()).expect("a settings file");
        let mut command = aether(["run", "--config"]);
        command.arg(self.config());
        command
    }

    /// Its settings file, which [`run`](Self::run) writes.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.directory.join("aether.toml")
    }

    /// Its state directory.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.directory.join("state")
    }

    /// The settings in TOML.
    #[must_use]
    pub fn settings(&self) -> String {
        let mut text = String::new();
        let (url, port, serial, more) = (self.opc_ua_url(), self.cloud_port, &self.serial, &self.more);
        let [root_ca, cert, key] = [&self.root_ca, &self.claim.certificate, &self.claim.key].map(|path| path.display());
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            r#"opc_ua_url = "{url}"
state_dir = "state"

[aws_iot]
endpoint = "localhost"
port = {port}
root_ca = "{root_ca}"
template_name = "Aether"
claim_cert = "{cert}"
claim_key = "{key}"
{more}
[aws_iot.template_parameters]
SerialNumber = "{serial}"

[[sigil]]
node_id = "ns=2;s=Plant.Temperature"
initial_value = 25.0
description = "Process temperature value."

[[weave]]
label = "temperature-read-poller"
cycle_time = "250ms"
read = ["Plant.Temperature"]
"#
        );
        text
    }
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn a_program_is_where_cargo_says() {
        let messages = concat!(
            r#"{"reason":"compiler-artifact","target":{"name":"aether"},"executable":null}"#,
            "\nnot JSON\n",
            r#"{"reason":"compiler-artifact","target":{"name":"aether"},"executable":"/t/mips/debug/aether"}"#,
            "\n",
            r#"{"reason":"build-finished","success":true}"#,
        );
        assert_eq!(executable(messages, "aether"), Some("/t/mips/debug/aether".into()));
        assert_eq!(executable(messages, "other"), None);
    }
}
