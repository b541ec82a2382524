//! What cargo says about this workspace, and how the steps call cargo and other programs.
#![expect(clippy::print_stdout, reason = "a program that talks to the person who ran it")]

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};
use serde_json::Value;

/// The workspace as `cargo metadata --no-deps` describes it.
#[derive(Debug)]
pub(crate) struct Workspace {
    /// The directory of the top-level `Cargo.toml`.
    pub(crate) root: PathBuf,
    /// Where cargo puts what it builds.
    pub(crate) target: PathBuf,
    /// Our own packages, by name.
    pub(crate) packages: Vec<Package>,
}

/// One of our own packages.
#[derive(Clone, Debug)]
pub(crate) struct Package {
    pub(crate) name: String,
    /// Its `Cargo.toml`.
    pub(crate) manifest: PathBuf,
    /// Each feature with what it turns on.
    pub(crate) features: BTreeMap<String, Vec<String>>,
    pub(crate) dependencies: Vec<Dependency>,
}

/// One line of a package's dependency tables.
#[derive(Clone, Debug)]
pub(crate) struct Dependency {
    /// The package depended on, whatever it is renamed to.
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// The features asked for by name.
    pub(crate) features: Vec<String>,
}

/// Which table a dependency stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `[dependencies]` or `[build-dependencies]`: part of what users of the crate get.
    Normal,
    /// `[dev-dependencies]`: tests, examples and benchmarks only.
    Development,
}

impl Workspace {
    /// Asks cargo about the workspace this program was built from.
    pub(crate) fn load() -> anyhow::Result<Self> {
        let output = clean_cargo()
            .args(["metadata", "--no-deps", "--format-version", "1"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .stderr(Stdio::inherit())
            .output()
            .context("could not start `cargo metadata`")?;
        if !output.status.success() {
            bail!("`cargo metadata` ended with {}", output.status);
        }
        let metadata = serde_json::from_slice(&output.stdout)
            .context("`cargo metadata` answered with something that is not JSON")?;
        Self::from_metadata(&metadata)
    }

    fn from_metadata(metadata: &Value) -> anyhow::Result<Self> {
        let mut packages =
            list(&metadata["packages"]).iter().map(Package::from_metadata).collect::<anyhow::Result<Vec<_>>>()?;
        packages.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(Self {
            root: text(&metadata["workspace_root"])?.into(),
            target: text(&metadata["target_directory"])?.into(),
            packages,
        })
    }

    /// `cargo` with these arguments, in the workspace's root.
    pub(crate) fn cargo<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = clean_cargo();
        command.args(arguments).current_dir(&self.root);
        command
    }

    /// This file's path below the root, for messages.
    pub(crate) fn shown(&self, file: &Path) -> String {
        file.strip_prefix(&self.root).unwrap_or(file).display().to_string()
    }

    /// Another program with these arguments, in the workspace's root.
    pub(crate) fn program<A: AsRef<OsStr>>(
        &self,
        program: impl AsRef<OsStr>,
        arguments: impl IntoIterator<Item = A>,
    ) -> Command {
        let mut command = Command::new(program);
        without_own_variables(&mut command);
        command.args(arguments).current_dir(&self.root);
        command
    }
}

impl Package {
    fn from_metadata(package: &Value) -> anyhow::Result<Self> {
        let mut features = BTreeMap::new();
        for (feature, turns_on) in package["features"].as_object().into_iter().flatten() {
            features.insert(feature.clone(), texts(turns_on)?);
        }
        Ok(Self {
            name: text(&package["name"])?.to_owned(),
            manifest: text(&package["manifest_path"])?.into(),
            features,
            dependencies: list(&package["dependencies"])
                .iter()
                .map(Dependency::from_metadata)
                .collect::<anyhow::Result<_>>()?,
        })
    }

    /// Every `.rs` file in the package's folder, wherever it lies there, in a fixed order.
    pub(crate) fn sources(&self) -> anyhow::Result<Vec<PathBuf>> {
        let folder = self.manifest.parent().with_context(|| format!("{} lies in no folder", self.name))?;
        let mut found = Vec::new();
        let mut waiting = vec![folder.to_owned()];
        while let Some(next) = waiting.pop() {
            let entries = std::fs::read_dir(&next).with_context(|| format!("could not list {}", next.display()))?;
            for entry in entries {
                let path = entry.with_context(|| format!("could not list {}", next.display()))?.path();
                if path.is_dir() {
                    // What cargo built there is not ours.
                    if !path.ends_with("target") {
                        waiting.push(path);
                    }
                } else if path.extension().is_some_and(|ending| ending == "rs") {
                    found.push(path);
                }
            }
        }
        found.sort();
        Ok(found)
    }
}

impl Dependency {
    fn from_metadata(dependency: &Value) -> anyhow::Result<Self> {
        let kind = match dependency["kind"].as_str() {
            Some("dev") => Kind::Development,
            Some(_) | None => Kind::Normal,
        };
        Ok(Self { name: text(&dependency["name"])?.to_owned(), kind, features: texts(&dependency["features"])? })
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> anyhow::Result<&str> {
    value.as_str().with_context(|| format!("`cargo metadata` gave `{value}` where text was expected"))
}

fn texts(value: &Value) -> anyhow::Result<Vec<String>> {
    list(value).iter().map(|value| text(value).map(str::to_owned)).collect()
}

/// The cargo that runs this program, or the one on the `PATH` when none does.
pub(crate) fn cargo() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

fn clean_cargo() -> Command {
    let mut command = Command::new(cargo());
    without_own_variables(&mut command);
    command
}

/// Takes out what `cargo run` set for this program.
///
/// Build scripts that watch such variables (ring's does) would otherwise run again, and with them
/// all that depends on them, each time a person's own `cargo build` and the gate take turns.
fn without_own_variables(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let Some(name) = name.to_str() else { continue };
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            command.env_remove(name);
        }
    }
}

/// The text of a file.
pub(crate) fn read(file: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(file).with_context(|| format!("could not read {}", file.display()))
}

/// Shows and runs `command`, its output going where ours goes.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let shown = show(command);
    println!("    $ {shown}");
    let status = command.stdin(Stdio::null()).status().with_context(|| format!("could not start `{shown}`"))?;
    if !status.success() {
        bail!("`{shown}` ended with {status}");
    }
    Ok(())
}

/// Shows and runs `command`, and gives its standard output; what it says on the other goes where ours goes.
pub(crate) fn run_for_output(command: &mut Command) -> anyhow::Result<String> {
    let shown = show(command);
    println!("    $ {shown}");
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output = output.with_context(|| format!("could not start `{shown}`"))?;
    if !output.status.success() {
        bail!("`{shown}` ended with {}", output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs `command` and gives what it printed, whether it succeeded or not.
pub(crate) fn capture(command: &mut Command) -> anyhow::Result<Captured> {
    let output =
        command.stdin(Stdio::null()).output().with_context(|| format!("could not start `{}`", show(command)))?;
    Ok(Captured {
        succeeded: output.status.success(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// What a program printed.
#[derive(Debug)]
pub(crate) struct Captured {
    pub(crate) succeeded: bool,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// The command as a person would type it, programs by their bare name.
fn show(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let program = program.file_name().unwrap_or(command.get_program());
    std::iter::once(program).chain(command.get_args()).map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn this_workspace_is_read_with_its_packages_and_their_dependencies() {
        let workspace = Workspace::load().unwrap();
        let delivery = workspace.packages.iter().find(|package| package.name == "aether-delivery").unwrap();
        assert!(workspace.root.join("Cargo.toml").is_file());
        assert!(delivery.manifest.ends_with("crates/aether-delivery/Cargo.toml"));
        assert!(
            delivery
                .dependencies
                .iter()
                .any(|dependency| { dependency.name == "aether-outbox" && dependency.kind == Kind::Normal })
        );
    }

    #[test]
    fn sources_are_found_wherever_they_lie_in_a_package() {
        let workspace = Workspace::load().unwrap();
        let all: Vec<PathBuf> = workspace.packages.iter().flat_map(|package| package.sources().unwrap()).collect();
        for file in [
            "xtask/src/tools/python.rs",
            "tests/tests/witnesses/gateway.rs",
            "crates/aether-nexus/examples/temperature_poller.rs",
            "crates/aether-outbox/benches/memory.rs",
            "crates/aether-provisioning/tests/support/mod.rs",
        ] {
            assert!(all.contains(&workspace.root.join(file)), "{file}");
        }
    }

    #[test]
    fn kinds_and_features_of_dependencies_are_told_apart() {
        let metadata = serde_json::json!({
            "workspace_root": "/w", "target_directory": "/w/target",
            "packages": [{
                "name": "a", "manifest_path": "/w/a/Cargo.toml",
                "features": {"default": ["x"], "x": []},
                "dependencies": [
                    {"name": "b", "kind": null, "features": []},
                    {"name": "c", "kind": "build", "features": []},
                    {"name": "d", "kind": "dev", "features": ["test-util"]},
                ],
            }],
        });
        let workspace = Workspace::from_metadata(&metadata).unwrap();
        let package = &workspace.packages[0];
        let kinds: Vec<Kind> = package.dependencies.iter().map(|one| one.kind).collect();
        assert_eq!(kinds, [Kind::Normal, Kind::Normal, Kind::Development]);
        assert_eq!(package.dependencies[2].features, ["test-util"]);
        assert_eq!(package.features["default"], ["x"]);
    }

    #[test]
    fn a_command_is_shown_as_a_person_would_type_it() {
        let mut command = Command::new("/usr/local/bin/cargo-deny");
        command.args(["check", "bans"]);
        assert_eq!(show(&command), "cargo-deny check bans");
    }
}
