//! What the steps run besides cargo: finding it, and installing it where it is missing.
//!
//! ```text
//!  by cargo install  cargo-nextest, cargo-machete, cargo-deny   → <cargo home>/aether-tools/bin
//!  from Debian      mosquitto and its clients, openssl, jq,    → the system, as root or with sudo
//!                   softhsm2, python3-venv, nodejs, npm,
//!                   chromium
//!  from PyPI        asyncua; the AWS IoT Device SDK, boto3,    → <target directory>/witness-venv
//!                   the aws command line; paho-mqtt, cbor2       <target directory>/witness-aws-venv
//!                                                                <target directory>/witness-paho-venv
//!  from npm         the AWS IoT Device SDK, playwright-core    → <target directory>/witness-node
//! ```
//!
//! A tool found on the `PATH` at a fitting version is used as it is. Nothing of a person's own is
//! replaced: programs go to a folder of their own, where the next clone finds them again. Where services run,
//! Debian's mosquitto starts a broker on the loopback's port 1883; the tests start their own.
#![expect(clippy::print_stdout, reason = "a program that talks to the person who ran it")]

mod cargo_tools;
mod debian;
pub(crate) mod node;
pub(crate) mod python;

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::workspace::{Workspace, capture};

/// Something a step runs and cargo does not bring along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tool {
    /// The test runner.
    Nextest,
    /// Finds dependencies that are declared and not used.
    Machete,
    /// Checks licences, sources, bans and advisories.
    Deny,
    /// `mosquitto_sub`, `mosquitto_pub` and `mosquitto_rr`, MQTT clients nobody here wrote.
    MosquittoClients,
    /// `mosquitto`, an MQTT broker nobody here wrote.
    MosquittoBroker,
    /// The specification's way to make a claim certificate.
    OpenSsl,
    /// Takes the answers of the sandbox's guide apart.
    Jq,
    /// `softhsm2-util` and its library, a PKCS#11 token without hardware.
    SoftHsm,
    /// A Python with asyncua, an OPC UA client nobody here wrote.
    Asyncua,
    /// A Python with the AWS IoT Device SDK, boto3 and the aws command line.
    AwsForPython,
    /// A Python with paho-mqtt, an MQTT client nobody here wrote, and cbor2.
    Paho,
    /// The AWS IoT Device SDK for Node.js, and playwright-core, which drives a browser.
    AwsForNode,
    /// The browser.
    Chromium,
}

/// The quickest to install first.
const EVERY_TOOL: &[Tool] = &[
    Tool::MosquittoClients,
    Tool::MosquittoBroker,
    Tool::OpenSsl,
    Tool::Jq,
    Tool::SoftHsm,
    Tool::Asyncua,
    Tool::AwsForPython,
    Tool::Paho,
    Tool::AwsForNode,
    Tool::Chromium,
    Tool::Machete,
    Tool::Nextest,
    Tool::Deny,
];

/// The step: installs every tool that is missing, and says what is there.
pub(crate) fn all(workspace: &Workspace) -> anyhow::Result<()> {
    for (component, arguments) in [("rustfmt", ["fmt", "--version"]), ("clippy", ["clippy", "--version"])] {
        if !capture(&mut workspace.cargo(arguments))?.succeeded {
            bail!("the toolchain has no {component}: run `rustup component add {component}`");
        }
    }
    ensure(workspace, EVERY_TOOL)?;
    cargo_tools::clean_up(workspace)?;
    for &tool in EVERY_TOOL {
        println!("    {tool:?}: {}", path_of(workspace, tool)?.display());
    }
    Ok(())
}

/// Installs those of `tools` that are missing.
pub(crate) fn ensure(workspace: &Workspace, tools: &[Tool]) -> anyhow::Result<()> {
    debian::ensure(workspace, tools)?;
    for &tool in tools {
        match tool {
            Tool::Nextest => cargo_tools::NEXTEST.ensure(workspace),
            Tool::Machete => cargo_tools::MACHETE.ensure(workspace),
            Tool::Deny => cargo_tools::DENY.ensure(workspace),
            Tool::Asyncua => python::OPC_UA.ensure(workspace),
            Tool::AwsForPython => python::AWS.ensure(workspace),
            Tool::Paho => python::PAHO.ensure(workspace),
            Tool::AwsForNode => node::ensure(workspace),
            Tool::MosquittoClients
            | Tool::MosquittoBroker
            | Tool::OpenSsl
            | Tool::Jq
            | Tool::SoftHsm
            | Tool::Chromium => Ok(()),
        }
        .with_context(|| format!("could not install {tool:?}"))?;
    }
    Ok(())
}

/// `cargo NAME` with these arguments, for a tool that adds a command to cargo.
pub(crate) fn cargo_command(workspace: &Workspace, tool: Tool, arguments: &[&str]) -> anyhow::Result<Command> {
    let path = path_of(workspace, tool)?;
    let program = program(tool).with_context(|| format!("{tool:?} is no command of cargo's"))?;
    Ok(program.command(workspace, &path, arguments))
}

/// `cargo fuzz` with these arguments, installed first where it is missing.
pub(crate) fn fuzz_command(workspace: &Workspace, arguments: &[&str]) -> anyhow::Result<Command> {
    cargo_tools::FUZZ.ensure(workspace)?;
    let path = cargo_tools::FUZZ.find(workspace)?.context("cargo-fuzz is not installed")?;
    Ok(cargo_tools::FUZZ.command(workspace, &path, arguments))
}

/// What the package of a tool is called, if `cargo install` brings it.
fn program(tool: Tool) -> Option<&'static cargo_tools::Program> {
    match tool {
        Tool::Nextest => Some(&cargo_tools::NEXTEST),
        Tool::Machete => Some(&cargo_tools::MACHETE),
        Tool::Deny => Some(&cargo_tools::DENY),
        Tool::MosquittoClients
        | Tool::MosquittoBroker
        | Tool::OpenSsl
        | Tool::Jq
        | Tool::SoftHsm
        | Tool::Asyncua
        | Tool::AwsForPython
        | Tool::Paho
        | Tool::AwsForNode
        | Tool::Chromium => None,
    }
}

/// Where an installed tool is.
fn path_of(workspace: &Workspace, tool: Tool) -> anyhow::Result<PathBuf> {
    let found = match tool {
        Tool::Nextest => cargo_tools::NEXTEST.find(workspace)?,
        Tool::Machete => cargo_tools::MACHETE.find(workspace)?,
        Tool::Deny => cargo_tools::DENY.find(workspace)?,
        Tool::MosquittoClients => on_path("mosquitto_sub"),
        Tool::OpenSsl => on_path("openssl"),
        Tool::Jq => on_path("jq"),
        Tool::SoftHsm => on_path("softhsm2-util"),
        Tool::MosquittoBroker => on_path("mosquitto"),
        Tool::Asyncua => Some(python::OPC_UA.interpreter(workspace)),
        Tool::AwsForPython => Some(python::AWS.interpreter(workspace)),
        Tool::Paho => Some(python::PAHO.interpreter(workspace)),
        Tool::AwsForNode => Some(node::modules(workspace)),
        Tool::Chromium => on_path("chromium"),
    };
    found.with_context(|| format!("{tool:?} is not installed: run `cargo xtask ci --only tools`"))
}

/// The first file of this name in the folders of the `PATH`, and in those where Debian puts servers.
fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let servers = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
    let mut folders = std::env::split_paths(&path).chain(servers);
    folders.find_map(|folder| Some(folder.join(program)).filter(|file| file.is_file()))
}
