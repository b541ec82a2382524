//! Programs that `cargo install` brings, at pinned versions, built once and kept beside cargo's own.
#![expect(clippy::print_stdout, reason = "a program that talks to the person who ran it")]

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::workspace::{Workspace, capture, cargo, run};

/// A program that is a package of cargo's registry.
#[derive(Debug)]
pub(super) struct Program {
    /// The package and the program, which share their name.
    name: &'static str,
    /// What is installed; a later patch release found on the machine is taken as well.
    version: Version,
    /// Options of `cargo install` besides the usual ones.
    options: &'static [&'static str],
}

/// Major, minor and patch.
type Version = (u32, u32, u32);

pub(super) const NEXTEST: Program = Program {
    name: "cargo-nextest",
    version: (0, 9, 143),
    // Without the part that updates itself, which is half of what there is to compile.
    options: &["--no-default-features", "--features", "default-no-update"],
};

pub(super) const MACHETE: Program = Program { name: "cargo-machete", version: (0, 9, 2), options: &[] };

pub(super) const DENY: Program = Program { name: "cargo-deny", version: (0, 20, 2), options: &[] };

/// Not one of the gate's: installed when fuzzing is asked for.
pub(super) const FUZZ: Program = Program { name: "cargo-fuzz", version: (0, 13, 1), options: &[] };

/// Compile time matters more than speed here: the gate runs each of these programs for seconds.
const QUICK_TO_COMPILE: [(&str, &str); 4] = [
    ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1"),
    ("CARGO_PROFILE_RELEASE_LTO", "false"),
    ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16"),
    ("CARGO_PROFILE_RELEASE_DEBUG", "0"),
];

impl Program {
    /// Builds and installs the program unless a fitting one is there.
    pub(super) fn ensure(&self, workspace: &Workspace) -> anyhow::Result<()> {
        if self.find(workspace)?.is_some() {
            return Ok(());
        }
        let (major, minor, patch) = self.version;
        println!("    {} {major}.{minor}.{patch} is missing; it is built once and kept", self.name);
        let version = format!("{major}.{minor}.{patch}");
        let mut command = workspace.cargo(["install", "--locked", self.name, "--version", &version]);
        command
            .arg("--root")
            .arg(tools_root()?)
            // An older one of ours has to give way.
            .arg("--force")
            // One folder for all of them: they share a good part of what they are built from.
            .arg("--target-dir")
            .arg(build_folder(workspace))
            .args(self.options)
            .envs(QUICK_TO_COMPILE);
        run(&mut command)?;
        match self.find(workspace)? {
            Some(_) => Ok(()),
            None => bail!("{} was built, yet does not answer to `--version`", self.name),
        }
    }

    /// The program, if one of a fitting version is there: ours first, then the `PATH`'s.
    pub(super) fn find(&self, workspace: &Workspace) -> anyhow::Result<Option<PathBuf>> {
        let ours = tools_root()?.join("bin").join(self.name);
        let candidates = [Some(ours), super::on_path(self.name)];
        for candidate in candidates.into_iter().flatten() {
            if candidate.is_file() && self.fits(workspace, &candidate) {
                return Ok(Some(candidate));
            }
        }
        Ok(None)
    }

    /// The program at `path` with these arguments, called as `cargo NAME ARGUMENTS…` would call it.
    ///
    /// Cargo passes its own path in `CARGO` and the name again as the first argument; a program may
    /// rely on either.
    pub(super) fn command(&self, workspace: &Workspace, path: &Path, arguments: &[&str]) -> Command {
        let name = self.name.strip_prefix("cargo-").unwrap_or(self.name);
        let mut command = workspace.program(path, [name]);
        command.args(arguments).env("CARGO", cargo());
        command
    }

    /// Tells whether the program at `path` runs and says a fitting version.
    fn fits(&self, workspace: &Workspace, path: &Path) -> bool {
        // One that cannot be started is as good as none.
        capture(&mut self.command(workspace, path, &["--version"]))
            .is_ok_and(|answer| answer.succeeded && version_in(&answer.stdout).is_some_and(|found| self.takes(found)))
    }

    fn takes(&self, found: Version) -> bool {
        (found.0, found.1) == (self.version.0, self.version.1) && found.2 >= self.version.2
    }
}

/// Where these programs are built.
fn build_folder(workspace: &Workspace) -> PathBuf {
    workspace.target.join("tools")
}

/// Takes away what was left from building the programs, the better part of a gigabyte.
pub(super) fn clean_up(workspace: &Workspace) -> anyhow::Result<()> {
    let folder = build_folder(workspace);
    if !folder.exists() {
        return Ok(());
    }
    std::fs::remove_dir_all(&folder).with_context(|| format!("could not remove {}", folder.display()))
}

/// Where these programs are kept: a folder of our own in cargo's home, shared by all clones.
fn tools_root() -> anyhow::Result<PathBuf> {
    let home = match std::env::var_os("CARGO_HOME") {
        Some(home) => PathBuf::from(home),
        None => PathBuf::from(std::env::var_os("HOME").context("neither CARGO_HOME nor HOME is set")?).join(".cargo"),
    };
    Ok(home.join("aether-tools"))
}

/// The first word of `text` that is a version.
fn version_in(text: &str) -> Option<Version> {
    text.split_whitespace().find_map(|word| {
        let mut parts = word.split('.');
        let version = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        parts.next().is_none().then_some(version)
    })
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn the_version_is_found_in_what_each_program_prints() {
        let nextest = "cargo-nextest 0.9.143 (60fa45f63 2026-08-04)\nrelease: 0.9.143\n";
        assert_eq!(version_in(nextest), Some((0, 9, 143)));
        assert_eq!(version_in("0.9.2\n"), Some((0, 9, 2)));
        assert_eq!(version_in("cargo-deny 0.20.2\n"), Some((0, 20, 2)));
        assert_eq!(version_in("no version here 1.2\n"), None);
    }

    #[test]
    fn a_later_patch_fits_and_another_series_does_not() {
        assert!(DENY.takes((0, 20, 2)));
        assert!(DENY.takes((0, 20, 9)));
        assert!(!DENY.takes((0, 20, 1)));
        assert!(!DENY.takes((0, 21, 0)));
        assert!(!DENY.takes((1, 20, 2)));
    }
}
