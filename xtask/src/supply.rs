//! The steps about other people's crates: unused ones, forbidden ones, vulnerable ones.
#![expect(clippy::print_stdout, reason = "a program that talks to the person who ran it")]

use anyhow::bail;

use crate::tools::{self, Tool};
use crate::workspace::{Workspace, capture, run};

/// Fails on a dependency that stands in a `Cargo.toml` and nowhere in that crate's source.
pub(crate) fn unused_dependencies(workspace: &Workspace) -> anyhow::Result<()> {
    // With metadata, since a library's name may differ from its package's (async-opcua is `opcua`).
    let arguments = ["--with-metadata", "crates", "tests", "xtask"];
    run(&mut tools::cargo_command(workspace, Tool::Machete, &arguments)?)
}

/// Holds the whole tree against the bans, licences and sources of `deny.toml`.
pub(crate) fn deny(workspace: &Workspace) -> anyhow::Result<()> {
    check(workspace, &["bans", "licenses", "sources"])
}

/// Fails on a known vulnerability, if the database of advisories can be had.
///
/// Fetching and checking are two commands: a database that cannot be reached is said aloud and let
/// through, an advisory found is a failure, and the one cannot be taken for the other.
pub(crate) fn advisories(workspace: &Workspace) -> anyhow::Result<()> {
    let mut fetch = tools::cargo_command(workspace, Tool::Deny, &["fetch", "db"])?;
    let fetched = capture(fetch.env("GIT_TERMINAL_PROMPT", "0"))?;
    if !fetched.succeeded {
        let Some(cause) = unreachable(&fetched.stderr) else {
            bail!("`cargo-deny fetch db` failed: {}", fetched.stderr.trim());
        };
        println!(
            "    NOT CHECKED: the advisory database cannot be reached from here ({cause}); advisories are checked where it can"
        );
        return Ok(());
    }
    check(workspace, &["advisories"])
}

fn check(workspace: &Workspace, what: &[&str]) -> anyhow::Result<()> {
    let common = ["--locked", "--workspace", "--all-features", "check"];
    run(tools::cargo_command(workspace, Tool::Deny, &common)?.args(what))
}

/// Why the database could not be fetched; `None` when what `cargo-deny fetch` said is another matter.
fn unreachable(said: &str) -> Option<&str> {
    let mut lines = said.lines();
    lines.find(|line| line.contains("failed to fetch advisory database"))?;
    let cause = lines.find_map(|line| line.strip_prefix("fatal: "));
    Some(cause.unwrap_or("no cause given"))
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn a_database_out_of_reach_is_told_from_any_other_failure() {
        let no_network = "[ERROR] failed to fetch database: failed to fetch advisory database \
            https://example.org/db with cli: failed to clone\nCloning into 'db'...\n\
            fatal: unable to access 'https://example.org/db': Could not resolve host\n";
        assert_eq!(unreachable(no_network), Some("unable to access 'https://example.org/db': Could not resolve host"));
        let bad_settings = "[ERROR] failed to validate configuration file deny.toml\n";
        assert_eq!(unreachable(bad_settings), None);
    }
}
