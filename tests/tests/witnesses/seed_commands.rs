//! Every command of the seed documents that touches AWS IoT, run as it is printed there.
//!
//! [`COMMANDS`] is the whole list. A test takes a command from it by its beginning, fills in what the document
//! prints in angle brackets, and runs it in a shell whose `aws` asks the sandbox. The `openssl` and `mosquitto_pub`
//! commands between them are run as well, for each document is followed from its first command to its last.

use aether_tests::aether::{Identity, Sandbox};
use aether_tests::program::Program;
use aether_tests::shell::Shell;
use serde_json::Value;

use crate::bridge::{LocalBroker, sandbox_subscriber};
use crate::support::SOON;

/// The specification: `AWS IoT Core (Claim Provisioning)` for Aether.
const SPECIFICATION: &str = "aether-aws-iot-core-claim-provisioning.txt";

/// Two articles of AWS's blog: the bridge of Mosquitto, and just-in-time registration.
const ARTICLES: &str = "aws-iot-blog-security-model-mosquitto-bridge-jitr.txt";

/// Each command with the document it is from, in the order of the documents.
const COMMANDS: &[(&str, &str)] = &[
    (SPECIFICATION, "aws iot describe-endpoint --endpoint-type iot:Data-ATS --query endpointAddress --output text"),
    (SPECIFICATION, "openssl genrsa -out customer-ca.key 2048"),
    (
        SPECIFICATION,
        r#"openssl req -x509 -new -nodes -key customer-ca.key -sha256 -days 3650 -out customer-ca.pem -subj "/CN=AetherCustomerCA""#,
    ),
    (SPECIFICATION, "openssl genrsa -out claim.key 2048"),
    (SPECIFICATION, r#"openssl req -new -key claim.key -out claim.csr -subj "/CN=AetherClaimCert""#),
    (
        SPECIFICATION,
        "openssl x509 -req -in claim.csr -CA customer-ca.pem -CAkey customer-ca.key -CAcreateserial -out claim.pem -days 3650 -sha256",
    ),
    (
        SPECIFICATION,
        "aws iot register-ca-certificate --ca-certificate file://customer-ca.pem --certificate-mode SNI_ONLY",
    ),
    (SPECIFICATION, "aws iot update-ca-certificate --certificate-id <ca-certificate-id> --new-status ACTIVE"),
    (
        ARTICLES,
        r#"aws iot create-policy --policy-name bridge --policy-document '{"Version": "2012-10-17","Statement": [{"Effect": "Allow","Action": "iot:*","Resource": "*"}]}'"#,
    ),
    // The article prints a dash for the two hyphens of `--region`, which no version of `aws` takes.
    (
        ARTICLES,
        "sudo aws iot create-keys-and-certificate --set-as-active --certificate-pem-outfile cert.crt --private-key-outfile private.key --public-key-outfile public.key --region eu-central-1",
    ),
    (ARTICLES, "aws iot list-certificates"),
    (ARTICLES, "aws iot attach-principal-policy --policy-name bridge --principal <ARN_OF_CERTIFICATE>"),
    (ARTICLES, "sudo chmod 644 private.key"),
    (ARTICLES, "sudo chmod 644 cert.crt"),
    (ARTICLES, "aws iot describe-endpoint"),
    (
        ARTICLES,
        r#"mosquitto_pub -h localhost -p 1883 -q 1 -d -t localgateway_to_awsiot  -i clientid1 -m "{\"key\": \"helloFromLocalGateway\"}""#,
    ),
    (ARTICLES, "openssl genrsa -out sampleCACertificate.key 2048"),
    (
        ARTICLES,
        "openssl req -x509 -new -nodes -key sampleCACertificate.key -sha256 -days 365 -out sampleCACertificate.pem",
    ),
    (ARTICLES, "aws iot get-registration-code"),
    (ARTICLES, "openssl genrsa -out privateKeyVerification.key 2048"),
    (ARTICLES, "openssl req -new -key privateKeyVerification.key -out privateKeyVerification.csr"),
    (
        ARTICLES,
        "openssl x509 -req -in privateKeyVerification.csr -CA sampleCACertificate.pem -CAkey sampleCACertificate.key -CAcreateserial -out privateKeyVerification.crt -days 365 -sha256",
    ),
    (
        ARTICLES,
        "aws iot register-ca-certificate --ca-certificate file://sampleCACertificate.pem --verification-certificate file://privateKeyVerification.crt",
    ),
    (ARTICLES, "aws iot describe-ca-certificate --certificate-id <certificateId>"),
    (ARTICLES, "aws iot update-ca-certificate --certificate-id <certificateId> --new-status ACTIVE"),
    (
        ARTICLES,
        "aws iot update-ca-certificate --certificate-id <caCertificateId> --new-auto-registration-status ENABLE",
    ),
    (ARTICLES, "openssl genrsa -out deviceCert.key 2048"),
    (ARTICLES, "openssl req -new -key deviceCert.key -out deviceCert.csr"),
    (
        ARTICLES,
        "openssl x509 -req -in deviceCert.csr -CA sampleCACertificate.pem -CAkey sampleCACertificate.key -CAcreateserial -out deviceCert.crt -days 365 -sha256",
    ),
    (ARTICLES, "cat deviceCert.crt sampleCACertificate.pem > deviceCertAndCACert.crt"),
    (
        ARTICLES,
        r#"mosquitto_pub --cafile root.cert --cert deviceCertAndCACert.crt --key deviceCert.key -h <prefix> -p 8883 -q 1 -t  foo/bar -i  anyclientID --tls-version tlsv1.2 -m "Hello" -d"#,
    ),
    (ARTICLES, "aws iot update-ca-certificate --certificate-id <certificateId> --new-status INACTIVE"),
    (ARTICLES, "aws iot update-certificate --certificate-id <certificateId> --new-status REVOKED"),
    (ARTICLES, "aws iot list-certificates-by-ca --ca-certificate-id <caCertificateId>"),
];

/// The printed command that begins so, with the blanks filled in: pairs of what is printed and what it stands for.
#[track_caller]
fn printed(document: &str, beginning: &str, blanks: &[(&str, &str)]) -> String {
    let found: Vec<&str> = COMMANDS
        .iter()
        .filter(|(from, command)| *from == document && command.starts_with(beginning))
        .map(|(_, command)| *command)
        .collect();
    // One command may be the beginning of another.
    let command = found.iter().find(|command| **command == beginning).or(found.first());
    let mut command =
        command.unwrap_or_else(|| panic!("no command of {document} begins with `{beginning}`")).to_string();
    for (blank, value) in blanks {
        assert!(command.contains(blank), "no {blank} in `{command}`");
        command = command.replace(blank, value);
    }
    command
}

/// What `aws` printed, as JSON.
#[track_caller]
fn json(printed: &str) -> Value {
    serde_json::from_str(printed).unwrap_or_else(|error| panic!("{error} in {printed}"))
}

#[test]
fn the_specifications_commands_make_a_claim_that_provisions() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::up(folder.path().join("sandbox"));
    let shell = Shell::new(folder.path(), &sandbox);
    let run = |beginning: &str, blanks: &[(&str, &str)]| shell.run(&printed(SPECIFICATION, beginning, blanks));

    assert_eq!(run("aws iot describe-endpoint", &[]), "localhost");
    for beginning in [
        "openssl genrsa -out customer-ca.key",
        "openssl req -x509",
        "openssl genrsa -out claim.key",
        "openssl req -new",
        "openssl x509",
    ] {
        run(beginning, &[]);
    }
    let registered = json(&run("aws iot register-ca-certificate", &[]));
    let ca = registered["certificateId"].as_str().unwrap();
    assert_eq!(run("aws iot update-ca-certificate", &[("<ca-certificate-id>", ca)]), "");

    // The console's steps 5 and 6, which the specification gives no command for: claim certificate and its policy.
    let register = "aws iot register-certificate --certificate-pem file://claim.pem --ca-certificate-pem file://customer-ca.pem --status ACTIVE";
    let claim = json(&shell.run(register));
    let principal = claim["certificateArn"].as_str().unwrap();
    shell.run(&format!("aws iot attach-policy --policy-name aether-claim --target {principal}"));

    let identity = Identity { certificate: folder.path().join("claim.pem"), key: folder.path().join("claim.key") };
    let device = crate::device::start_device(
        aether_tests::foreign::aws_python("device.py"),
        &sandbox,
        &identity,
        aether_tests::foreign::Mqtt::V3_1_1,
        "P3-00021",
        folder.path(),
    );
    assert_eq!(device.step("registered")["thing"], "aether-P3-00021");
}

#[test]
fn the_bridge_articles_commands_set_up_its_bridge() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::up(folder.path().join("sandbox"));
    let shell = Shell::new(folder.path(), &sandbox);
    let run = |beginning: &str, blanks: &[(&str, &str)]| shell.run(&printed(ARTICLES, beginning, blanks));

    assert_eq!(json(&run("aws iot create-policy", &[]))["policyName"], "bridge");
    let made = json(&run("sudo aws iot create-keys-and-certificate", &[]));
    let arn = made["certificateArn"].as_str().unwrap();
    let listed = json(&run("aws iot list-certificates", &[]));
    assert!(listed["certificates"].as_array().unwrap().iter().any(|one| one["certificateArn"] == arn), "{listed}");
    run("aws iot attach-principal-policy", &[("<ARN_OF_CERTIFICATE>", arn)]);
    run("sudo chmod 644 private.key", &[]);
    run("sudo chmod 644 cert.crt", &[]);
    assert_eq!(json(&run("aws iot describe-endpoint", &[]))["endpointAddress"], "localhost");

    let bridge = Identity { certificate: folder.path().join("cert.crt"), key: folder.path().join("private.key") };
    let local = LocalBroker::bridged(folder.path(), &sandbox, &bridge);
    let cloud = sandbox_subscriber(&sandbox);
    run("mosquitto_pub -h localhost", &[("1883", local.port())]);
    cloud.wait_for_line("the article's message", SOON, |line| {
        line == r#"GOT localgateway_to_awsiot {"key": "helloFromLocalGateway"}"#
    });
    let gateway = local.subscriber();
    for topic in ["awsiot_to_localgateway", "both_directions"] {
        shell.run(&format!("aws iot-data publish --topic {topic} --payload 'from the cloud'"));
        gateway.wait_for_line("it at the local broker", SOON, |line| line == format!("GOT {topic} from the cloud"));
    }
}

#[test]
fn just_in_time_registration_goes_as_the_article_walks_through_it() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::up(folder.path().join("sandbox"));
    let shell = Shell::new(folder.path(), &sandbox);
    let run = |beginning: &str, blanks: &[(&str, &str)]| shell.run(&printed(ARTICLES, beginning, blanks));

    run("openssl genrsa -out sampleCACertificate.key", &[]);
    // The prompts for country, state, locality, organization, unit, common name and address.
    let make_ca = printed(ARTICLES, "openssl req -x509", &[]);
    shell.run_answering(&make_ca, "DE\n\n\nAether\n\nsample CA\n\n");
    let code = json(&run("aws iot get-registration-code", &[]));
    let code = code["registrationCode"].as_str().unwrap();
    run("openssl genrsa -out privateKeyVerification.key", &[]);
    let request = printed(ARTICLES, "openssl req -new -key privateKeyVerification.key", &[]);
    // The same prompts, then those for a challenge password and an optional company name.
    shell.run_answering(&request, &format!("DE\n\n\nAether\n\n{code}\n\n\n\n"));
    run("openssl x509 -req -in privateKeyVerification.csr", &[]);
    let registered = json(&run("aws iot register-ca-certificate", &[]));
    let ca = registered["certificateId"].as_str().unwrap();

    let described = json(&run("aws iot describe-ca-certificate", &[("<certificateId>", ca)]));
    assert_eq!(described["certificateDescription"]["status"], "INACTIVE", "{described}");
    run(
        "aws iot update-ca-certificate --certificate-id <certificateId> --new-status ACTIVE",
        &[("<certificateId>", ca)],
    );
    run(
        "aws iot update-ca-certificate --certificate-id <caCertificateId> --new-auto-registration-status ENABLE",
        &[("<caCertificateId>", ca)],
    );

    run("openssl genrsa -out deviceCert.key", &[]);
    let request = printed(ARTICLES, "openssl req -new -key deviceCert.key", &[]);
    shell.run_answering(&request, "DE\n\n\nAether\n\npress-3\n\n\n\n");
    run("openssl x509 -req -in deviceCert.csr", &[]);
    run("cat deviceCert.crt", &[]);
    std::fs::copy(sandbox.ca(), folder.path().join("root.cert")).unwrap();

    // "You will see a TLS failure", and a message on the registration topic.
    let observer = registration_events(&sandbox, ca);
    let port = sandbox.port().to_string();
    let publish = printed(ARTICLES, "mosquitto_pub --cafile", &[("<prefix>", "localhost"), ("8883", &port)]);
    let first = shell.output(&publish, "");
    assert!(!first.status.success(), "{first:?}");
    assert!(!String::from_utf8_lossy(&first.stdout).contains("received CONNACK (0)"), "{first:?}");
    let event = observer.wait_for_line("the registration", SOON, |line| line.starts_with('{'));
    let event = json(&event);
    assert_eq!((&event["caCertificateId"], &event["certificateStatus"]), (&ca.into(), &"PENDING_ACTIVATION".into()));
    assert_eq!(event["awsAccountId"], "123456789012", "{event}");
    assert!(event["timestamp"].is_u64() && event["certificateRegistrationTimestamp"].is_string(), "{event}");

    // What the article lets a Lambda do at that message: attach a policy, and activate.
    let device = event["certificateId"].as_str().unwrap();
    shell.run(r#"aws iot create-policy --policy-name jitr --policy-document '{"Version": "2012-10-17","Statement": [{"Effect": "Allow","Action": "iot:*","Resource": "*"}]}'"#);
    let arn = format!("arn:aws:iot:eu-west-1:123456789012:cert/{device}");
    shell.run(&format!("aws iot attach-policy --policy-name jitr --target {arn}"));
    shell.run(&format!("aws iot update-certificate --certificate-id {device} --new-status ACTIVE"));
    let let_in = || shell.output(&publish, "").status.success().then_some(());
    sandbox.program().wait_until("the device being let in", SOON, let_in);

    let by_ca = printed(ARTICLES, "aws iot list-certificates-by-ca", &[("<caCertificateId>", ca)]);
    let issued = json(&shell.run(&by_ca));
    assert_eq!(issued["certificates"][0]["certificateId"], device, "{issued}");
    // An inactive CA registers no more devices, and those it has registered go on.
    let inactive = "aws iot update-ca-certificate --certificate-id <certificateId> --new-status INACTIVE";
    run(inactive, &[("<certificateId>", ca)]);
    sandbox.program().wait_until("the device being let in still", SOON, let_in);
    run("aws iot update-certificate", &[("<certificateId>", device)]);
    let denied = || (!shell.output(&publish, "").status.success()).then_some(());
    sandbox.program().wait_until("the revoked device being refused", SOON, denied);
    assert_eq!(json(&shell.run(&by_ca))["certificates"][0]["status"], "REVOKED");
}

/// `mosquitto_sub` with the observer's certificate on the topic where a CA's new certificates are told.
fn registration_events(sandbox: &Sandbox, ca: &str) -> Program {
    let topic = format!("$aws/events/certificates/registered/{ca}");
    let arguments = ["-i", "witness-registrations", "-t", &topic, "-F", "%p"];
    let mqtt = aether_tests::foreign::Mqtt::V3_1_1;
    let mut command = aether_tests::foreign::mosquitto("mosquitto_sub", mqtt, sandbox, &sandbox.observer(), arguments);
    let subscriber = Program::start(&mut command);
    subscriber.wait_for_line("SUBACK", SOON, |line| line.contains("received SUBACK"));
    subscriber
}
