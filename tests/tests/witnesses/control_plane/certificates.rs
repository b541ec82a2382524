//! Certificates and the CAs they are registered under.

use aether_tests::foreign::openssl;
use serde_json::json;

use super::{ARN, assert_is_recent, assert_refused, is_certificate_id, make_ca, read, sign, sorted, start, text};

#[test]
fn a_certificate_goes_through_its_states() {
    let (_folder, _sandbox, mut aws) = start();
    let made = aws.iot("create_keys_and_certificate", json!({"setAsActive": true}));
    let id = text(&made, "certificateId").to_owned();
    assert!(is_certificate_id(&id), "{id}");
    assert_eq!(made["certificateArn"], format!("{ARN}:cert/{id}"));
    assert!(text(&made["keyPair"], "PublicKey").starts_with("-----BEGIN PUBLIC KEY-----\n"));
    assert!(text(&made["keyPair"], "PrivateKey").contains("PRIVATE KEY-----\n"));

    let described = aws.iot("describe_certificate", json!({"certificateId": id}));
    let described = &described["certificateDescription"];
    assert_eq!(described["status"], "ACTIVE");
    assert_eq!(described["certificatePem"], made["certificatePem"]);
    assert_eq!(described["ownedBy"], "123456789012");
    assert_is_recent(&described["creationDate"]);
    assert!(described["validity"]["notAfter"].as_f64().unwrap() > 2_000_000_000.0, "{described}");

    assert_refused(aws.refused("delete_certificate", json!({"certificateId": id})), "CertificateStateException", 406);
    for status in ["INACTIVE", "ACTIVE", "REVOKED"] {
        aws.iot("update_certificate", json!({"certificateId": id, "newStatus": status}));
        let now = aws.iot("describe_certificate", json!({"certificateId": id}));
        assert_eq!(now["certificateDescription"]["status"], status);
    }
    let listed = aws.iot("list_certificates", json!({}));
    let ours = listed["certificates"].as_array().unwrap().iter().find(|one| one["certificateId"] == id.as_str());
    assert_eq!(ours.unwrap()["status"], "REVOKED", "{listed}");

    aws.iot("update_certificate", json!({"certificateId": id, "newStatus": "INACTIVE"}));
    aws.iot("delete_certificate", json!({"certificateId": id}));
    for operation in ["describe_certificate", "delete_certificate"] {
        let gone = aws.refused(operation, json!({"certificateId": id}));
        assert_refused(gone, "ResourceNotFoundException", 404);
    }
    let gone = aws.refused("update_certificate", json!({"certificateId": id, "newStatus": "ACTIVE"}));
    assert_refused(gone, "ResourceNotFoundException", 404);
}

#[test]
fn a_certificate_comes_from_a_signing_request_or_from_outside() {
    let (folder, _sandbox, mut aws) = start();
    let here = folder.path();
    openssl(here, "ecparam -name prime256v1 -genkey -noout -out device.key");
    openssl(here, "req -new -key device.key -subj /CN=press-3 -out device.csr");
    let made = aws.iot("create_certificate_from_csr", json!({"certificateSigningRequest": read(here, "device.csr")}));
    assert!(made.get("keyPair").is_none());
    let described = aws.iot("describe_certificate", json!({"certificateId": made["certificateId"]}));
    assert_eq!(described["certificateDescription"]["status"], "INACTIVE");
    let refused = aws.refused("create_certificate_from_csr", json!({"certificateSigningRequest": "not a request"}));
    assert_refused(refused, "InvalidRequestException", 400);

    make_ca(here, "ca", "Line 7");
    sign(here, "ca", "own", "press-4");
    let without_ca = json!({"certificatePem": read(here, "own.pem"), "status": "ACTIVE"});
    let registered = aws.iot("register_certificate_without_ca", without_ca.clone());
    let id = text(&registered, "certificateId").to_owned();
    let described = aws.iot("describe_certificate", json!({"certificateId": id}));
    assert_eq!(described["certificateDescription"]["status"], "ACTIVE");
    assert_eq!(described["certificateDescription"]["certificateMode"], "SNI_ONLY");
    let again = aws.call("iot", "register_certificate_without_ca", without_ca).unwrap_err();
    assert_eq!((again.code.as_str(), again.status), ("ResourceAlreadyExistsException", 409));
    assert_eq!(again.members["resourceArn"], format!("{ARN}:cert/{id}"), "{again:?}");
}

#[test]
fn a_ca_is_registered_with_its_proof_or_for_server_names_only() {
    let (folder, _sandbox, mut aws) = start();
    let here = folder.path();
    let code = aws.iot("get_registration_code", json!({}));
    assert_eq!(aws.iot("get_registration_code", json!({})), code);
    let code = text(&code, "registrationCode").to_owned();
    assert_eq!(code.len(), 64);

    make_ca(here, "ca", "Line 7");
    sign(here, "ca", "wrong", "not-the-code");
    let wrong = json!({"caCertificate": read(here, "ca.pem"), "verificationCertificate": read(here, "wrong.pem")});
    assert_refused(aws.refused("register_ca_certificate", wrong), "RegistrationCodeValidationException", 400);
    sign(here, "ca", "proof", &code);
    let right = json!({"caCertificate": read(here, "ca.pem"), "verificationCertificate": read(here, "proof.pem")});
    let registered = aws.iot("register_ca_certificate", right.clone());
    let id = text(&registered, "certificateId").to_owned();
    assert_eq!(registered["certificateArn"], format!("{ARN}:cacert/{id}"));
    assert_refused(aws.refused("register_ca_certificate", right), "ResourceAlreadyExistsException", 409);

    let described = aws.iot("describe_ca_certificate", json!({"certificateId": id}));
    let description = &described["certificateDescription"];
    assert_eq!(description["status"], "INACTIVE");
    assert_eq!(description["autoRegistrationStatus"], "DISABLE");
    assert_eq!(description["certificateMode"], "DEFAULT");
    let update = json!({"certificateId": id, "newStatus": "ACTIVE", "newAutoRegistrationStatus": "ENABLE"});
    aws.iot("update_ca_certificate", update);
    let described = aws.iot("describe_ca_certificate", json!({"certificateId": id}));
    assert_eq!(described["certificateDescription"]["status"], "ACTIVE");
    assert_eq!(described["certificateDescription"]["autoRegistrationStatus"], "ENABLE");

    sign(here, "ca", "device", "press-5");
    let device = json!({
        "certificatePem": read(here, "device.pem"), "caCertificatePem": read(here, "ca.pem"), "setAsActive": true,
    });
    let device = aws.iot("register_certificate", device);
    let issued = aws.iot("list_certificates_by_ca", json!({"caCertificateId": id}));
    assert_eq!(sorted(&issued["certificates"], "certificateId"), [text(&device, "certificateId")]);
    let described = aws.iot("describe_certificate", json!({"certificateId": device["certificateId"]}));
    assert_eq!(described["certificateDescription"]["caCertificateId"], id);

    make_ca(here, "other", "Line 8");
    let other = json!({
        "caCertificate": read(here, "other.pem"), "certificateMode": "SNI_ONLY", "setAsActive": true,
        "allowAutoRegistration": true,
    });
    let other = aws.iot("register_ca_certificate", other);
    let described = aws.iot("describe_ca_certificate", json!({"certificateId": other["certificateId"]}));
    assert_eq!(described["certificateDescription"]["certificateMode"], "SNI_ONLY");
    assert_eq!(described["certificateDescription"]["status"], "ACTIVE");
    let listed = aws.iot("list_ca_certificates", json!({}));
    let mut both = [id.clone(), text(&other, "certificateId").to_owned()];
    both.sort();
    assert_eq!(sorted(&listed["certificates"], "certificateId"), both);

    let active = aws.refused("delete_ca_certificate", json!({"certificateId": id}));
    assert_refused(active, "CertificateStateException", 406);
    aws.iot("update_ca_certificate", json!({"certificateId": id, "newStatus": "INACTIVE"}));
    aws.iot("delete_ca_certificate", json!({"certificateId": id}));
    let gone = aws.refused("describe_ca_certificate", json!({"certificateId": id}));
    assert_refused(gone, "ResourceNotFoundException", 404);

    aws.iot("delete_registration_code", json!({}));
    assert_ne!(aws.iot("get_registration_code", json!({}))["registrationCode"], code);
}
