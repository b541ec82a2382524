//! A configuration file that cannot work is refused with file, line, key, value and what is expected.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::{fs, path::PathBuf};

use aether_nexus::Nexus;
use support::{built, chain, config, refused, secret};

const SIGIL: &str = "[[sigil]]\nnode_id = 'ns=2;s=A'\ninitial_value = 1.0\n";

#[test]
fn unknown_keys_and_wrong_kinds_are_named_with_their_line() {
    refused("opc_ua_uri = 'opc.tcp://127.0.0.1:0'", &["aether.toml:1:", "opc_ua_uri", "expected"]);
    refused("\n[aws_iot]\nendpoint = 'localhost'\nregion = 'eu'", &["aether.toml:4:", "region"]);
    refused("[[sigil]]\nnode_id = 'ns=2;s=A'", &["aether.toml:1:", "initial_value"]);
    refused("opc_ua_url = 4840", &["aether.toml:1:", "string"]);
    for port in ["70000", "0", "-1"] {
        let text = format!("[aws_iot]\nendpoint = 'x'\nport = {port}");
        refused(&text, &["aether.toml:3:", "aws_iot.port", &format!("`{port}`"), "1 to 65535"]);
    }
    refused("[aws_iot]\nport = '8883'", &["aether.toml:2:", "aws_iot.port", "8883", "1 to 65535"]);
    refused("[aws_iot]\nport = 8883", &["aws_iot.endpoint", "not given", "endpoint"]);
    refused("opc_ua_url = \n", &["aether.toml:1:"]);
}

#[test]
fn a_syntax_error_does_not_print_the_token_beside_it() {
    let (_dir, file) = config("token = 'secret-text' x");
    let error = chain(&Nexus::from_file(&file).unwrap_err());
    assert!(error.contains("aether.toml:1") && !error.contains("secret-text"), "{error}");
    let (_dir, file) = config("token = 123454321");
    let error = chain(&Nexus::from_file(&file).unwrap_err());
    assert!(error.contains("`token`") && !error.contains("123454321"), "{error}");
}

#[test]
fn sigils_that_cannot_be_are_named_with_line_key_and_value() {
    refused(
        "[[sigil]]\nnode_id = 'Plant.Temperature'\ninitial_value = 1.0",
        &["aether.toml:2:", "sigil[0]", "node_id", "`Plant.Temperature`", "ns=2;s="],
    );
    refused(&format!("{SIGIL}{SIGIL}"), &["aether.toml:5:", "sigil[1].node_id", "ns=2;s=A", "own"]);
    refused(&format!("{SIGIL}maximum_value = 0.5"), &["aether.toml:3:", "sigil[0].initial_value", "1.0", "0.5"]);
    let none_left = format!("{SIGIL}minimum_value = 9\nmaximum_value = 0.5");
    refused(&none_left, &["aether.toml:4:", "sigil[0].minimum_value", "9.0 is above 0.5"]);
    refused(&format!("{SIGIL}maximum_value = nan"), &["aether.toml:4:", "sigil[0].maximum_value", "NaN"]);
    refused(&format!("{SIGIL}data_type = 'double'"), &["aether.toml:4:", "sigil[0].data_type", "`double`", "Double"]);
    refused(&format!("{SIGIL}data_type = 'Byte'"), &["aether.toml:3:", "sigil[0].initial_value", "Byte"]);
    refused(&format!("{SIGIL}minimum_value = 'low'"), &["aether.toml:4:", "sigil[0].minimum_value", "Double"]);
}

#[test]
fn weaves_that_cannot_be_are_named_with_line_key_and_value() {
    let weave = |label: &str, cycle: &str, read: &str| {
        format!("{SIGIL}[[weave]]\nlabel = '{label}'\ncycle_time = '{cycle}'\nread = ['{read}']\n")
    };
    refused(&weave("p", "2", "A"), &["aether.toml:6:", "weave[0].cycle_time", "`2`", "2s"]);
    refused(&weave("p", "0s", "A"), &["aether.toml:6:", "weave[0].cycle_time", "1ms"]);
    refused(&weave("", "2s", "A"), &["aether.toml:5:", "weave[0].label"]);
    let number = weave("p", "2s", "A").replace("'2s'", "2");
    refused(&number, &["aether.toml:6:", "`cycle_time`", "string"]);
    refused(&weave("p", "2s", "B"), &["aether.toml:7:", "weave[0].read", "`B`"]);
    let twice = weave("p", "2s", "A").replace(SIGIL, "");
    refused(&format!("{SIGIL}{twice}{twice}"), &["aether.toml:9:", "weave[1].label", "`p`", "line 5"]);
}

#[test]
fn claim_files_are_checked_before_anything_is_written() {
    let aws = "[aws_iot]\nendpoint = 'localhost'\ntemplate_name = 'Aether'\nclaim_cert = 'claim.pem'\n";
    refused(aws, &["aws_iot.claim_key", "not given"]);
    refused(&format!("{aws}claim_key = 'claim.key'"), &["aws_iot.claim_cert", "claim.pem", "certificate in PEM"]);
    refused("[aws_iot]\nendpoint = 'localhost'\nclaim_key = 'k'", &["aws_iot.claim_cert", "not given"]);
    refused("[aws_iot]\nendpoint = 'localhost'\nroot_ca = 'ca.pem'", &["aws_iot.root_ca", "ca.pem"]);
    refused("[aws_iot]\nendpoint = 'a b'", &["aws_iot.endpoint", "`a b`"]);
    refused("opc_ua_url = 'http://x'", &["opc_ua_url", "`http://x`", "opc.tcp"]);
    refused("[opc_ua]\nsecurity = 'low'", &["opc_ua.security", "`low`", "secured"]);
    refused("[opc_ua]\nanonymous = 'yes'", &["opc_ua.anonymous", "`yes`", "read_write"]);
    refused("token_key = 'missing.pem'", &["token_key", "missing.pem", "cannot read", "public key"]);
    refused("token_key = 'aether.toml'", &["token_key", "aether.toml", "Ed25519"]);
    refused("state_dir = 'aether.toml'\n[aws_iot]\nendpoint = 'localhost'", &["state_dir", "aether.toml"]);
}

#[test]
fn a_key_of_another_certificate_is_refused_with_both_paths() {
    let (dir, file) = config(
        "[aws_iot]\nendpoint = 'localhost'\ntemplate_name = 'Aether'\nclaim_cert = 'claim.pem'\nclaim_key = 'other.key'\n",
    );
    let (certificate, _) = aether_mqtt::testing::self_signed("claim");
    let (_, other) = aether_mqtt::testing::self_signed("other");
    fs::write(dir.path().join("claim.pem"), certificate).unwrap();
    secret(dir.path().join("other.key"), other);
    let error = chain(&Nexus::from_file(&file).unwrap().build().unwrap_err());
    for part in ["claim_cert", "claim_key", "claim.pem", "other.key"] {
        assert!(error.contains(part), "`{error}` lacks `{part}`");
    }
    assert!(!error.contains("BEGIN"), "no key is printed");
}

#[test]
fn a_token_is_asked_for_where_a_key_is_configured_and_its_fault_is_told() {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let (dir, file) = config("token_key = 'token.pub'\ntoken = 'not-a-token'");
    fs::write(dir.path().join("token.pub"), key.public_key_pem()).unwrap();
    let error = chain(&Nexus::from_file(&file).unwrap().build().unwrap_err());
    assert!(error.contains("`token`") && error.contains("malformed") && !error.contains("not-a-token"), "{error}");

    fs::write(&file, "token_key = 'token.pub'").unwrap();
    let error = chain(&Nexus::from_file(&file).unwrap().build().unwrap_err());
    assert!(error.contains("no token was given"), "{error}");
}

#[test]
fn the_environment_fills_what_the_file_leaves_out_and_is_checked_like_it() {
    let built = |variables: &[_]| {
        let (dir, file) = config("[aws_iot]\ntemplate_name = 'Aether'\nclaim_cert = 'c.pem'\nclaim_key = 'c.key'\n");
        let (certificate, key) = aether_mqtt::testing::self_signed("claim");
        fs::write(dir.path().join("c.pem"), certificate).unwrap();
        secret(dir.path().join("c.key"), key);
        built(&file, variables).map(drop)
    };
    let endpoint = ("AETHER_AWS_IOT_ENDPOINT", "localhost");
    built(&[endpoint, ("AETHER_AWS_IOT_TEMPLATE_PARAMETERS", "SerialNumber=1,Line=7")]).unwrap();
    for (variables, parts) in [
        (&[][..], ["aws_iot.endpoint", "not given"]),
        (&[endpoint, ("AETHER_AWS_IOT_PORT", "x")], ["aws_iot.port", "expected a port"]),
        (&[endpoint, ("AETHER_AWS_IOT_TEMPLATE_PARAMETERS", "Serial")], ["template_parameters", "name=value"]),
    ] {
        let error = built(variables).unwrap_err();
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    }
}

#[test]
fn the_annotated_example_is_read_as_it_stands_and_with_every_key() {
    let example = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/aether.example.toml");
    let builder = Nexus::from_file(&example).unwrap();
    assert!(format!("{builder:?}").contains("P3-00017"), "{builder:?}");

    // Whatever is commented out and looks like a setting.
    let is_setting = |line: &str| {
        let key = line.split_once(" = ").map_or("", |(key, _)| key);
        !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    let text = fs::read_to_string(&example).unwrap();
    let lines = text.lines().map(|line| line.strip_prefix("# ").filter(|rest| is_setting(rest)).unwrap_or(line));
    let (_dir, file) = config(&lines.collect::<Vec<_>>().join("\n"));
    let builder = Nexus::from_file(&file).unwrap();
    let settings = format!("{builder:?}");
    let missing: Vec<_> = settings.match_indices("None").map(|(at, _)| &settings[at.saturating_sub(40)..at]).collect();
    assert_eq!(missing.len(), 1, "each key is in the example but the text of the environment: {missing:#?}");
}
