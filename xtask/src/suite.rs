//! The step that runs the tests, and the command that runs the foreign witnesses alone.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use serde_json::Value;

use crate::tools::{self, Tool, node, python};
use crate::workspace::{Workspace, run as run_command, run_for_output};

/// What the foreign witnesses are run with.
pub(crate) const TOOLS: &[Tool] = &[
    Tool::Nextest,
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
];

/// Settings of the test runner: how long a test may take, among others.
const NEXTEST_SETTINGS: &str = "xtask/nextest.toml";

/// What is built and tested: the features of the whole workspace, as in the steps before.
const EVERYTHING: [&str; 3] = ["--locked", "--workspace", "--all-features"];

/// Builds everything the tests start, then runs all unit and integration tests.
pub(crate) fn run(workspace: &Workspace) -> anyhow::Result<()> {
    let built = build(workspace, &["--lib", "--bins", "--examples", "--tests"])?;
    run_command(nextest(workspace, &built)?.arg("--no-fail-fast"))
}

/// Installs the foreign clients where missing and runs only the tests that use them.
pub(crate) fn witnesses(workspace: &Workspace) -> anyhow::Result<()> {
    tools::ensure(workspace, TOOLS)?;
    let built = build(workspace, &["--bin", "aether", "--test", "witnesses"])?;
    run_command(nextest(workspace, &built)?.args(["--no-fail-fast", "--test", "witnesses"]))
}

/// What tests start, at the places cargo put it: a target of its own or a profile changes them.
#[derive(Debug, PartialEq, Eq)]
struct Built {
    /// The program.
    aether: PathBuf,
    /// The folder of the examples, where examples were asked for.
    examples: Option<PathBuf>,
}

/// Builds the tests and, with them, the programs that some of them start.
///
/// Built in one call both have the same features of their dependencies, which are then built once.
fn build(workspace: &Workspace, targets: &[&str]) -> anyhow::Result<Built> {
    let mut command = workspace.cargo(["build", "--message-format", "json-render-diagnostics"]);
    built(&run_for_output(command.args(EVERYTHING).args(targets))?)
}

/// Finds the programs in what `cargo build` tells in JSON, a line for each thing it has built.
fn built(messages: &str) -> anyhow::Result<Built> {
    let (mut aether, mut examples) = (None, None);
    for line in messages.lines() {
        // Build scripts and procedural macros may print lines of their own.
        let Ok(message) = serde_json::from_str::<Value>(line) else { continue };
        let Some(executable) = message["executable"].as_str().map(Path::new) else { continue };
        // A program's own tests are an executable of the same name.
        if message["profile"]["test"] == true {
            continue;
        }
        let target = &message["target"];
        if target["kind"][0] == "example" {
            examples = executable.parent().map(Path::to_owned);
        } else if target["kind"][0] == "bin" && target["name"] == "aether" {
            aether = Some(executable.to_owned());
        }
    }
    Ok(Built { aether: aether.context("cargo has not said where it put the program `aether`")?, examples })
}

/// `cargo nextest run` over the workspace, told where the programs and the foreign packages are.
fn nextest(workspace: &Workspace, built: &Built) -> anyhow::Result<Command> {
    let mut command = tools::cargo_command(workspace, Tool::Nextest, &["run", "--config-file", NEXTEST_SETTINGS])?;
    command
        .args(EVERYTHING)
        .env("AETHER_BIN", &built.aether)
        .env("AETHER_WITNESS_PYTHON", python::OPC_UA.interpreter(workspace))
        .env("AETHER_WITNESS_AWS_PYTHON", python::AWS.interpreter(workspace))
        .env("AETHER_WITNESS_PAHO_PYTHON", python::PAHO.interpreter(workspace))
        .env("AETHER_WITNESS_NODE_PATH", node::modules(workspace));
    if let Some(examples) = &built.examples {
        command.env("AETHER_EXAMPLES", examples);
    }
    Ok(command)
}

#[cfg(test)]
mod test {
    use super::*;

    const PROGRAM: &str = r#"{"reason":"compiler-artifact","target":{"kind":["bin"],"name":"aether"},"profile":{"test":false},"executable":"/t/mips/debug/aether"}"#;
    const ITS_TEST: &str = r#"{"reason":"compiler-artifact","target":{"kind":["bin"],"name":"aether"},"profile":{"test":true},"executable":"/t/mips/debug/deps/aether-1"}"#;
    const LIBRARY: &str = r#"{"reason":"compiler-artifact","target":{"kind":["lib"],"name":"aether"},"profile":{"test":false},"executable":null}"#;
    const EXAMPLE: &str = r#"{"reason":"compiler-artifact","target":{"kind":["example"],"name":"poller"},"profile":{"test":false},"executable":"/t/mips/debug/examples/poller"}"#;

    #[test]
    fn the_programs_are_where_cargo_says() {
        let found = built(&[PROGRAM, ITS_TEST, LIBRARY, EXAMPLE, "a build script's words"].join("\n")).unwrap();
        let examples = Some("/t/mips/debug/examples".into());
        assert_eq!(found, Built { aether: "/t/mips/debug/aether".into(), examples });
        assert_eq!(built(PROGRAM).unwrap().examples, None);
    }

    #[test]
    fn a_program_that_was_not_built_is_missed() {
        let error = built(&[ITS_TEST, LIBRARY, EXAMPLE].join("\n")).unwrap_err();
        assert!(error.to_string().contains("`aether`"), "{error}");
    }
}
