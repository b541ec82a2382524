//! Who may depend on whom: the one list, and the step that holds the tree to it.

use std::path::Path;

use anyhow::bail;

use crate::workspace::{Dependency, Kind, Package, Workspace, read};

/// One of our crates and the edges it is allowed.
#[derive(Debug)]
pub(crate) struct Layer {
    /// The crate.
    pub(crate) name: &'static str,
    /// Which of our crates it may use.
    uses: Uses,
    /// Which of our crates its own tests and examples may use besides.
    tests_use: &'static [&'static str],
}

/// The edges that leave a crate.
#[derive(Debug)]
enum Uses {
    /// These of our crates and no other.
    Only(&'static [&'static str]),
    /// Any of our crates: tests may.
    Anything,
}

const fn layer(name: &'static str, uses: &'static [&'static str]) -> Layer {
    Layer { name, uses: Uses::Only(uses), tests_use: &[] }
}

/// Every crate of ours, lowest first, with the crates it may use. There is no other list.
///
/// The sandbox stands beside the device side and shares nothing with it: two independent readings of
/// AWS IoT Core that must agree.
pub(crate) const LAYERS: &[Layer] = &[
    layer("aether-sigil", &[]),
    layer("aether-weave", &[]),
    layer("aether-outbox", &[]),
    layer("aether-mqtt", &[]),
    layer("aether-provisioning", &["aether-mqtt"]),
    layer("aether-pkcs11", &["aether-mqtt", "aether-provisioning"]),
    layer("aether-delivery", &["aether-mqtt", "aether-outbox"]),
    layer("aether-opcua", &["aether-sigil"]),
    Layer {
        name: "aether-nexus",
        uses: Uses::Only(&[
            "aether-delivery",
            "aether-mqtt",
            "aether-opcua",
            "aether-outbox",
            "aether-pkcs11",
            "aether-provisioning",
            "aether-sigil",
            "aether-weave",
        ]),
        // Its examples run against the stand-in for AWS.
        tests_use: &["aether-sandbox"],
    },
    layer("aether-iot-policy", &[]),
    layer("aether-iot-template", &[]),
    layer("aether-sandbox", &["aether-iot-policy", "aether-iot-template"]),
    layer(
        "aether-cli",
        &["aether-iot-policy", "aether-iot-template", "aether-nexus", "aether-provisioning", "aether-sandbox"],
    ),
    Layer { name: "aether-tests", uses: Uses::Anything, tests_use: &[] },
    layer("xtask", &[]),
];

/// Protocol libraries that one crate of ours wraps, so that no other one can come to lean on them.
const OWNERS: &[(&str, &str)] = &[
    ("rumqttc", "aether-mqtt"),
    ("async-opcua", "aether-opcua"),
    ("cryptoki", "aether-pkcs11"),
    ("rmqtt-codec", "aether-sandbox"),
];

/// What a crate offers to the tests of others and never to their programs.
const TEST_ONLY_FEATURE: &str = "test-util";

/// Fails on an edge the list does not allow, on a crate it does not name, and on a crate that leaves
/// the shared lint table.
pub(crate) fn run(workspace: &Workspace) -> anyhow::Result<()> {
    let mut faults = check(&workspace.packages);
    for package in &workspace.packages {
        faults.extend(check_lints(package)?);
    }
    if faults.is_empty() {
        return Ok(());
    }
    bail!("{}", faults.join("; "))
}

/// Holds every dependency of every package against the lists above.
fn check(packages: &[Package]) -> Vec<String> {
    let mut faults = Vec::new();
    for package in packages {
        let Some(layer) = LAYERS.iter().find(|layer| layer.name == package.name) else {
            faults.push(format!("{} is not in the list of layers", package.name));
            continue;
        };
        for dependency in &package.dependencies {
            faults.extend(check_edge(layer, dependency));
        }
    }
    for layer in LAYERS {
        if !packages.iter().any(|package| package.name == layer.name) {
            faults.push(format!("{} is in the list of layers but not in the tree", layer.name));
        }
    }
    faults
}

fn check_edge(layer: &Layer, dependency: &Dependency) -> Option<String> {
    let (from, to) = (layer.name, dependency.name.as_str());
    if let Some((_, owner)) = OWNERS.iter().find(|(library, _)| *library == to) {
        return (*owner != from).then(|| format!("{from} depends on {to}, which only {owner} may name"));
    }
    if !LAYERS.iter().any(|other| other.name == to) {
        return None;
    }
    let for_tests = dependency.kind == Kind::Development;
    let allowed = match layer.uses {
        Uses::Anything => true,
        Uses::Only(list) => list.contains(&to) || (for_tests && layer.tests_use.contains(&to)),
    };
    if !allowed {
        return Some(format!("{from} depends on {to}, an edge the list does not allow"));
    }
    let asks_for_fakes = dependency.features.iter().any(|one| one == TEST_ONLY_FEATURE);
    let outside_tests = !for_tests && matches!(layer.uses, Uses::Only(_));
    (asks_for_fakes && outside_tests)
        .then(|| format!("{from} turns on `{TEST_ONLY_FEATURE}` of {to} outside its [dev-dependencies]"))
}

/// Checks that the package uses the workspace's lint table.
fn check_lints(package: &Package) -> anyhow::Result<Option<String>> {
    let manifest = read(&package.manifest)?;
    Ok((!inherits_lints(&manifest)).then(|| {
        let shown = package.manifest.parent().and_then(Path::file_name);
        format!("{}/Cargo.toml lacks `[lints] workspace = true`", shown.unwrap_or_default().display())
    }))
}

/// Tells whether a manifest says `[lints] workspace = true`. Cargo's metadata does not tell.
fn inherits_lints(manifest: &str) -> bool {
    let mut section = "";
    manifest.lines().map(str::trim).any(|line| {
        if line.starts_with('[') {
            section = line;
        }
        let plain: String = line.chars().filter(|c| !c.is_whitespace()).collect();
        section == "[lints]" && plain == "workspace=true"
    })
}

#[cfg(test)]
mod test {
    use super::*;

    /// Every layer as a package without dependencies, but for `from`, which depends on `to`.
    fn tree(from: &str, to: &str, kind: Kind, features: &[&str]) -> Vec<Package> {
        LAYERS
            .iter()
            .map(|layer| Package {
                name: layer.name.to_owned(),
                manifest: "Cargo.toml".into(),
                features: Default::default(),
                dependencies: (layer.name == from)
                    .then(|| Dependency {
                        name: to.to_owned(),
                        kind,
                        features: features.iter().map(ToString::to_string).collect(),
                    })
                    .into_iter()
                    .collect(),
            })
            .collect()
    }

    #[track_caller]
    fn allows(from: &str, to: &str, kind: Kind) {
        assert_eq!(check(&tree(from, to, kind, &[])), Vec::<String>::new());
    }

    #[track_caller]
    fn refuses(from: &str, to: &str, kind: Kind) {
        let faults = check(&tree(from, to, kind, &[]));
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(faults[0].contains(from) && faults[0].contains(to), "{faults:?}");
    }

    #[test]
    fn this_tree_keeps_to_the_list() {
        run(&Workspace::load().unwrap()).unwrap();
    }

    #[test]
    fn an_edge_of_the_list_passes() {
        allows("aether-provisioning", "aether-mqtt", Kind::Normal);
        allows("aether-nexus", "aether-opcua", Kind::Normal);
        allows("aether-tests", "aether-delivery", Kind::Normal);
    }

    #[test]
    fn an_edge_outside_the_list_is_refused() {
        refuses("aether-sigil", "aether-weave", Kind::Normal);
        refuses("aether-mqtt", "aether-provisioning", Kind::Normal);
        refuses("aether-cli", "aether-sigil", Kind::Normal);
        refuses("xtask", "aether-sigil", Kind::Normal);
    }

    #[test]
    fn the_sandbox_and_the_device_side_never_meet() {
        refuses("aether-sandbox", "aether-mqtt", Kind::Normal);
        refuses("aether-sandbox", "aether-provisioning", Kind::Development);
        refuses("aether-provisioning", "aether-sandbox", Kind::Development);
        refuses("aether-nexus", "aether-sandbox", Kind::Normal);
    }

    #[test]
    fn examples_of_the_nexus_may_use_the_sandbox() {
        allows("aether-nexus", "aether-sandbox", Kind::Development);
    }

    #[test]
    fn a_protocol_library_belongs_to_one_crate() {
        allows("aether-mqtt", "rumqttc", Kind::Normal);
        refuses("aether-nexus", "rumqttc", Kind::Normal);
        refuses("aether-sigil", "async-opcua", Kind::Development);
        refuses("aether-mqtt", "rmqtt-codec", Kind::Normal);
        refuses("aether-provisioning", "cryptoki", Kind::Normal);
    }

    #[test]
    fn any_other_library_is_no_business_of_this_list() {
        allows("aether-weave", "tokio", Kind::Normal);
    }

    #[test]
    fn fakes_for_tests_stay_in_dev_dependencies() {
        let in_tests = tree("aether-delivery", "aether-mqtt", Kind::Development, &["test-util"]);
        let in_program = tree("aether-delivery", "aether-mqtt", Kind::Normal, &["test-util"]);
        assert_eq!(check(&in_tests), Vec::<String>::new());
        assert!(check(&in_program)[0].contains("test-util"));
    }

    #[test]
    fn a_crate_the_list_does_not_name_is_refused_and_so_is_a_name_without_crate() {
        let mut packages = tree("aether-cli", "anyhow", Kind::Normal, &[]);
        packages[0].name = "aether-new".to_owned();
        let faults = check(&packages);
        assert!(faults[0].contains("aether-new is not in the list"), "{faults:?}");
        assert!(faults[1].contains("aether-sigil is in the list"), "{faults:?}");
    }

    #[test]
    fn the_lint_table_counts_only_under_its_own_heading() {
        assert!(inherits_lints("[package]\n\n[lints]\nworkspace = true\n"));
        assert!(!inherits_lints("[package]\nversion.workspace = true\n"));
        assert!(!inherits_lints("[lints]\n[dependencies]\nworkspace = true\n"));
    }
}
