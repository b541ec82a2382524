//! Each setting of `[aws_iot]` that has to do with the device's identity, good and bad.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt as _, path::Path, time::Duration};

use aether_mqtt::{Credentials, testing::self_signed};
use aether_nexus::Nexus;
use aether_provisioning::{
    DirectoryStore, Fact, Identity, IdentityStore, KeyKind, KeySource, Parameter, SigningRequest, SoftwareKeys,
};
use support::{built, chain, config, refused, secret};

const AWS: &str = "[aws_iot]\nendpoint = 'localhost'\n";
const CLAIM: &str = "template_name = 'Aether'\nclaim_cert = 'claim.pem'\nclaim_key = 'claim.key'\n";

/// A directory with claim files and with a configuration file of `[aws_iot]` that has these lines after the second.
fn files(lines: &str) -> (tempfile::TempDir, std::path::PathBuf) {
    let (dir, file) = config(&format!("{AWS}{lines}"));
    pair(dir.path(), "claim.pem", "claim.key", "claim");
    (dir, file)
}

/// Writes a certificate and its key.
fn pair(dir: &Path, certificate: &str, key: &str, common_name: &str) {
    let (certificate_pem, key_pem) = self_signed(common_name);
    fs::write(dir.join(certificate), certificate_pem).unwrap();
    secret(dir.join(key), key_pem);
}

#[track_caller]
fn builds(file: &Path, variables: &[(&str, &str)]) -> Nexus {
    built(file, variables).unwrap()
}

#[track_caller]
fn fails(file: &Path, variables: &[(&str, &str)], parts: &[&str]) {
    let error = built(file, variables).expect_err("this configuration cannot work");
    for part in parts {
        assert!(error.contains(part), "`{error}` lacks `{part}`");
    }
    assert!(!error.contains("PRIVATE KEY-----\n"), "no key is printed: {error}");
}

/// A signing request made with a key of its own, in `csr.pem` and `csr.key`.
fn request(dir: &Path) {
    let key = SoftwareKeys::new(KeyKind::EcP256).make().unwrap();
    fs::write(dir.join("csr.pem"), SigningRequest::make(&key, "P3-00017").unwrap().as_pem()).unwrap();
    secret(dir.join("csr.key"), key.pem().unwrap());
}

/// A claim of a trusted user, in `claim.json`.
fn document(dir: &Path, expiration: &str) {
    let (certificate, key) = self_signed("one-time claim");
    let text = serde_json::json!({
        "certificateId": "5d".repeat(32), "certificatePem": certificate, "expiration": expiration,
        "keyPair": { "PublicKey": "", "PrivateKey": key },
    });
    secret(dir.join("claim.json"), text.to_string());
}

#[test]
fn each_value_out_of_its_range_is_named_with_line_key_found_and_expected() {
    for (line, key, found, expected) in [
        ("key = 'ec-p521'", "aws_iot.key", "`ec-p521`", "expected aws, ec-p256"),
        ("key = 'AWS'", "aws_iot.key", "`AWS`", "expected aws"),
        ("encoding = 'xml'", "aws_iot.encoding", "`xml`", "expected \"json\" or \"cbor\""),
        ("thing_name = 'press 3'", "aws_iot.thing_name", "`press 3`", "expected only letters"),
        ("rotation_template = 'a/b'", "aws_iot.rotation_template", "`a/b`", "expected only letters"),
        ("activation_timeout = '0s'", "aws_iot.activation_timeout", "`0s`", "from 1s to 720h"),
        ("activation_timeout = 'soon'", "aws_iot.activation_timeout", "`soon`", "from 1s to 720h"),
        ("rotate_at = 0.96", "aws_iot.rotate_at", "`0.96`", "from 0.05 to 0.95, or \"off\""),
        ("rotate_at = 1", "aws_iot.rotate_at", "`1`", "from 0.05 to 0.95"),
        ("rotate_at = nan", "aws_iot.rotate_at", "`nan`", "from 0.05 to 0.95"),
        ("rotate_at = '0.5'", "aws_iot.rotate_at", "0.5", "from 0.05 to 0.95"),
        ("rotate_at = 'never'", "aws_iot.rotate_at", "`never`", "\"off\""),
        ("retry.first = '0.5s'", "aws_iot.retry.first", "`0.5s`", "from 1s to 24h"),
        ("retry.longest = '25h'", "aws_iot.retry.longest", "`25h`", "from 1s to 24h"),
        ("retry.slow_first = '5'", "aws_iot.retry.slow_first", "`5`", "from 1s to 24h"),
        ("retry.slow_longest = ''", "aws_iot.retry.slow_longest", "``", "from 1s to 24h"),
        ("retry.refusals = 0", "aws_iot.retry.refusals", "`0`", "from 1 to 1000"),
        ("retry.refusals = '3'", "aws_iot.retry.refusals", "3", "from 1 to 1000"),
        ("retry.refusals = 2.5", "aws_iot.retry.refusals", "`2.5`", "from 1 to 1000"),
        ("template_parameters.Line = 7", "aws_iot.template_parameters.Line", "`7`", "expected a text in quotes"),
        ("template_parameters.S = { fact = 'colour' }", "template_parameters.S", "\"colour\"", "expected hostname"),
        ("template_parameters.S = { path = 'x' }", "template_parameters.S", "path", "{ file = \"…\" }"),
        ("template_parameters.S = { file = 'x', env = 'Y' }", "template_parameters.S", "env", "one of"),
        ("template_parameters.S = { file = 7 }", "template_parameters.S", "7", "one of"),
    ] {
        refused(&format!("{AWS}{line}"), &["aether.toml:3:", key, found, expected]);
    }
    refused(&format!("{AWS}activation_timeout = 60"), &["aether.toml:3:", "`activation_timeout`", "string"]);
    refused(&format!("{AWS}[aws_iot.retry]\nsoon = '1s'"), &["aether.toml:4:", "soon", "slow_first"]);
}

#[test]
fn the_same_is_refused_from_the_environment_and_from_code() {
    let (_dir, file) = files(CLAIM);
    for (variable, value, parts) in [
        ("AETHER_AWS_IOT_KEY", "rsa-1024", ["aws_iot.key", "`rsa-1024`", "rsa-2048"]),
        ("AETHER_AWS_IOT_ENCODING", "xml", ["aws_iot.encoding", "`xml`", "cbor"]),
        ("AETHER_AWS_IOT_ROTATE_AT", "2", ["aws_iot.rotate_at", "`2`", "0.05 to 0.95"]),
        ("AETHER_AWS_IOT_ROTATION_TEMPLATE", "a b", ["aws_iot.rotation_template", "`a b`", "letters"]),
        ("AETHER_AWS_IOT_ACTIVATION_TIMEOUT", "x", ["aws_iot.activation_timeout", "`x`", "720h"]),
        ("AETHER_AWS_IOT_RETRY_FIRST", "x", ["aws_iot.retry.first", "`x`", "24h"]),
        ("AETHER_AWS_IOT_RETRY_LONGEST", "0s", ["aws_iot.retry.longest", "`0s`", "24h"]),
        ("AETHER_AWS_IOT_RETRY_SLOW_FIRST", "1d", ["aws_iot.retry.slow_first", "`1d`", "24h"]),
        ("AETHER_AWS_IOT_RETRY_SLOW_LONGEST", "2s", ["aws_iot.retry.slow_longest", "`2s`", "expected 5s"]),
        ("AETHER_AWS_IOT_RETRY_REFUSALS", "many", ["aws_iot.retry.refusals", "`many`", "1 to 1000"]),
        ("AETHER_AWS_IOT_CSR", "no.pem", ["aws_iot.csr", "no.pem", "signing request"]),
        ("AETHER_AWS_IOT_CSR_KEY", "no.key", ["aws_iot.csr", "not given", "aws_iot.csr_key"]),
        ("AETHER_AWS_IOT_CLAIM", "c.json", ["`aws_iot.claim`", "`aws_iot.claim_cert`", "leave one out"]),
        ("AETHER_AWS_IOT_CERTIFICATE", "c.pem", ["`aws_iot.certificate`", "`aws_iot.claim_cert`", "leave one out"]),
        ("AETHER_AWS_IOT_PRIVATE_KEY", "c.key", ["`aws_iot.private_key`", "`aws_iot.claim_cert`", "leave one out"]),
        ("AETHER_AWS_IOT_THING_NAME", "press-3", ["aws_iot.certificate", "not given", "certificate in PEM"]),
    ] {
        fails(&file, &[(variable, value)], &parts);
    }
    let second = Duration::from_secs(1);
    let base = || Nexus::from_file(&file).unwrap();
    for (builder, parts) in [
        (base().aws_iot_rotate_at(0.01), ["aws_iot.rotate_at", "`0.01`"]),
        (base().aws_iot_retry_refusals(0), ["aws_iot.retry.refusals", "`0`"]),
        (base().aws_iot_retry_first(second / 2), ["aws_iot.retry.first", "`500ms`"]),
        (base().aws_iot_retry_first(300 * second), ["aws_iot.retry.longest", "`120s`"]),
        (base().aws_iot_retry_slow_longest(Duration::MAX), ["aws_iot.retry.slow_longest", "24h"]),
        (base().aws_iot_activation_timeout(Duration::ZERO), ["aws_iot.activation_timeout", "`0s`"]),
    ] {
        let error = chain(&builder.build().unwrap_err());
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    }
}

#[test]
fn good_values_come_from_the_file_the_environment_and_code() {
    let lines = "encoding = 'cbor'\nkey = 'ec-p384'\nrotation_template = 'Next'\nrotate_at = 0.5\n\
        activation_timeout = '2h'\nretry = { first = '2s', longest = '1m', slow_first = '1m', slow_longest = '1h', \
        refusals = 3 }\ntemplate_parameters = { Line = '7', Host = { fact = 'hostname' } }\n";
    let (_dir, file) = files(&format!("{CLAIM}{lines}"));
    let shown = format!("{:?}", builds(&file, &[]));
    for part in ["at: Some(0.5)", "Cbor", "OnDevice", "Some(TemplateName(\"Next\"))", "Claim("] {
        assert!(shown.contains(part), "`{shown}` lacks `{part}`");
    }
    let variables =
        [("AETHER_AWS_IOT_ROTATE_AT", "off"), ("AETHER_AWS_IOT_KEY", "aws"), ("AETHER_AWS_IOT_ENCODING", "json")];
    let shown = format!("{:?}", builds(&file, &variables));
    assert!(shown.contains("at: None") && shown.contains("Json") && shown.contains("AwsGenerated"), "{shown}");
    let code = Nexus::from_file(&file).unwrap().aws_iot_rotate_never().aws_iot_key("rsa-3072");
    let code = code.aws_iot_retry_slow_first(Duration::from_millis(1500)).aws_iot_retry_refusals(1000);
    let code = code.aws_iot_template_parameter("Serial", "lit").aws_iot_encoding("json");
    let code = code.aws_iot_template_parameter("Id", "hostname".parse::<Fact>().unwrap());
    let shown = format!("{:?}", code.build().unwrap());
    assert!(shown.contains("at: None") && shown.contains("Literal(\"lit\")") && shown.contains("Json"), "{shown}");
    let (_dir, file) = files(CLAIM);
    let shown = format!("{:?}", builds(&file, &[]));
    assert!(shown.contains("at: Some(0.666") && shown.contains("AwsGenerated") && shown.contains("Json"), "{shown}");
}

#[test]
fn a_token_of_keys_needs_the_feature_and_a_pin_in_its_uri_is_never_shown() {
    let uri = "pkcs11:token=plant;object=key?pin-value=123456";
    let (_dir, file) = files(&format!("{CLAIM}key = '{uri}'\n"));
    let error = built(&file, &[]).unwrap_err();
    assert!(error.contains("aether.toml:6") && error.contains("aws_iot.key") && !error.contains("123456"), "{error}");
    let (_dir, file) = files(CLAIM);
    let error = built(&file, &[("AETHER_AWS_IOT_KEY", uri)]).unwrap_err();
    assert!(error.contains("aws_iot.key") && !error.contains("123456"), "{error}");
    let builder = Nexus::from_file(&file).unwrap().aws_iot_key(uri);
    assert!(!format!("{builder:?}").contains("123456"));
    let error = built(&file, &[("AETHER_AWS_IOT_KEY", "pkcs11:token=plant;object=key")]).unwrap_err();
    let expected = if cfg!(feature = "pkcs11") { "module-path=" } else { "feature `pkcs11`" };
    assert!(error.contains(expected), "{error}");
}

#[test]
fn a_signing_request_comes_with_its_key_or_is_said_not_to_be_used() {
    let (dir, file) = files(&format!("{CLAIM}csr = 'csr.pem'\ncsr_key = 'csr.key'\n"));
    request(dir.path());
    let shown = format!("{:?}", builds(&file, &[]));
    assert!(shown.contains("Given") && !shown.contains("BEGIN"), "{shown}");
    fails(&file, &[("AETHER_AWS_IOT_KEY", "ec-p256")], &["`aws_iot.key`", "`aws_iot.csr`", "leave one out"]);

    fs::set_permissions(dir.path().join("csr.key"), fs::Permissions::from_mode(0o640)).unwrap();
    fails(&file, &[], &["aws_iot.csr_key", "csr.key", "0640", "chmod 600"]);
    let (_, other) = self_signed("other");
    fs::remove_file(dir.path().join("csr.key")).unwrap();
    secret(dir.path().join("csr.key"), other);
    fails(&file, &[], &["aws_iot.csr", "aws_iot.csr_key", "csr.pem", "csr.key", "not made with"]);
    secret(dir.path().join("csr.key"), "no key");
    fails(&file, &[], &["aws_iot.csr_key", "csr.key", "BEGIN PRIVATE KEY"]);
    fs::write(dir.path().join("csr.pem"), "no request").unwrap();
    fails(&file, &[], &["aws_iot.csr", "csr.pem", "CERTIFICATE REQUEST"]);

    let (dir, file) = files(&format!("{CLAIM}csr = 'csr.pem'\n"));
    request(dir.path());
    assert!(format!("{:?}", builds(&file, &[])).contains("AwsGenerated"));
}

#[test]
fn a_key_that_others_may_read_is_refused_with_path_mode_and_remedy() {
    let open = |dir: &Path, name: &str| {
        fs::set_permissions(dir.join(name), fs::Permissions::from_mode(0o644)).unwrap();
    };
    let (dir, file) = files(CLAIM);
    open(dir.path(), "claim.key");
    fails(&file, &[], &["aws_iot.claim_key", "claim.key", "0644", "0600", "chmod 600"]);
    let (dir, file) = files("template_name = 'Aether'\nclaim = 'claim.json'\n");
    document(dir.path(), "2026-11-22T08:05:00Z");
    open(dir.path(), "claim.json");
    fails(&file, &[], &["aws_iot.claim", "claim.json", "0644", "chmod 600"]);
    let (dir, file) = files("certificate = 'own.pem'\nprivate_key = 'own.key'\n");
    pair(dir.path(), "own.pem", "own.key", "press-3");
    open(dir.path(), "own.key");
    fails(&file, &[], &["aws_iot.private_key", "own.key", "0644", "chmod 600"]);
}

#[test]
fn a_claim_is_handed_over_as_a_document() {
    let (dir, file) = files("template_name = 'Aether'\nclaim = 'claim.json'\n");
    fails(&file, &[], &["aws_iot.claim", "claim.json", "create-provisioning-claim"]);
    document(dir.path(), "2026-11-22T08:05:00+00:00");
    let shown = format!("{:?}", builds(&file, &[]));
    assert!(shown.contains("one-time claim") && shown.contains("expires_at: Some"), "{shown}");
    assert!(!shown.contains("PRIVATE KEY"));
    document(dir.path(), "in five minutes");
    fails(&file, &[], &["aws_iot.claim", "claim.json", "expiration", "seconds since 1970"]);
    secret(dir.path().join("claim.json"), "{ \"keyPair\": secret-text }");
    let error = built(&file, &[]).unwrap_err();
    assert!(error.contains("line 1") && !error.contains("secret-text"), "{error}");
    let (_dir, file) = files("claim = 'claim.json'\n");
    fails(&file, &[], &["aws_iot.template_name", "not given"]);
}

#[test]
fn an_identity_is_given_by_hand() {
    let (dir, file) = files("certificate = 'own.pem'\nprivate_key = 'own.key'\n");
    fails(&file, &[], &["aws_iot.certificate", "own.pem", "certificate in PEM"]);
    pair(dir.path(), "own.pem", "own.key", "press-3");
    let shown = format!("{:?}", builds(&file, &[]));
    assert!(shown.contains("Own {") && shown.contains("ThingName(\"press-3\")") && shown.contains("3600s"), "{shown}");
    let variables = [("AETHER_AWS_IOT_THING_NAME", "press-4"), ("AETHER_AWS_IOT_ACTIVATION_TIMEOUT", "90s")];
    let shown = format!("{:?}", builds(&file, &variables));
    assert!(shown.contains("ThingName(\"press-4\")") && shown.contains("activation: 90s"), "{shown}");
    fails(&file, &[("AETHER_AWS_IOT_THING_NAME", "press 4")], &["aws_iot.thing_name", "`press 4`", "letters"]);
    for (name, setting) in [("CLAIM", "claim"), ("CLAIM_KEY", "claim_key"), ("TEMPLATE_NAME", "template_name")] {
        let variable = format!("AETHER_AWS_IOT_{name}");
        fails(&file, &[(&variable, "x")], &["`aws_iot.certificate`", &format!("`aws_iot.{setting}`")]);
    }

    pair(dir.path(), "own.pem", "other.key", "press-3");
    fails(&file, &[], &["aws_iot.certificate", "aws_iot.private_key", "own.pem", "own.key"]);
    pair(dir.path(), "own.pem", "own.key", "AWS IoT Certificate");
    fails(&file, &[], &["aws_iot.thing_name", "not given", "common name"]);
    let (_dir, file) = files("certificate = 'own.pem'\n");
    fails(&file, &[], &["aws_iot.private_key", "not given"]);
    let (_dir, file) = files("private_key = 'own.key'\n");
    fails(&file, &[], &["aws_iot.certificate", "not given"]);
}

#[test]
fn a_parameter_without_a_value_is_named_before_anything_is_asked_of_the_cloud() {
    let lines = format!("{CLAIM}template_parameters.Serial = {{ file = 'serial.txt' }}\n");
    let (dir, file) = files(&lines);
    fails(&file, &[], &["aws_iot.template_parameters.Serial", "serial.txt"]);
    fs::write(dir.path().join("serial.txt"), "P3-00017\n").unwrap();
    let shown = format!("{:?}", builds(&file, &[]));
    assert!(!shown.contains("P3-00017"), "it is looked up when the claim is made: {shown}");
    let (_dir, file) = files(&format!("{CLAIM}template_parameters.S = {{ env = 'AETHER_NOT_SET' }}\n"));
    fails(&file, &[], &["aws_iot.template_parameters.S", "AETHER_NOT_SET"]);
    let (_dir, file) = files(&format!("{CLAIM}template_parameters.S = {{ fact = 'mac:none0' }}\n"));
    fails(&file, &[], &["aws_iot.template_parameters.S", "none0"]);
    let (_dir, file) = files(CLAIM);
    let builder = Nexus::from_file(&file).unwrap();
    let builder = builder.aws_iot_template_parameter("Code", Parameter::File("/no/such/file".into()));
    assert!(chain(&builder.build().unwrap_err()).contains("aws_iot.template_parameters.Code"));
}

/// Makes an identity active in the state directory beside the configuration file. Its certificate is valid from `year`
/// on; the id is the certificate's fingerprint.
fn activate(dir: &Path, thing_name: &str, year: i32) -> (String, String) {
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name.push(rcgen::DnType::CommonName, thing_name);
    params.not_before = rcgen::date_time_ymd(year, 1, 1);
    let key = rcgen::KeyPair::generate().unwrap();
    let pair = (params.self_signed(&key).unwrap().pem(), key.serialize_pem());
    let credentials = Credentials::from_pem(pair.0.as_bytes(), pair.1.as_bytes()).unwrap();
    let id = credentials.fingerprint().parse().unwrap();
    let identity = Identity::new(thing_name.parse().unwrap(), id, credentials, BTreeMap::new());
    let store = DirectoryStore::new(dir.join("state/identity"));
    store.stage_registered(&identity).unwrap();
    store.promote(&identity).unwrap();
    pair
}

#[test]
fn a_device_that_has_an_identity_starts_whatever_became_of_its_claim() {
    let (dir, file) = files(CLAIM);
    activate(dir.path(), "press-3", 2020);
    let shown = format!("{:?}", builds(&file, &[]));
    assert!(shown.contains("road: Active(") && shown.contains("claim: Some("), "a claim may rotate it: {shown}");
    fs::set_permissions(dir.path().join("claim.key"), fs::Permissions::from_mode(0o644)).unwrap();
    let shown = format!("{:?}", builds(&file, &[]));
    assert!(shown.contains("road: Active(") && shown.contains("claim: None"), "{shown}");
    fs::remove_file(dir.path().join("claim.key")).unwrap();
    assert!(format!("{:?}", builds(&file, &[])).contains("claim: None"));
    // Nor is standard input read, which nobody may have closed.
    fs::write(&file, format!("{AWS}template_name = 'Aether'\nclaim = '-'\n")).unwrap();
    assert!(format!("{:?}", builds(&file, &[])).contains("road: Active("));
    // Keys of another kind than asked for are not made instead.
    let next = format!("{AWS}{CLAIM}csr = 'no.csr'\ncsr_key = 'no.key'\nrotation_template = 'Next'\n");
    fs::write(&file, next).unwrap();
    let shown = format!("{:?}", builds(&file, &[]));
    assert!(shown.contains("template: None") && shown.contains("claim: None"), "{shown}");
    fs::write(&file, format!("{AWS}{CLAIM}template_parameters.S = {{ file = 'gone' }}\n")).unwrap();
    drop(builds(&file, &[]));
    fails(&file, &[("AETHER_AWS_IOT_KEY", "x")], &["aws_iot.key"]);
}

#[test]
fn a_certificate_given_by_hand_takes_over_unless_the_present_one_came_after_it() {
    let road = |active: (&str, i32), given: (&str, i32)| {
        let (dir, file) = files("certificate = 'own.pem'\nprivate_key = 'own.key'\n");
        let (certificate, key) = activate(dir.path(), given.0, given.1);
        fs::remove_dir_all(dir.path().join("state")).unwrap();
        activate(dir.path(), active.0, active.1);
        fs::write(dir.path().join("own.pem"), certificate).unwrap();
        secret(dir.path().join("own.key"), key);
        let shown = format!("{:?}", builds(&file, &[]));
        shown[shown.find("road: ").unwrap()..][..10].to_owned()
    };
    assert_eq!(road(("press-3", 2020), ("press-3", 2021)), "road: Own ");
    assert_eq!(road(("press-3", 2021), ("press-3", 2020)), "road: Acti", "it was rotated since");
    assert_eq!(road(("press-3", 2021), ("press-4", 2020)), "road: Own ", "another Thing is no rotation");

    let (dir, file) = files("certificate = 'own.pem'\nprivate_key = 'own.key'\n");
    let (certificate, key) = activate(dir.path(), "press-3", 2020);
    assert!(format!("{:?}", builds(&file, &[])).contains("road: Active("), "the files may be gone");
    fs::write(dir.path().join("own.pem"), certificate).unwrap();
    fs::write(dir.path().join("own.key"), &key).unwrap();
    assert!(format!("{:?}", builds(&file, &[])).contains("road: Active("), "what others can read is not taken");
    fs::remove_file(dir.path().join("own.key")).unwrap();
    secret(dir.path().join("own.key"), key);
    assert!(format!("{:?}", builds(&file, &[])).contains("road: Active("), "it is the one in use");
}
