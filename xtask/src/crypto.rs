//! The step that keeps one TLS library and one provider of cryptography in the tree.

use std::collections::BTreeSet;

use anyhow::bail;

use crate::workspace::{Workspace, capture};

/// Fails unless the tree that users get holds exactly one rustls, version 0.23, and ring under it.
///
/// Looks at normal and build dependencies with all features, on every platform. Two providers in one
/// program would make rustls unable to choose, and every connection would panic.
pub(crate) fn run(workspace: &Workspace) -> anyhow::Result<()> {
    let tree = capture(&mut workspace.cargo([
        "tree",
        "--locked",
        "--workspace",
        "--all-features",
        "--target",
        "all",
        "--edges",
        "normal,build",
        "--prefix",
        "none",
        "--format",
        "{p}",
    ]))?;
    if !tree.succeeded {
        bail!("`cargo tree` failed: {}", tree.stderr.trim());
    }
    let faults = check(&tree.stdout);
    if faults.is_empty() {
        return Ok(());
    }
    bail!("{}", faults.join("; "))
}

/// Packages that would be a second provider, or a second TLS library.
const FORBIDDEN: &[&str] = &["aws-lc-rs", "aws-lc-sys", "native-tls", "openssl", "openssl-sys"];

/// Checks a tree given as lines of `name vVERSION …`.
fn check(tree: &str) -> Vec<String> {
    let packages: BTreeSet<(&str, &str)> = tree
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            Some((words.next()?, words.next()?))
        })
        .collect();
    let mut faults: Vec<String> = packages
        .iter()
        .filter(|(name, _)| FORBIDDEN.contains(name))
        .map(|(name, version)| format!("{name} {version} is in the tree"))
        .collect();
    let rustls: Vec<&str> =
        packages.iter().filter(|(name, _)| *name == "rustls").map(|&(_, version)| version).collect();
    if rustls.len() != 1 || !rustls[0].starts_with("v0.23.") {
        faults.push(format!(
            "expected one rustls 0.23 in the tree, found {}",
            if rustls.is_empty() { "none".to_owned() } else { rustls.join(" and ") }
        ));
    }
    if !packages.iter().any(|(name, _)| *name == "ring") {
        faults.push("ring, the one provider, is not in the tree".to_owned());
    }
    faults
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn one_rustls_over_ring_passes_however_often_it_is_listed() {
        let tree = "a v0.1.0 (/a)\nrustls v0.23.46\nring v0.17.14\n\nrustls v0.23.46 (*)\n";
        assert_eq!(check(tree), Vec::<String>::new());
    }

    #[test]
    fn two_rustls_are_one_too_many() {
        let faults = check("rustls v0.22.4\nrustls v0.23.46\nring v0.17.14\n");
        assert_eq!(faults, ["expected one rustls 0.23 in the tree, found v0.22.4 and v0.23.46"]);
    }

    #[test]
    fn a_second_provider_and_openssl_are_named() {
        let tree = "rustls v0.23.46\nring v0.17.14\naws-lc-rs v1.16.0\nopenssl-sys v0.9.1\n";
        assert_eq!(check(tree), ["aws-lc-rs v1.16.0 is in the tree", "openssl-sys v0.9.1 is in the tree"]);
    }

    #[test]
    fn a_name_that_only_begins_alike_is_let_through() {
        let tree = "rustls v0.23.46\nring v0.17.14\nopenssl-probe v0.2.2\nrustls-webpki v0.103.16\n";
        assert_eq!(check(tree), Vec::<String>::new());
    }

    #[test]
    fn an_empty_tree_is_no_proof() {
        assert_eq!(check("").len(), 2);
    }
}
