//! The packages of `tests/witness/js/package.json`, for Node.js, in the target directory.
#![expect(clippy::print_stdout, reason = "a program that talks to the person who ran it")]

use std::path::PathBuf;

use anyhow::Context as _;

use super::on_path;
use crate::workspace::{Workspace, capture, read, run};

/// Where the two files of [`FILES`] are kept, below the root.
const SOURCE: &str = "tests/witness/js";

/// What is wanted, and at which versions.
const FILES: [&str; 2] = ["package.json", "package-lock.json"];

/// Written last: the lock file it was installed from.
const STAMP: &str = "installed.json";

/// The oldest Node.js that runs the witnesses.
const OLDEST_NODE: u32 = 18;

/// What `NODE_PATH` has to be for the packages to be found, whether they are there yet or not.
pub(crate) fn modules(workspace: &Workspace) -> PathBuf {
    folder(workspace).join("node_modules")
}

fn folder(workspace: &Workspace) -> PathBuf {
    workspace.target.join("witness-node")
}

/// Tells whether Node.js is there and new enough, and npm beside it.
pub(super) fn is_there(workspace: &Workspace) -> bool {
    let answer = capture(&mut workspace.program("node", ["--version"]));
    let new_enough = answer.is_ok_and(|answer| major(&answer.stdout).is_some_and(|major| major >= OLDEST_NODE));
    new_enough && on_path("npm").is_some()
}

/// The first number of `v20.20.2`.
fn major(version: &str) -> Option<u32> {
    version.trim().strip_prefix('v')?.split('.').next()?.parse().ok()
}

/// Installs the packages unless they were installed from the same lock file.
pub(super) fn ensure(workspace: &Workspace) -> anyhow::Result<()> {
    let folder = folder(workspace);
    let wanted = read(&workspace.root.join(SOURCE).join(FILES[1]))?;
    let stamp = folder.join(STAMP);
    if std::fs::read_to_string(&stamp).is_ok_and(|found| found == wanted) {
        return Ok(());
    }
    println!("    the Node.js packages of {SOURCE} are missing or out of date");
    std::fs::create_dir_all(&folder).with_context(|| format!("could not make {}", folder.display()))?;
    for file in FILES {
        let from = workspace.root.join(SOURCE).join(file);
        std::fs::copy(&from, folder.join(file)).with_context(|| format!("could not copy {}", from.display()))?;
    }
    // No install scripts: the packages bring what they need built, and none of them is to build or fetch more.
    let install = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error"];
    run(workspace.program("npm", install).current_dir(&folder))?;
    std::fs::write(&stamp, wanted).with_context(|| format!("could not write {}", stamp.display()))
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn the_major_version_is_read() {
        assert_eq!(major("v20.20.2\n"), Some(20));
        assert_eq!(major("20.20.2"), None);
    }

    #[test]
    fn the_lock_file_pins_hashes_and_names_no_registry() {
        let lock = include_str!("../../../tests/witness/js/package-lock.json");
        assert!(lock.contains("\"integrity\": \"sha512-"));
        assert!(!lock.contains("\"resolved\""), "install with npm_config_omit_lockfile_registry_resolved=true");
    }
}
