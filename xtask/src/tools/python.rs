//! A Python environment of our own, with the packages of `tests/witness/requirements.txt`.
#![expect(clippy::print_stdout, reason = "a program that talks to the person who ran it")]

use std::path::PathBuf;

use anyhow::Context as _;

use crate::workspace::{Workspace, capture, run};

const REQUIREMENTS: &str = "tests/witness/requirements.txt";

/// Written last into the environment: the requirements it was made for.
const STAMP: &str = "installed.txt";

/// The environment's `python`, whether it is there yet or not.
pub(crate) fn interpreter(workspace: &Workspace) -> PathBuf {
    environment(workspace).join("bin").join("python")
}

fn environment(workspace: &Workspace) -> PathBuf {
    workspace.target.join("witness-venv")
}

/// Tells whether `python3` is there, new enough, and able to make environments.
pub(super) fn can_make_venv(workspace: &Workspace) -> bool {
    let question = "import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 10))";
    capture(&mut workspace.program("python3", ["-c", question])).is_ok_and(|answer| answer.succeeded)
}

/// Makes the environment anew unless it was made for the same requirements and still runs.
pub(super) fn ensure(workspace: &Workspace) -> anyhow::Result<()> {
    let wanted = workspace.root.join(REQUIREMENTS);
    let wanted = std::fs::read_to_string(&wanted).with_context(|| format!("could not read {}", wanted.display()))?;
    let stamp = environment(workspace).join(STAMP);
    let made_for_these = std::fs::read_to_string(&stamp).is_ok_and(|found| found == wanted);
    if made_for_these && runs(workspace) {
        return Ok(());
    }
    println!("    the Python environment of the foreign witnesses is missing or out of date");
    let folder = environment(workspace);
    run(workspace.program("python3", ["-m", "venv", "--clear"]).arg(&folder))?;
    run(&mut workspace.program(
        interpreter(workspace),
        ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement", REQUIREMENTS],
    ))?;
    std::fs::write(&stamp, wanted).with_context(|| format!("could not write {}", stamp.display()))
}

fn runs(workspace: &Workspace) -> bool {
    capture(&mut workspace.program(interpreter(workspace), ["-c", "import asyncua"]))
        .is_ok_and(|answer| answer.succeeded)
}
