//! The step that runs the tests, and the command that runs the foreign witnesses alone.

use std::process::Command;

use crate::tools::{self, Tool, python};
use crate::workspace::{Workspace, run as run_command};

/// What the foreign witnesses are run with.
pub(crate) const TOOLS: &[Tool] = &[Tool::Nextest, Tool::MosquittoClients, Tool::OpenSsl, Tool::Asyncua];

/// Settings of the test runner: how long a test may take, among others.
const NEXTEST_SETTINGS: &str = "xtask/nextest.toml";

/// What is built and tested: the features of the whole workspace, as in the steps before.
const EVERYTHING: [&str; 3] = ["--locked", "--workspace", "--all-features"];

/// Builds everything the tests start, then runs all unit and integration tests.
pub(crate) fn run(workspace: &Workspace) -> anyhow::Result<()> {
    build(workspace, &["--lib", "--bins", "--examples", "--tests"])?;
    run_command(nextest(workspace)?.arg("--no-fail-fast"))
}

/// Installs the foreign clients where missing and runs only the tests that use them.
pub(crate) fn witnesses(workspace: &Workspace) -> anyhow::Result<()> {
    tools::ensure(workspace, TOOLS)?;
    build(workspace, &["--bin", "aether", "--test", "witnesses"])?;
    run_command(nextest(workspace)?.args(["--no-fail-fast", "--test", "witnesses"]))
}

/// Builds the tests and, with them, the program that some of them start.
///
/// Built in one call both have the same features of their dependencies, which are then built once.
fn build(workspace: &Workspace, targets: &[&str]) -> anyhow::Result<()> {
    run_command(workspace.cargo(["build"]).args(EVERYTHING).args(targets))
}

/// `cargo nextest run` over the workspace, told where the program and the Python are.
fn nextest(workspace: &Workspace) -> anyhow::Result<Command> {
    let mut command = tools::cargo_command(workspace, Tool::Nextest, &["run", "--config-file", NEXTEST_SETTINGS])?;
    command
        .args(EVERYTHING)
        .env("AETHER_BIN", workspace.target.join("debug").join("aether"))
        .env("AETHER_WITNESS_PYTHON", python::interpreter(workspace));
    Ok(command)
}
