//! The step that runs the tests, and the command that runs the foreign witnesses alone.

use std::path::PathBuf;
use std::process::Command;

use crate::tools::{self, Tool, python};
use crate::workspace::{Workspace, run as run_command};

/// Settings of the test runner: how long a test may take, among others.
const NEXTEST_SETTINGS: &str = "xtask/nextest.toml";

/// Builds everything the tests start, then runs all unit and integration tests.
pub(crate) fn run(workspace: &Workspace) -> anyhow::Result<()> {
    // The program itself is among what is built here: the tests that start it get its path.
    // Asked for together with the tests, it shares their features and so their dependencies.
    build(workspace, &["--lib", "--bins", "--examples", "--tests"])?;
    run_command(nextest(workspace)?.arg("--no-fail-fast"))
}

/// Installs the foreign clients where missing and runs only the tests that use them.
pub(crate) fn witnesses(workspace: &Workspace) -> anyhow::Result<()> {
    tools::ensure(workspace, &[Tool::Nextest, Tool::MosquittoClients, Tool::OpenSsl, Tool::Asyncua])?;
    build(workspace, &["--bin", "aether", "--test", "witnesses"])?;
    run_command(nextest(workspace)?.args(["--no-fail-fast", "--test", "witnesses"]))
}

const EVERYTHING: [&str; 3] = ["--locked", "--workspace", "--all-features"];

fn build(workspace: &Workspace, targets: &[&str]) -> anyhow::Result<()> {
    let mut command = workspace.cargo(["build"]);
    run_command(command.args(EVERYTHING).args(targets))
}

/// `cargo nextest run` over the workspace, told where the program and the Python are.
fn nextest(workspace: &Workspace) -> anyhow::Result<Command> {
    let program: PathBuf = workspace.target.join("debug").join("aether");
    let mut command = workspace
        .program(tools::path_of(workspace, Tool::Nextest)?, ["nextest", "run", "--config-file", NEXTEST_SETTINGS]);
    command.args(EVERYTHING).env("AETHER_BIN", program).env("AETHER_WITNESS_PYTHON", python::interpreter(workspace));
    Ok(command)
}
