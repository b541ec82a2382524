//! The fuzz targets, one after the other, each for a while: hostile bytes against what reads them.
//!
//! Not a step of the gate: its worth grows with the hours given to it. A build server runs it at night.
#![expect(clippy::print_stdout, reason = "a program that talks to the person who ran it")]

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::tools;
use crate::workspace::{Workspace, read, run};

/// How long each target runs unless told otherwise.
const SECONDS: u32 = 60;

/// The package of the targets; a workspace of its own.
const PACKAGE: &str = "fuzz";

/// What the command line asked for.
#[derive(Debug, PartialEq, Eq)]
struct Request {
    seconds: u32,
    /// Targets by name; all of them when empty.
    targets: Vec<String>,
}

/// Runs `cargo xtask fuzz` with `options`, what follows `fuzz` on the command line.
pub(crate) fn main(workspace: &Workspace, options: &[&str]) -> anyhow::Result<()> {
    let request = parse(options)?;
    let folder = workspace.root.join(PACKAGE);
    let known = targets(&read(&folder.join("Cargo.toml"))?);
    if let Some(unknown) = request.targets.iter().find(|target| !known.contains(target)) {
        bail!("there is no target `{unknown}`, expected one of {}", known.join(", "));
    }
    let chosen = if request.targets.is_empty() { known } else { request.targets };
    println!("    {} targets, {} s each", chosen.len(), request.seconds);
    for target in &chosen {
        println!("==> {target}");
        fuzz(workspace, &folder, target, request.seconds)?;
    }
    println!("==> {} targets ran {} s each and found nothing", chosen.len(), request.seconds);
    Ok(())
}

fn fuzz(workspace: &Workspace, folder: &Path, target: &str, seconds: u32) -> anyhow::Result<()> {
    let corpus = folder.join("corpus").join(target);
    std::fs::create_dir_all(&corpus).with_context(|| format!("could not make {}", corpus.display()))?;
    let seeds = folder.join("seeds").join(target);
    let dictionary = folder.join("seeds").join(format!("{target}.dict"));
    let mut command = tools::fuzz_command(workspace, &["run", "-s", "none", "--fuzz-dir", PACKAGE, target])?;
    command.arg(&corpus);
    if seeds.is_dir() {
        command.arg(&seeds);
    }
    command.arg("--").arg(format!("-max_total_time={seconds}")).arg("-print_final_stats=1");
    if dictionary.is_file() {
        command.arg(format!("-dict={}", dictionary.display()));
    }
    // What a target keeps in files goes with it: it never ends in a way that would let it tidy up.
    let scratch = folder.join("target/scratch");
    std::fs::create_dir_all(&scratch).with_context(|| format!("could not make {}", scratch.display()))?;
    command.env("TMPDIR", &scratch);
    // The stable compiler is told to take the flags of the coverage it needs; our own code uses none.
    command.env("RUSTC_BOOTSTRAP", "1").env_remove("CARGO_TARGET_DIR");
    let ran = run(&mut command);
    // What is left there is no reason to fail.
    let _ = std::fs::remove_dir_all(&scratch);
    ran.with_context(|| {
        let artifacts: PathBuf = [PACKAGE, "artifacts", target].iter().collect();
        format!("target {target} failed; what it failed with lies in {}", artifacts.display())
    })
}

/// The names of the programs a manifest declares.
fn targets(manifest: &str) -> Vec<String> {
    let mut in_program = false;
    let mut found = Vec::new();
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            in_program = line == "[[bin]]";
        } else if let Some(name) = line.strip_prefix("name = ").filter(|_| in_program) {
            found.push(name.trim_matches('"').to_owned());
        }
    }
    found
}

fn parse(options: &[&str]) -> anyhow::Result<Request> {
    let mut request = Request { seconds: SECONDS, targets: Vec::new() };
    let mut options = options.iter();
    while let Some(option) = options.next() {
        match *option {
            "--seconds" => {
                let found = options.next().copied().unwrap_or_default();
                request.seconds = match found.parse() {
                    Ok(seconds) if seconds > 0 => seconds,
                    Ok(_) | Err(_) => bail!("--seconds is {found:?}, expected a whole number from 1"),
                };
            }
            flag if flag.starts_with('-') => bail!("unknown option `{flag}`, expected --seconds N or a target"),
            target => request.targets.push(target.to_owned()),
        }
    }
    Ok(request)
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn the_targets_are_the_programs_of_the_manifest() {
        let manifest = "[package]\nname = \"p\"\n\n[[bin]]\nname = \"one\"\n\n[dependencies]\nname = \"x\"\n[[bin]]\nname = \"two\"\n";
        assert_eq!(targets(manifest), ["one", "two"]);
    }

    #[test]
    fn options_are_read_and_bad_ones_are_named() {
        let asked = parse(&["--seconds", "5", "policy"]).unwrap();
        assert_eq!(asked, Request { seconds: 5, targets: vec!["policy".to_owned()] });
        assert!(parse(&["--seconds", "0"]).unwrap_err().to_string().contains("\"0\""));
        assert!(parse(&["--fast"]).unwrap_err().to_string().contains("--fast"));
    }
}
