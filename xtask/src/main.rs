//! The repository's own commands.
//!
//! ```text
//!  cargo xtask ci        the gate: everything a change must pass, in one run
//!  cargo xtask witness   only the tests with clients nobody here wrote
//!  cargo xtask fuzz      the fuzz targets, each for a while
//!  cargo xtask size      the program's size against its budget, before a release
//! ```
//!
//! It needs Rust and a C compiler; what else a step needs, it installs itself (see `tools`).
//! A laptop and the build server run the same command, so that they agree.

mod ci;
mod workspace;

mod alone;
mod build;
mod crypto;
mod exceptions;
mod fuzz;
mod headers;
mod layers;
mod size;
mod suite;
mod supply;
mod tools;

use std::process::ExitCode;

use crate::workspace::Workspace;

const HELP: &str = "\
The repository's own commands.

Usage: cargo xtask COMMAND

Commands:
  ci        run the gate: every check a change must pass (cargo xtask ci --help)
  witness   run only the tests with foreign clients: asyncua, mosquitto, AWS's SDKs and command line, …
  fuzz      hostile bytes against every parser (--seconds N each, default 60; names of targets)
  size      build the program as it is shipped; fail if it is larger than its budget
  help      show this text

Examples:
  cargo xtask ci
  cargo xtask ci --only format,clippy
  cargo xtask witness
  cargo xtask fuzz --seconds 300 policy_document
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["ci", options @ ..] => ci::main(options),
        ["witness"] => report(Workspace::load().and_then(|workspace| suite::witnesses(&workspace))),
        ["fuzz", options @ ..] => report(Workspace::load().and_then(|workspace| fuzz::main(&workspace, options))),
        ["size"] => report(Workspace::load().and_then(|workspace| size::main(&workspace))),
        ["help" | "--help" | "-h"] => say(HELP, ExitCode::SUCCESS),
        [] => say(HELP, ExitCode::from(2)),
        [other, ..] => say(&format!("unknown command or arguments: `{other}` …\n\n{HELP}"), ExitCode::from(2)),
    }
}

/// Ends a command that is not the gate: silent when it went well, the chain of causes when not.
fn report(outcome: anyhow::Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => say(&format!("error: {error:#}\n"), ExitCode::FAILURE),
    }
}

#[expect(clippy::print_stdout, reason = "a program that talks to the person who ran it")]
fn say(text: &str, code: ExitCode) -> ExitCode {
    print!("{text}");
    code
}
