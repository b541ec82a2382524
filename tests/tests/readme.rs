//! The README tells the truth about what it shows.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs, path::PathBuf};

fn repository(path: &str) -> String {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()))
}

#[test]
fn the_example_in_the_readme_is_the_example_that_is_built() {
    let example = repository("crates/aether-nexus/examples/temperature_poller.rs");
    let code = example[example.find("use std::").unwrap()..].trim_end();
    assert!(
        repository("README.md").contains(&format!("```rust\n{code}\n```")),
        "copy the example into README.md again"
    );
}

#[test]
fn every_crate_is_in_the_table_and_every_link_leads_somewhere() {
    let readme = repository("README.md");
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    for entry in fs::read_dir(root.join("crates")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(readme.contains(&format!("[`{name}`](crates/{name})")), "{name} is missing from the table");
    }
    for link in readme.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
        assert!(link.starts_with("http") || root.join(link).exists(), "{link} leads nowhere");
    }
}
