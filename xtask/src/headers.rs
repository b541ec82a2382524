//! The step that wants each source file to open with a `//!` line of purpose.

use anyhow::bail;

use crate::workspace::{Workspace, read};

/// Fails when a source file of a package, be it a test, an example or a benchmark, opens with anything
/// but a `//!` line.
pub(crate) fn run(workspace: &Workspace) -> anyhow::Result<()> {
    let mut bare = Vec::new();
    for package in &workspace.packages {
        for file in package.sources()? {
            if !opens_with_purpose(&read(&file)?) {
                bare.push(workspace.shown(&file));
            }
        }
    }
    if bare.is_empty() {
        return Ok(());
    }
    bail!("no //! line opens {}", bare.join(", "))
}

/// Tells whether the first line says something after `//!`.
fn opens_with_purpose(text: &str) -> bool {
    text.lines().next().and_then(|line| line.strip_prefix("//!")).is_some_and(|purpose| !purpose.trim().is_empty())
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn every_source_file_of_this_tree_opens_with_its_purpose() {
        run(&Workspace::load().unwrap()).unwrap();
    }

    #[test]
    fn only_an_inner_doc_comment_with_words_counts() {
        assert!(opens_with_purpose("//! What this file is for.\nmod a;\n"));
        assert!(!opens_with_purpose("//!\nmod a;\n"));
        assert!(!opens_with_purpose("// A comment.\n"));
        assert!(!opens_with_purpose("use std::fmt;\n//! Too late.\n"));
        assert!(!opens_with_purpose(""));
    }
}
