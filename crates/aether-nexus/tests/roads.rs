//! The roads to an identity besides the shared claim, over a broker in memory.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::{
    fs,
    future::pending,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use aether_mqtt::{
    ConnectError,
    testing::{ConnectReaction, FakeBroker, PublishReaction, certificate_of, self_signed},
};
use aether_nexus::{Nexus, NexusBuilder, NexusHandle, RunError};
use aether_provisioning::{DirectoryStore, IdentityStore, Parameter, SigningRequest};
use aether_sigil::Sigil;
use serde_json::{Value, json};
use support::secret;
use tokio::{task::JoinHandle, time::timeout};

const LONG: Duration = Duration::from_secs(60);

struct Running {
    handle: NexusHandle,
    runs: JoinHandle<Result<(), RunError>>,
    sigil: Sigil<f64>,
}

fn start(builder: NexusBuilder, dir: &Path, broker: &FakeBroker) -> Running {
    let sigil = Sigil::builder("ns=2;s=Plant.Temperature", 25.0).build().unwrap();
    let builder = builder.opc_ua_url("opc.tcp://127.0.0.1:0").state_dir(dir.join("state"));
    let builder = builder.aws_iot_endpoint("localhost").connector(Arc::new(broker.connector())).sigil(&sigil);
    let nexus = builder.build().unwrap();
    Running { handle: nexus.handle(), runs: tokio::spawn(nexus.run_until(pending())), sigil }
}

impl Running {
    async fn stop(self) {
        self.handle.stop();
        timeout(LONG, self.runs).await.expect("the runtime stops").unwrap().unwrap();
    }
}

/// A certificate of the device's own, with its CA's after it; and the settings that name it.
fn own(dir: &Path, name: &str) -> NexusBuilder {
    let ((leaf, key), (ca, _)) = (self_signed("press-3"), self_signed("a CA"));
    let (certificate, private_key) = (dir.join(format!("{name}.pem")), dir.join(format!("{name}.key")));
    fs::write(&certificate, format!("{leaf}{ca}")).unwrap();
    secret(&private_key, key);
    Nexus::builder().aws_iot_certificate(certificate).aws_iot_private_key(private_key)
}

#[tokio::test]
async fn an_identity_given_by_hand_connects_is_kept_and_outlives_its_files() {
    let (dir, broker) = (tempfile::tempdir().unwrap(), FakeBroker::new());
    // As with just-in-time registration: the first connects fail until the certificate is activated.
    broker.fail_connects([ConnectError::Closed { endpoint: "localhost:8883".to_owned() }]);
    let chains = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&chains);
    broker.on_connect(move |options| {
        let chain = String::from_utf8(options.credentials().certificate_pem().to_vec()).unwrap();
        seen.lock().unwrap().push(chain.matches("BEGIN CERTIFICATE").count());
        ConnectReaction::accept()
    });
    let running = start(own(dir.path(), "own"), dir.path(), &broker);
    let identity = timeout(LONG, running.handle.wait_identity()).await.unwrap();
    assert_eq!(identity.thing_name, "press-3");
    assert_eq!(identity.certificate_id.len(), 64, "the certificate's fingerprint");
    running.sigil.write(7.0).await.unwrap();
    timeout(LONG, broker.until(|b| !b.publishes().is_empty())).await.unwrap();
    assert!(broker.publishes().iter().all(|p| p.topic.as_str() == "press-3" && p.client_id.as_str() == "press-3"));
    assert!(chains.lock().unwrap().iter().all(|count| *count == 2), "the CA's certificate is sent too");
    running.stop().await;

    fs::remove_file(dir.path().join("own.pem")).unwrap();
    fs::remove_file(dir.path().join("own.key")).unwrap();
    let again = Nexus::builder().aws_iot_certificate(dir.path().join("own.pem"));
    let running = start(again.aws_iot_private_key(dir.path().join("own.key")), dir.path(), &broker);
    assert_eq!(timeout(LONG, running.handle.wait_identity()).await.unwrap(), identity);
    running.stop().await;
}

#[tokio::test]
async fn a_new_certificate_that_the_cloud_never_takes_leaves_the_present_identity_at_work() {
    let (dir, broker) = (tempfile::tempdir().unwrap(), FakeBroker::new());
    let running = start(own(dir.path(), "first"), dir.path(), &broker);
    let first = timeout(LONG, running.handle.wait_identity()).await.unwrap();
    running.stop().await;
    let good = broker.connects().last().unwrap().certificate_der.clone();
    broker.on_connect(move |options| match options.credentials().certificate_der() == good {
        true => ConnectReaction::accept(),
        false => ConnectReaction::fail(ConnectError::Closed { endpoint: "localhost:8883".to_owned() }),
    });
    let second = own(dir.path(), "second").aws_iot_activation_timeout(Duration::from_secs(1));
    let running = start(second, dir.path(), &broker);
    assert_eq!(timeout(LONG, running.handle.wait_identity()).await.unwrap(), first);
    running.sigil.write(7.0).await.unwrap();
    timeout(LONG, broker.until(|b| !b.publishes().is_empty())).await.unwrap();
    running.stop().await;

    let alone = tempfile::tempdir().unwrap();
    let second = own(alone.path(), "second").aws_iot_activation_timeout(Duration::from_secs(1));
    let running = start(second, alone.path(), &broker);
    let ended = timeout(LONG, running.runs).await.unwrap().unwrap();
    assert!(matches!(ended, Err(RunError::Provisioning(_))), "a device without any is told: {ended:?}");
}

#[tokio::test]
async fn a_claim_handed_over_gets_a_certificate_for_the_devices_own_key_and_what_the_template_asks() {
    let (dir, broker) = (tempfile::tempdir().unwrap(), FakeBroker::new());
    let registered = Arc::new(Mutex::new(Value::Null));
    let seen = Arc::clone(&registered);
    broker.on_publish(move |publish| {
        let accepted = format!("{}/accepted", publish.topic).parse();
        let request = || serde_json::from_slice::<Value>(&publish.payload).unwrap();
        let answer = match publish.topic.as_str() {
            "$aws/certificates/create-from-csr/json" => {
                let request = request()["certificateSigningRequest"].as_str().unwrap().to_owned();
                let request: SigningRequest = request.parse().unwrap();
                json!({ "certificateId": "5d".repeat(32), "certificateOwnershipToken": "ownership",
                    "certificatePem": certificate_of(request.public_key_der(), "AWS IoT Certificate") })
            }
            "$aws/provisioning-templates/Aether/provision/json" => {
                *seen.lock().unwrap() = request()["parameters"].clone();
                json!({ "thingName": "press-3", "deviceConfiguration": {} })
            }
            _ => return PublishReaction::acknowledge(),
        };
        PublishReaction::acknowledge().reply(accepted.unwrap(), answer.to_string())
    });
    let (certificate, key) = self_signed("one-time claim");
    let document = json!({
        "certificateId": "c1".repeat(32), "certificatePem": certificate, "expiration": 4_000_000_000_u64,
        "keyPair": { "PublicKey": "", "PrivateKey": key },
    });
    secret(dir.path().join("claim.json"), document.to_string());
    let builder = Nexus::builder().aws_iot_claim(dir.path().join("claim.json")).aws_iot_template_name("Aether");
    fs::write(dir.path().join("serial"), "P3-00017\n").unwrap();
    let builder = builder.aws_iot_key("ec-p384").aws_iot_template_parameter("Line", "7");
    let builder = builder.aws_iot_template_parameter("SerialNumber", Parameter::File(dir.path().join("serial")));
    let running = start(builder, dir.path(), &broker);
    timeout(LONG, running.handle.wait_identity()).await.unwrap();
    running.stop().await;
    assert_eq!(*registered.lock().unwrap(), json!({ "Line": "7", "SerialNumber": "P3-00017" }));

    let store = DirectoryStore::new(dir.path().join("state/identity"));
    let active = store.load(std::time::SystemTime::now()).unwrap().active.unwrap();
    assert_eq!(active.credentials().private_key().algorithm(), aether_mqtt::KeyAlgorithm::EcdsaP384);
}

#[tokio::test]
async fn a_claim_that_has_expired_is_not_spent() {
    let (dir, broker) = (tempfile::tempdir().unwrap(), FakeBroker::new());
    let (certificate, key) = self_signed("one-time claim");
    let document = json!({
        "certificateId": "c1", "certificatePem": certificate, "expiration": "2026-01-05T08:00:00+00:00",
        "keyPair": { "PublicKey": "", "PrivateKey": key },
    });
    secret(dir.path().join("claim.json"), document.to_string());
    let builder = Nexus::builder().aws_iot_claim(dir.path().join("claim.json")).aws_iot_template_name("Aether");
    let running = start(builder, dir.path(), &broker);
    let ended = timeout(LONG, running.runs).await.unwrap().unwrap().unwrap_err();
    assert!(std::error::Error::source(&ended).unwrap().to_string().contains("expired"), "{ended:?}");
    assert!(broker.connects().is_empty());
}
