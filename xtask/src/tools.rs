//! What the steps run besides cargo: finding it, and installing it where it is missing.
//!
//! ```text
//!  by cargo install  cargo-nextest, cargo-machete, cargo-deny   → <cargo home>/aether-tools/bin
//!  from Debian      mosquitto-clients, openssl, python3-venv   → the system, as root or with sudo
//!  from PyPI        asyncua and what it needs                  → <target directory>/witness-venv
//! ```
//!
//! A tool found on the `PATH` at a fitting version is used as it is. Nothing of a person's own is
//! replaced: programs go to a folder of their own, where the next clone finds them again.
#![expect(clippy::print_stdout, reason = "a program that talks to the person who ran it")]

mod cargo_tools;
mod debian;
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
    /// `mosquitto_sub` and `mosquitto_pub`, MQTT clients nobody here wrote.
    MosquittoClients,
    /// The specification's way to make a claim certificate.
    OpenSsl,
    /// A Python with asyncua, an OPC UA client nobody here wrote.
    Asyncua,
}

/// The quickest to install first.
const EVERY_TOOL: &[Tool] =
    &[Tool::MosquittoClients, Tool::OpenSsl, Tool::Asyncua, Tool::Machete, Tool::Nextest, Tool::Deny];

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
        if let Some(program) = program(tool) {
            program.ensure(workspace)
        } else if tool == Tool::Asyncua {
            python::ensure(workspace)
        } else {
            Ok(())
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

/// What the package of a tool is called, if `cargo install` brings it.
fn program(tool: Tool) -> Option<&'static cargo_tools::Program> {
    match tool {
        Tool::Nextest => Some(&cargo_tools::NEXTEST),
        Tool::Machete => Some(&cargo_tools::MACHETE),
        Tool::Deny => Some(&cargo_tools::DENY),
        Tool::MosquittoClients | Tool::OpenSsl | Tool::Asyncua => None,
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
        Tool::Asyncua => Some(python::interpreter(workspace)),
    };
    found.with_context(|| format!("{tool:?} is not installed: run `cargo xtask ci --only tools`"))
}

/// The first file of this name in the folders of the `PATH`.
fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}
