//! The step that wants each source file to open with a `//!` line of purpose.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::workspace::Workspace;

/// Fails when a source file of a package opens with anything but a `//!` line.
pub(crate) fn run(workspace: &Workspace) -> anyhow::Result<()> {
    let mut bare = Vec::new();
    for package in &workspace.packages {
        let Some(directory) = package.manifest.parent() else {
            continue;
        };
        for file in sources(&directory.join("src"))? {
            let text = std::fs::read_to_string(&file).with_context(|| format!("could not read {}", file.display()))?;
            if !opens_with_purpose(&text) {
                let shown = file.strip_prefix(&workspace.root).unwrap_or(&file);
                bare.push(shown.display().to_string());
            }
        }
    }
    if bare.is_empty() {
        return Ok(());
    }
    bail!("no //! line opens {}", bare.join(", "))
}

/// Every `.rs` file below `directory`, in a fixed order.
fn sources(directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut waiting = vec![directory.to_owned()];
    while let Some(next) = waiting.pop() {
        let entries = std::fs::read_dir(&next).with_context(|| format!("could not list {}", next.display()))?;
        for entry in entries {
            let path = entry.with_context(|| format!("could not list {}", next.display()))?.path();
            if path.is_dir() {
                waiting.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
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

    #[test]
    fn files_in_folders_below_are_found_too() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let found = sources(&here).unwrap();
        assert!(found.contains(&here.join("headers.rs")));
        assert!(found.contains(&here.join("tools/python.rs")));
    }
}
