//! The step that keeps exceptions from the lints small: one lint, one item, with its reason.
//!
//! Clippy cannot hold this line, since what silences a lint silences what would complain of it. The source
//! is read as rustfmt leaves it, which the step before has made sure of.

use std::path::Path;

use anyhow::bail;

use crate::workspace::{Workspace, read};

/// Names that stand for many lints at once.
const GROUPS: &[&str] = &[
    "warnings",
    "unused",
    "nonstandard_style",
    "future_incompatible",
    "rust_2018_idioms",
    "rustdoc::all",
    "clippy::all",
    "clippy::cargo",
    "clippy::complexity",
    "clippy::correctness",
    "clippy::nursery",
    "clippy::pedantic",
    "clippy::perf",
    "clippy::restriction",
    "clippy::style",
    "clippy::suspicious",
];

/// How far an exception may reach in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// One item: what users of a crate get.
    Item,
    /// The whole file: tests, benchmarks and this program.
    File,
}

/// Fails on an `allow` or `expect` that names a group of lints, gives no reason, or, in the `src` of one
/// of `crates/`, silences a whole module.
pub(crate) fn run(workspace: &Workspace) -> anyhow::Result<()> {
    let mut faults = Vec::new();
    for package in &workspace.packages {
        for file in package.sources()? {
            let shown = workspace.shown(&file);
            let found = check(&read(&file)?, reach(Path::new(&shown)));
            faults.extend(found.into_iter().map(|fault| format!("{shown}: {fault}")));
        }
    }
    if faults.is_empty() {
        return Ok(());
    }
    bail!("{}", faults.join("; "))
}

/// What may be silenced in a file at this path below the workspace's root.
fn reach(file: &Path) -> Reach {
    let mut parts = file.iter();
    let (folder, part) = (parts.next(), parts.nth(1));
    if folder.is_some_and(|name| name == "crates") && part.is_some_and(|name| name == "src") {
        Reach::Item
    } else {
        Reach::File
    }
}

/// Every exception in `text` that goes too far.
fn check(text: &str, reach: Reach) -> Vec<String> {
    let mut faults = Vec::new();
    // Exceptions written above an item that is yet to come.
    let mut above = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        if let Some((attribute, after)) = attribute(rest) {
            rest = after.trim_start();
            if !attribute.silences() {
                continue;
            }
            let shown = attribute.shown();
            if GROUPS.iter().any(|group| attribute.names(group)) {
                faults.push(format!("`{shown}` names a group of lints"));
            } else if !attribute.body.contains("reason=") {
                faults.push(format!("`{shown}` gives no reason"));
            } else if attribute.inner && reach == Reach::Item {
                faults.push(format!("`{shown}` silences a whole module"));
            } else if reach == Reach::Item {
                above.push(shown);
            }
            continue;
        }
        let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
        rest = after.trim_start();
        if line.starts_with("//") {
            continue;
        }
        if opens_module(line) {
            faults.extend(above.iter().map(|shown| format!("`{shown}` silences a whole module")));
        }
        above.clear();
    }
    faults
}

/// Tells whether this line is, or begins, `mod NAME`.
fn opens_module(line: &str) -> bool {
    let mut words = line.split_whitespace().skip_while(|word| word.starts_with("pub") || word.ends_with(')'));
    words.next() == Some("mod")
}

/// An attribute, without what stands in its strings and without blanks.
#[derive(Debug, PartialEq, Eq)]
struct Attribute {
    /// Whether it is `#![…]`, about what it stands in.
    inner: bool,
    body: String,
}

impl Attribute {
    fn silences(&self) -> bool {
        self.names("allow") || self.names("expect")
    }

    fn names(&self, name: &str) -> bool {
        self.body.split(|c: char| !c.is_alphanumeric() && c != '_' && c != ':').any(|word| word == name)
    }

    fn shown(&self) -> String {
        format!("{}[{}]", if self.inner { "#!" } else { "#" }, self.body)
    }
}

/// The attribute that `text` begins with, if it does, and what follows it.
fn attribute(text: &str) -> Option<(Attribute, &str)> {
    let (inner, inside) = match text.strip_prefix("#![") {
        Some(inside) => (true, inside),
        None => (false, text.strip_prefix("#[")?),
    };
    let mut body = String::new();
    let (mut depth, mut in_string, mut escaped) = (1, false, false);
    for (at, c) in inside.char_indices() {
        if in_string {
            in_string = escaped || c != '"';
            escaped = !escaped && c == '\\';
            continue;
        }
        match c {
            '"' => in_string = true,
            '[' => depth += 1,
            ']' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some((Attribute { inner, body }, &inside[at + 1..]));
        }
        if !c.is_whitespace() {
            body.push(c);
        }
    }
    None
}

#[cfg(test)]
mod test {
    use super::*;

    #[track_caller]
    fn faults(text: &str, reach: Reach, expected: &[&str]) {
        let found = check(text, reach);
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.contains(expected), "{found}");
        }
    }

    #[test]
    fn every_exception_of_this_tree_is_small() {
        run(&Workspace::load().unwrap()).unwrap();
    }

    #[test]
    fn only_what_users_of_a_crate_get_is_held_to_single_items() {
        assert_eq!(reach(Path::new("crates/aether-sigil/src/lib.rs")), Reach::Item);
        assert_eq!(reach(Path::new("crates/aether-nexus/src/token/ring.rs")), Reach::Item);
        assert_eq!(reach(Path::new("crates/aether-sigil/tests/src/a.rs")), Reach::File);
        assert_eq!(reach(Path::new("xtask/src/main.rs")), Reach::File);
    }

    #[test]
    fn a_group_is_refused_wherever_it_stands() {
        for lint in ["warnings", "clippy::all", "missing_docs, clippy::pedantic", "unused"] {
            let inner = format!("//! A file.\n#![allow({lint}, reason = \"x\")]\n");
            faults(&inner, Reach::File, &["a group"]);
            let outer = format!("#[expect({lint}, reason = \"x\")]\nfn a() {{}}\n");
            faults(&outer, Reach::Item, &["a group"]);
        }
        faults("#![cfg_attr(test, allow(clippy::all, reason = \"x\"))]", Reach::File, &["a group"]);
    }

    #[test]
    fn an_exception_gives_its_reason() {
        faults("#![allow(dead_code)]\n", Reach::File, &["no reason"]);
        faults("fn a() {\n    #[expect(dead_code)]\n    let b = \"reason=\";\n}\n", Reach::Item, &["no reason"]);
    }

    #[test]
    fn a_whole_module_is_silenced_in_tests_only() {
        let texts = [
            "//! A file.\n#![allow(missing_docs, reason = \"x\")]\n",
            "//! A file.\nmod a {\n    #![expect(\n        missing_docs,\n        reason = \"x\"\n    )]\n}\n",
            "#[allow(missing_docs, reason = \"x\")]\n/// Said.\n#[cfg(unix)]\npub(crate) mod a;\n",
            "#[expect(missing_docs, reason = \"x ] \\\" y\")]\npub(in crate::b) mod a {\n}\n",
        ];
        for text in texts {
            faults(text, Reach::Item, &["a whole module"]);
            faults(text, Reach::File, &[]);
        }
    }

    #[test]
    fn one_lint_on_one_item_with_its_reason_is_what_is_asked_for() {
        let text = "//! Says `#![allow(warnings)]`.\n// #![allow(warnings)]\n#[derive(Debug)]\n\
            #[expect(clippy::exhaustive_enums, reason = \"clippy::all\")]\npub enum A {}\n\n\
            #[error(\"allow(warnings)\")]\nmod b;\n";
        faults(text, Reach::Item, &[]);
    }
}
