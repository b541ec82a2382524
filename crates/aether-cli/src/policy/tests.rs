//! Printed policies under the evaluator, and known ones under the check.

use clap::Parser;

use super::args::{CheckOptions, PolicyCommand};
use super::check::{Session, check};
use super::report::Report;
use crate::args::{Args, Command};

const PLACE: &str = "--region eu-west-1 --account 123456789012";
/// The specification's own claim policy, and those of others, with placeholders filled in.
const SPEC_CLAIM: &str = include_str!("../../../aether-iot-policy/tests/data/aether-claim.json");
const SPEC_DEVICE: &str = include_str!("../../../aether-iot-policy/tests/data/aether-device.json");
const SHEET_CLAIM: &str = include_str!("../../../aether-iot-policy/tests/data/sheet-claim.json");
const CLIENT_CLAIM: &str = include_str!("../../../aether-iot-policy/tests/data/device-client-claim.json");

fn parse(line: &str) -> PolicyCommand {
    let words = ["aether", "policy"].into_iter().chain(line.split_whitespace());
    match Args::try_parse_from(words).unwrap_or_else(|error| panic!("{error}")).command {
        Command::Policy { command } => command,
        Command::Demo(_)
        | Command::Run(_)
        | Command::Rotate(_)
        | Command::Identity { .. }
        | Command::Sandbox { .. } => panic!("{line} is another command"),
    }
}

fn checking(arguments: &str) -> CheckOptions {
    match parse(&format!("check - {PLACE} {arguments}")) {
        PolicyCommand::Check(options) => options,
        PolicyCommand::Claim(_) | PolicyCommand::Device(_) => panic!("{arguments} is another command"),
    }
}

#[track_caller]
fn checked(policy: &str, arguments: &str) -> Report {
    check(policy, &Session::of(&checking(arguments)).unwrap()).unwrap_or_else(|error| panic!("{error}"))
}

fn printed(line: &str) -> String {
    let document = match parse(line) {
        PolicyCommand::Claim(options) => super::claim(&options).document(),
        PolicyCommand::Device(options) => super::device(&options).document(),
        PolicyCommand::Check(_) => panic!("{line} prints no policy"),
    };
    document.unwrap().to_string()
}

#[track_caller]
fn has(lines: &[String], words: &str) {
    assert!(lines.iter().any(|line| line.contains(words)), "{words:?} is not in {lines:#?}");
}

#[test]
fn what_is_printed_grants_all_that_is_needed_and_nothing_beyond() {
    for csr in ["", "--csr", "--csr=both"] {
        for cbor in ["", "--cbor", "--cbor=both"] {
            for (role, arguments) in [
                ("claim", "--template Aether"),
                ("claim", "--template Aether --client-id-prefix claim-"),
                ("claim", "--template Aether --partition aws-us-gov"),
                ("device", ""),
                ("device", "--rotation-template rotate"),
            ] {
                let arguments = format!("{arguments} {csr} {cbor}");
                let policy = printed(&format!("{role} {PLACE} {arguments}"));
                let report = checked(&policy, &format!("--for {role} {arguments}"));
                assert!(report.lacks.is_empty() && report.beyond.is_empty(), "{role} {arguments}: {report:#?}");
            }
        }
    }
}

#[test]
fn the_claim_policy_of_the_specification_is_enough_for_keys_of_aws_and_not_for_csrs() {
    let report = checked(SPEC_CLAIM, "--for claim --template Aether");
    assert!(report.lacks.is_empty(), "{report:#?}");
    let lines = report.to_lines();
    has(&lines, "Statement[0] allows \"iot:Connect\" on every resource");
    has(&lines, "Statement[0] lets a claim certificate connect under any client id");
    assert_eq!(lines.last().unwrap(), "grants all 11 rights needed, and more: 2 findings");

    for policy in [SPEC_CLAIM, &CLIENT_CLAIM.replace("FPTemplateName", "Aether")] {
        let report = checked(policy, "--for claim --template Aether --csr");
        assert_eq!(report.lacks.len(), 5, "one request, two answers subscribed to and received: {report:#?}");
        assert!(report.lacks.iter().all(|lack| lack.resource.contains("/certificates/create-from-csr/json")));
        let lines = report.to_lines();
        has(&lines, "Statement[1] names certificates/create/…, which does not take in certificates/create-from-csr/…");
        assert_eq!(lines.last().unwrap(), "lacks 5 of 11 rights needed");
    }
}

#[test]
fn the_claim_policy_of_the_sheet_is_enough_once_the_client_ids_are_its_own() {
    let report = checked(SHEET_CLAIM, "--for claim --template aether-line --csr=both --cbor=both");
    let lacking: Vec<_> = report.lacks.iter().map(|lack| lack.action).collect();
    assert_eq!(lacking, ["iot:Connect"]);
    let report =
        checked(SHEET_CLAIM, "--for claim --template aether-line --csr=both --cbor=both --client-id-prefix claim-");
    assert!(report.lacks.is_empty() && report.beyond.is_empty(), "{report:#?}");
}

#[test]
fn the_device_policy_of_the_specification_lets_any_device_be_any_other() {
    let report = checked(SPEC_DEVICE, "--for device --thing line7-press3");
    assert!(report.lacks.is_empty(), "{report:#?}");
    let lines = report.to_lines();
    has(&lines, "Statement[0] lets a device certificate connect under any client id");
    has(&lines, "Statement[2] serves no need: \"iot:Subscribe\" on ");
}

#[test]
fn variables_without_a_value_conditions_and_denials_are_told() {
    let device = printed(&format!("device {PLACE}"));
    let as_claim = checked(&device, "--for claim --template Aether").to_lines();
    has(&as_claim, "Statement[0] names a variable without value");
    has(&as_claim, "nothing is said of iot:Subscribe");

    let detached = device.replace("\"true\"", "\"false\"");
    has(&checked(&detached, "--for device").to_lines(), "Statement[0] names it, but its condition \"Bool\" on");

    let deny = r#"{ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Action": "iot:*", "Resource": "*" },
        { "Sid": "Quiet", "Effect": "Deny", "Action": "iot:Publish", "Resource": "*" } ] }"#;
    let report = checked(deny, "--for device");
    assert_eq!(report.lacks.len(), 1);
    let lines = report.to_lines();
    has(&lines, "topic/sample-thing: denied by Statement[1] \"Quiet\"");
    has(&lines, "Statement[0] allows every action that \"iot:*\" matches");
    has(&lines, "Statement[0] lets a device certificate obtain AWS credentials");
    let json = report.to_json();
    assert_eq!((&json["ok"], &json["needs"], &json["for"]), (&false.into(), &2.into(), &"device".into()));
    assert_eq!(json["lacks"][0]["denied_by"], "Statement[1] \"Quiet\"");
}

#[test]
fn a_policy_of_another_account_or_with_placeholders_is_told_apart() {
    let unfilled = SPEC_CLAIM.replace("eu-west-1:123456789012", "<region>:<account-id>");
    let report = checked(&unfilled, "--for claim --template Aether");
    assert_eq!(report.lacks.len(), 10);
    let expected = "Statement[1] is about \"arn:aws:iot:<region>:<account-id>\", expected \
                    \"arn:aws:iot:eu-west-1:123456789012\"";
    has(&report.to_lines(), expected);
}

#[test]
fn a_device_that_may_make_certificates_without_rotating_is_told() {
    let rotating = printed(&format!("device {PLACE} --rotation-template rotate --csr"));
    let report = checked(&rotating, "--for device");
    has(&report.to_lines(), "lets a device certificate have further certificates made");
}

#[test]
fn what_aws_would_not_take_is_no_policy() {
    let session = Session::of(&checking("--for device")).unwrap();
    let error = |text: &str| check(text, &session).unwrap_err().to_string();
    assert!(error("{").contains("not JSON"));
    assert!(error(r#"{"Version": "2012-10-17", "Statement": []}"#).contains("Statement"));
    let long = printed(&format!("device {PLACE}"))
        .replace("2012-10-17\",", &format!("2012-10-17\", \"Id\": \"{}\",", "x".repeat(2048)));
    assert!(error(&long).contains("expected at most 2048"));
}

#[test]
fn settings_that_cannot_be_are_refused_by_name() {
    let refused = |line: &str| {
        let words = ["aether", "policy"].into_iter().chain(line.split_whitespace());
        Args::try_parse_from(words).unwrap_err().to_string()
    };
    assert!(refused("claim --region eu-west-1 --account 1234 --template Aether").contains("expected 12 digits"));
    assert!(refused("claim --region EU --account 123456789012 --template Aether").contains("region is \"EU\""));
    assert!(refused(&format!("claim {PLACE}")).contains("--template"));
    assert!(refused(&format!("claim {PLACE} --template a/b")).contains("template name \"a/b\""));
    assert!(refused(&format!("claim {PLACE} --template a --client-id-prefix *")).contains("client id prefix is \"*\""));
    assert!(refused(&format!("check - {PLACE} --for claim")).contains("--template"));
    assert!(refused(&format!("claim {PLACE} --template a --partition aws-eu")).contains("aws, aws-cn or aws-us-gov"));
}
