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
    let fetched = capture(fetch.env("GIT_TERMINAL_PROMPT", "0").env("LC_ALL", "C"))?;
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

/// What git says, in its own words or in curl's, when it could not reach a server.
const NO_NETWORK: &[&str] = &[
    "Could not resolve host",
    "Could not resolve proxy",
    "Couldn't connect to server",
    "Failed to connect to",
    "Connection refused",
    "Connection timed out",
    "Operation timed out",
    "Connection timeout",
    "Connection reset by peer",
    "Connection was reset",
    "Network is unreachable",
    "No route to host",
    // A proxy that does not let this machine out.
    "CONNECT tunnel failed",
    "from proxy after CONNECT",
];

/// Why the database could not be reached; `None` when what `cargo-deny fetch` said is another matter: a
/// full disk, a lock, a database that is not where it is looked for.
fn unreachable(said: &str) -> Option<&str> {
    let mut lines = said.lines();
    lines.find(|line| line.contains("failed to fetch advisory database"))?;
    // The first is the cause, those after it are what came of it.
    let cause = lines.find_map(|line| line.strip_prefix("fatal: "))?;
    NO_NETWORK.iter().any(|words| cause.contains(words)).then_some(cause)
}

#[cfg(test)]
mod test {
    use super::*;

    /// What `cargo-deny fetch db` prints when git ends with these lines.
    fn fetch(git: &str) -> String {
        format!(
            "[ERROR] failed to fetch database: failed to fetch advisory database https://example.org/db with cli: \
             failed to clone: [\"clone\", \"--depth=1\", \"https://example.org/db\"]\nCloning into 'db'...\n{git}\n"
        )
    }

    #[test]
    fn a_network_that_is_not_there_is_recognised() {
        for cause in [
            "unable to access 'https://example.org/db/': Could not resolve host: example.org",
            "unable to access 'https://example.org/db/': Failed to connect to 127.0.0.1 port 9 after 0 ms: \
             Couldn't connect to server",
            "unable to access 'https://example.org/db/': Connection timed out after 300001 milliseconds",
            "unable to access 'https://example.org/db/': CONNECT tunnel failed, response 403",
        ] {
            assert_eq!(unreachable(&fetch(&format!("fatal: {cause}"))), Some(cause));
        }
    }

    #[test]
    fn any_other_failure_is_no_missing_network() {
        for git in [
            "fatal: repository 'https://example.org/db/' not found",
            "git: 'remote-ftpx' is not a git command. See 'git --help'.\nfatal: remote helper 'ftpx' aborted session",
            "fatal: could not create work tree dir 'db': No space left on device",
            "fatal: Unable to create 'db/.git/shallow.lock': File exists.",
            "fatal: unable to access 'https://example.org/db/': The requested URL returned error: 500",
            "fatal: early EOF\nfatal: Could not resolve host",
            "",
        ] {
            assert_eq!(unreachable(&fetch(git)), None, "{git}");
        }
        for other in [
            "[ERROR] failed to validate configuration file deny.toml\n",
            "[ERROR] failed to fetch database: failed to acquire advisory database lock: failed to obtain lock file\n",
        ] {
            assert_eq!(unreachable(other), None, "{other}");
        }
    }
}
