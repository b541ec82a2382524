//! The claim exchange, as a device sees it.

mod support;

use aether_sandbox::{AuditDecision, AuditEvent, CertificateStatus, Observer, ObserverError, Sandbox};
use serde_json::json;
use support::{CREATE, PROVISION, ask, audited, audited_event, claim, listen_for_answers, provision};

#[tokio::test]
async fn a_claim_becomes_a_thing_that_can_publish() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = support::start(dir.path()).await;
    let device = provision(&sandbox, "P3-00017").await;
    assert_eq!(device.thing, "aether-P3-00017");

    let things = sandbox.things();
    assert_eq!(things.len(), 1);
    assert_eq!(things[0].name, "aether-P3-00017");
    assert_eq!(things[0].certificates[0].as_str(), device.certificate_id);
    let certificates = sandbox.certificates();
    let own = certificates.iter().find(|known| known.id.as_str() == device.certificate_id).unwrap();
    assert_eq!(own.status, CertificateStatus::Active);
    assert_eq!(own.policies, ["aether-device"]);
    assert_eq!(own.thing.as_deref(), Some("aether-P3-00017"));

    let mut watcher = support::observer(&sandbox, "#").await;
    let client = support::device(&sandbox, &device).await;
    client.publish(&device.thing, b"{\"value\":25.0}").await.unwrap();
    let seen = support::next(&mut watcher).await;
    assert_eq!((seen.topic.as_str(), seen.payload.as_slice()), ("aether-P3-00017", &b"{\"value\":25.0}"[..]));
    sandbox.shutdown().await;
}

#[tokio::test]
async fn the_answers_have_aws_members_and_rsa_keys_by_default() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::builder().dir(dir.path()).listen("127.0.0.1:0".parse().unwrap()).start().await.unwrap();
    let mut client = claim(&sandbox, "claim").await;
    listen_for_answers(&client).await;
    let created = ask(&mut client, CREATE, b"").await.unwrap();
    let members: Vec<&String> = created.as_object().unwrap().keys().collect();
    assert_eq!(members, ["certificateId", "certificateOwnershipToken", "certificatePem", "privateKey"]);
    assert!(created["privateKey"].as_str().unwrap().starts_with("-----BEGIN RSA PRIVATE KEY-----"));

    let request = json!({ "certificateOwnershipToken": created["certificateOwnershipToken"] });
    let registered = ask(&mut client, PROVISION, request.to_string().as_bytes()).await.unwrap();
    assert_eq!(registered, json!({ "deviceConfiguration": {}, "thingName": "aether-unnumbered" }));

    let device = support::credentials(&sandbox, &created);
    Observer::connect(sandbox.local_addr(), &device, "aether-unnumbered").await.unwrap();
    sandbox.shutdown().await;
}

#[tokio::test]
async fn a_pending_certificate_cannot_connect() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = support::start(dir.path()).await;
    let mut client = claim(&sandbox, "claim").await;
    listen_for_answers(&client).await;
    let created = ask(&mut client, CREATE, b"{}").await.unwrap();
    let mut audit = sandbox.audit();
    let pending = support::credentials(&sandbox, &created);
    let refused = Observer::connect(sandbox.local_addr(), &pending, "aether-x").await;
    assert!(matches!(refused, Err(ObserverError::Tls { .. })), "{refused:?}");
    let record = audited_event(&mut audit, AuditEvent::TlsHandshake).await;
    assert_eq!(record.decision, AuditDecision::Denied);
    assert_eq!(record.reason.as_deref(), Some("certificate is PENDING_ACTIVATION"));
    assert_eq!(record.certificate_id.unwrap().as_str(), created["certificateId"]);
    sandbox.shutdown().await;
}

#[tokio::test]
async fn rejections_say_why_and_a_refused_registration_can_be_repeated() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = support::start(dir.path()).await;
    let mut client = claim(&sandbox, "claim").await;
    listen_for_answers(&client).await;

    let no_token = ask(&mut client, PROVISION, b"{}").await.unwrap_err();
    assert_eq!(no_token["statusCode"], 400);
    assert_eq!(no_token["errorCode"], "InvalidCertificateOwnershipToken");
    let not_json = ask(&mut client, CREATE, b"<xml/>").await.unwrap_err();
    assert_eq!(not_json["statusCode"], 400);

    let created = ask(&mut client, CREATE, b"{}").await.unwrap();
    let with_serial = |serial: &str| {
        json!({
            "certificateOwnershipToken": created["certificateOwnershipToken"],
            "parameters": { "SerialNumber": serial },
        })
        .to_string()
    };
    let bad_name = ask(&mut client, PROVISION, with_serial("not a name").as_bytes()).await.unwrap_err();
    assert_eq!(bad_name["errorCode"], "InvalidParameters");
    ask(&mut client, PROVISION, with_serial("7").as_bytes()).await.unwrap();
    let used = ask(&mut client, PROVISION, with_serial("7").as_bytes()).await.unwrap_err();
    assert_eq!(used["errorCode"], "InvalidCertificateOwnershipToken");
    sandbox.shutdown().await;
}

#[tokio::test]
async fn another_template_is_out_of_reach_for_the_claim_and_unknown_to_the_service() {
    let dir = tempfile::tempdir().unwrap();
    support::start(dir.path()).await.shutdown().await;
    // A wider claim policy, as an operator might write it.
    let policy = dir.path().join("policies/aether-claim.json");
    let wider = std::fs::read_to_string(&policy).unwrap().replace("/Aether/provision/", "/*/provision/");
    std::fs::write(&policy, wider).unwrap();
    let sandbox = support::start(dir.path()).await;
    let mut client = claim(&sandbox, "claim").await;
    let other = "$aws/provisioning-templates/Other/provision/json";
    client.subscribe(&format!("{other}/rejected")).await.unwrap();
    let rejected = ask(&mut client, other, b"{}").await.unwrap_err();
    assert_eq!(
        (rejected["statusCode"].clone(), rejected["errorCode"].clone()),
        (json!(404), json!("TemplateNotFound"))
    );
    sandbox.shutdown().await;
}

#[tokio::test]
async fn an_answer_goes_to_the_asking_connection_alone() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = support::start(dir.path()).await;
    let mut asking = claim(&sandbox, "asking").await;
    let mut other = claim(&sandbox, "other").await;
    let mut watcher = support::observer(&sandbox, "$aws/certificates/#").await;
    listen_for_answers(&asking).await;
    listen_for_answers(&other).await;
    ask(&mut asking, CREATE, b"{}").await.unwrap();
    // The next thing each of the others hears is meant for it: nothing came before.
    let rejected = ask(&mut other, PROVISION, b"{}").await.unwrap_err();
    assert_eq!(rejected["statusCode"], 400);
    sandbox.drop_connections();
    assert_eq!(watcher.next().await, None);
    sandbox.shutdown().await;
}

#[tokio::test]
async fn an_answer_nobody_subscribed_to_is_not_sent_and_the_log_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = support::start(dir.path()).await;
    let mut audit = sandbox.audit();
    let client = claim(&sandbox, "deaf").await;
    client.publish(CREATE, b"{}").await.unwrap();
    let record = audited(&mut audit, |record| record.event == AuditEvent::CreateKeysAndCertificate).await;
    assert!(record.reason.unwrap().contains("not subscribed"));
    sandbox.shutdown().await;
}

#[tokio::test]
async fn an_inactive_status_in_the_template_leaves_the_certificate_inactive() {
    let dir = tempfile::tempdir().unwrap();
    support::start(dir.path()).await.shutdown().await;
    let template = dir.path().join("template.json");
    let inactive = std::fs::read_to_string(&template).unwrap().replace("\"ACTIVE\"", "\"INACTIVE\"");
    std::fs::write(&template, inactive).unwrap();
    let sandbox = support::start(dir.path()).await;
    let device = provision(&sandbox, "9").await;
    let connected = Observer::connect(sandbox.local_addr(), &device.credentials, &device.thing).await;
    assert!(matches!(connected, Err(ObserverError::HungUp)), "{connected:?}");
    let id = device.certificate_id.parse().unwrap();
    sandbox.set_certificate_status(&id, CertificateStatus::Active).await.unwrap();
    support::device(&sandbox, &device).await;
    sandbox.shutdown().await;
}

#[tokio::test]
async fn a_device_that_speaks_cbor_is_answered_in_cbor() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = support::start(dir.path()).await;
    let mut client = claim(&sandbox, "claim").await;
    let (create, provision) = ("$aws/certificates/create/cbor", "$aws/provisioning-templates/Aether/provision/cbor");
    for topic in [create, provision] {
        client.subscribe(&format!("{topic}/accepted")).await.unwrap();
        client.subscribe(&format!("{topic}/rejected")).await.unwrap();
    }
    client.publish(create, b"\xa0").await.unwrap();
    let answer = support::next(&mut client).await;
    assert_eq!(answer.topic, format!("{create}/accepted"));
    let created: serde_json::Value = ciborium::from_reader(answer.payload.as_slice()).unwrap();
    let mut request = Vec::new();
    let token = json!({ "certificateOwnershipToken": created["certificateOwnershipToken"] });
    ciborium::into_writer(&token, &mut request).unwrap();
    client.publish(provision, &request).await.unwrap();
    let answer = support::next(&mut client).await;
    let registered: serde_json::Value = ciborium::from_reader(answer.payload.as_slice()).unwrap();
    assert_eq!(registered, json!({ "deviceConfiguration": {}, "thingName": "aether-unnumbered" }));
    client.publish(provision, &request).await.unwrap();
    let answer = support::next(&mut client).await;
    assert_eq!(answer.topic, format!("{provision}/rejected"));
    let rejected: serde_json::Value = ciborium::from_reader(answer.payload.as_slice()).unwrap();
    assert_eq!(
        (&rejected["statusCode"], &rejected["errorCode"]),
        (&json!(400), &json!("InvalidCertificateOwnershipToken"))
    );
    sandbox.shutdown().await;
}

#[tokio::test]
async fn a_trusted_users_claim_provisions_through_its_template_until_its_five_minutes_are_over() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = support::start(dir.path()).await;
    let claim = sandbox.create_provisioning_claim("Aether").await.unwrap();
    assert!(sandbox.certificates().iter().all(|known| known.id != claim.certificate_id), "not in listings");
    let ca = std::fs::read(sandbox.files().ca()).unwrap();
    let (certificate, key) = (claim.certificate_pem.as_bytes(), claim.private_key_pem.as_bytes());
    let credentials = aether_sandbox::Credentials::from_pem(&ca, certificate, key).unwrap();
    let mut client = Observer::connect(sandbox.local_addr(), &credentials, "by-hand").await.unwrap();
    listen_for_answers(&client).await;
    let created = ask(&mut client, CREATE, b"{}").await.unwrap();
    let request = json!({ "certificateOwnershipToken": created["certificateOwnershipToken"] });
    ask(&mut client, PROVISION, request.to_string().as_bytes()).await.unwrap();
    client.disconnect().await;
    sandbox.advance(std::time::Duration::from_secs(5 * 60));
    let late = Observer::connect(sandbox.local_addr(), &credentials, "by-hand").await;
    assert!(late.is_err(), "{late:?}");
    assert!(sandbox.create_provisioning_claim("Other").await.is_err());
    sandbox.shutdown().await;
}

#[tokio::test]
async fn the_hook_of_the_own_template_decides_who_may_register() {
    let dir = tempfile::tempdir().unwrap();
    let list = dir.path().join("serials.json");
    std::fs::write(&list, r#"{ "parameter": "SerialNumber", "values": ["17"] }"#).unwrap();
    let sandbox = Sandbox::builder()
        .dir(dir.path().join("sandbox"))
        .listen("127.0.0.1:0".parse().unwrap())
        .device_keys(aether_sandbox::KeyKind::EcP256)
        .template_hook(format!("allow-list:{}", list.display()).parse().unwrap())
        .start()
        .await
        .unwrap();
    provision(&sandbox, "17").await;
    let mut client = claim(&sandbox, "claim").await;
    listen_for_answers(&client).await;
    let created = ask(&mut client, CREATE, b"{}").await.unwrap();
    let request = json!({ "certificateOwnershipToken": created["certificateOwnershipToken"] });
    let refused = ask(&mut client, PROVISION, request.to_string().as_bytes()).await.unwrap_err();
    assert_eq!((&refused["statusCode"], &refused["errorCode"]), (&json!(403), &json!("AccessDenied")));
    sandbox.shutdown().await;
}
