//! The step that builds each crate by itself.
//!
//! In a build of the whole workspace one crate can lean on a feature that only another one turns on;
//! whoever depends on it alone would find it broken.
#![expect(clippy::print_stdout, reason = "a program that talks to the person who ran it")]

use crate::workspace::{Package, Workspace, run};

/// Crates nobody depends on from outside.
const NOT_FOR_USERS: &[&str] = &["aether-tests", "xtask"];

/// Checks each library crate, and the program, in each of its [`variants`].
pub(crate) fn run_all(workspace: &Workspace) -> anyhow::Result<()> {
    for package in &workspace.packages {
        if NOT_FOR_USERS.contains(&package.name.as_str()) {
            continue;
        }
        if !has_defaults(package) {
            println!("    {} has no default features: the run without them is the same one", package.name);
        }
        for variant in variants(package) {
            let base = ["check", "--locked", "--package", &package.name];
            let extra = variant.iter().map(String::as_str);
            run(&mut workspace.cargo(base.into_iter().chain(extra)))?;
        }
    }
    Ok(())
}

fn has_defaults(package: &Package) -> bool {
    package.features.get("default").is_some_and(|turned_on| !turned_on.is_empty())
}

/// The options of each build a package has to pass: its defaults, nothing, and each feature by itself.
fn variants(package: &Package) -> Vec<Vec<String>> {
    let mut variants = vec![Vec::new()];
    if has_defaults(package) {
        variants.push(vec!["--no-default-features".to_owned()]);
    }
    for feature in package.features.keys().filter(|name| *name != "default") {
        variants.push(vec!["--no-default-features".to_owned(), "--features".to_owned(), feature.clone()]);
    }
    variants
}

#[cfg(test)]
mod test {
    use super::*;

    #[track_caller]
    fn check(features: &[(&str, &[&str])], expected: &[&str]) {
        let package = Package {
            name: "a".to_owned(),
            manifest: "a/Cargo.toml".into(),
            features: features
                .iter()
                .map(|(name, on)| {
                    let on = on.iter().map(ToString::to_string).collect();
                    ((*name).to_owned(), on)
                })
                .collect(),
            dependencies: Vec::new(),
        };
        let found: Vec<String> = variants(&package).iter().map(|variant| variant.join(" ")).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_crate_without_features_is_built_once() {
        check(&[], &[""]);
    }

    #[test]
    fn each_feature_is_built_by_itself() {
        check(&[("test-util", &[])], &["", "--no-default-features --features test-util"]);
    }

    #[test]
    fn defaults_are_left_out_once() {
        check(
            &[("default", &["disk"]), ("disk", &[])],
            &["", "--no-default-features", "--no-default-features --features disk"],
        );
    }
}
