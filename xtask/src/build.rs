//! The steps that are one call of cargo each.
//!
//! Clippy, rustdoc and the tests ask for all features of the whole workspace, so that each finds what
//! the one before it has built.

use crate::workspace::{Workspace, run};

pub(crate) fn format(workspace: &Workspace) -> anyhow::Result<()> {
    // The names of the files are enough: the way to mend them is the same for all.
    run(&mut workspace.cargo(["fmt", "--all", "--check", "--", "--files-with-diff"]))
}

pub(crate) fn clippy(workspace: &Workspace) -> anyhow::Result<()> {
    run(&mut workspace.cargo([
        "clippy",
        "--locked",
        "--workspace",
        "--all-targets",
        "--all-features",
        "--",
        "-D",
        "warnings",
    ]))
}

pub(crate) fn rustdoc(workspace: &Workspace) -> anyhow::Result<()> {
    let mut command = workspace.cargo(["doc", "--locked", "--workspace", "--all-features", "--no-deps"]);
    run(command.env("RUSTDOCFLAGS", "-D warnings"))
}

pub(crate) fn doctests(workspace: &Workspace) -> anyhow::Result<()> {
    run(&mut workspace.cargo(["test", "--locked", "--workspace", "--all-features", "--doc"]))
}
