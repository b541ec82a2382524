//! The whole runtime over a broker in memory: first boot, second start, a cloud that is away.

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
    testing::{FakeBroker, PublishReaction, Published, self_signed},
};
use aether_nexus::{Nexus, NexusBuilder, NexusHandle, RunError, Stage};
use aether_sigil::Sigil;
use aether_weave::{CallbackError, Weave};
use serde_json::{Value, json};
use support::secret;
use tokio::{task::JoinHandle, time::timeout};

const CREATE: &str = "$aws/certificates/create/json";
const REGISTER: &str = "$aws/provisioning-templates/Aether/provision/json";
const LONG: Duration = Duration::from_secs(30);

/// A broker that provisions every device as the Thing `press-3`.
fn cloud() -> FakeBroker {
    let broker = FakeBroker::new();
    broker.on_publish(|publish| {
        let accepted = format!("{}/accepted", publish.topic).parse();
        match publish.topic.as_str() {
            CREATE => {
                let (certificate, key) = self_signed("AWS IoT Certificate");
                let id = "5d".repeat(32);
                let answer = json!({ "certificateId": id, "certificatePem": certificate, "privateKey": key,
                    "certificateOwnershipToken": "ownership" });
                PublishReaction::acknowledge().reply(accepted.unwrap(), answer.to_string())
            }
            REGISTER => {
                let answer = json!({ "thingName": "press-3", "deviceConfiguration": {} });
                PublishReaction::acknowledge().reply(accepted.unwrap(), answer.to_string())
            }
            _ => PublishReaction::acknowledge(),
        }
    });
    broker
}

/// A runtime with one Sigil and a Weave that reads it, against `broker`, in `dir`.
fn nexus(dir: &Path, broker: &FakeBroker, temperature: &Sigil<f64>) -> NexusBuilder {
    let (certificate, key) = self_signed("claim");
    fs::write(dir.join("claim.pem"), certificate).unwrap();
    secret(dir.join("claim.key"), key);
    let polled = temperature.clone();
    let poller = Weave::builder("poller", Duration::from_millis(20), move || {
        let polled = polled.clone();
        async move { polled.read().await.map(drop) }
    });
    Nexus::builder()
        .opc_ua_url("opc.tcp://127.0.0.1:0")
        .state_dir(dir.join("state"))
        .aws_iot_endpoint("localhost")
        .aws_iot_template_name("Aether")
        .aws_iot_claim_cert(dir.join("claim.pem"))
        .aws_iot_claim_key(dir.join("claim.key"))
        .connector(Arc::new(broker.connector()))
        .sigil(temperature)
        .weave(poller.build().unwrap())
}

fn temperature() -> Sigil<f64> {
    Sigil::builder("ns=2;s=Plant.Temperature", 25.0).build().unwrap()
}

fn start(builder: NexusBuilder) -> (NexusHandle, JoinHandle<Result<(), RunError>>) {
    let nexus = builder.build().unwrap();
    (nexus.handle(), tokio::spawn(nexus.run_until(pending())))
}

async fn stop((handle, runs): (NexusHandle, JoinHandle<Result<(), RunError>>)) {
    handle.stop();
    timeout(LONG, runs).await.expect("the runtime stops").unwrap().unwrap();
}

fn events(broker: &FakeBroker) -> Vec<(Published, Value)> {
    let published = broker.publishes().into_iter().filter(|p| p.topic.as_str() == "press-3");
    published.map(|p| (p.clone(), serde_json::from_slice(&p.payload).unwrap())).collect()
}

async fn until(broker: &FakeBroker, condition: impl Fn(&FakeBroker) -> bool) {
    timeout(LONG, broker.until(condition)).await.expect("the condition holds in time");
}

#[tokio::test]
async fn the_first_boot_provisions_and_the_second_start_uses_what_was_stored() {
    let (dir, broker) = (tempfile::tempdir().unwrap(), cloud());
    let stages = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&stages);
    let first = temperature();
    first.write(20.5).await.unwrap();
    let running = start(nexus(dir.path(), &broker, &first).on_stage(move |s| seen.lock().unwrap().push(s)));
    first.write(31.5).await.unwrap();
    until(&broker, |b| events(b).len() >= 5).await;
    stop(running).await;

    let names: Vec<_> = stages.lock().unwrap().iter().map(Stage::name).collect();
    assert_eq!(names[1..], ["claim-connected", "certificate-issued", "thing-registered", "device-connected"]);
    assert_eq!(names[0], "opcua-listening");
    let all = events(&broker);
    assert!(all.iter().all(|(p, _)| p.client_id.as_str() == "press-3"), "the client id is the Thing name");
    assert!(
        all.iter().any(|(_, e)| e["operation"] == "write" && e["value"] == 31.5),
        "what was written before there was an identity arrives too"
    );
    assert!(all.iter().any(|(_, e)| e["operation"] == "read" && e["node_id"] == "ns=2;s=Plant.Temperature"));
    assert_eq!(broker.disconnects().len(), 2, "both the claim session and the device session say goodbye");

    let provisioning = |b: &FakeBroker| b.publishes().iter().filter(|p| p.topic.as_str().starts_with('$')).count();
    assert_eq!(provisioning(&broker), 2);
    let before = events(&broker).len();
    let running = start(nexus(dir.path(), &broker, &temperature()));
    until(&broker, |b| events(b).len() > before).await;
    stop(running).await;
    assert_eq!(provisioning(&broker), 2, "the second start sends nothing to the provisioning topics");
    assert_eq!(broker.connects().len(), 3, "claim, device, device");
}

#[tokio::test]
async fn the_template_gets_a_serial_number_that_stays_the_same() {
    let (dir, broker) = (tempfile::tempdir().unwrap(), cloud());
    let serial = |broker: &FakeBroker| {
        let register: Vec<_> = broker.publishes().into_iter().filter(|p| p.topic.as_str() == REGISTER).collect();
        let request: Value = serde_json::from_slice(&register.last().unwrap().payload).unwrap();
        request["parameters"]["SerialNumber"].as_str().unwrap().to_owned()
    };
    let running = start(nexus(dir.path(), &broker, &temperature()));
    until(&broker, |b| !events(b).is_empty()).await;
    stop(running).await;
    let first = serial(&broker);
    assert_eq!(first.len(), 16);

    fs::remove_dir_all(dir.path().join("state/identity")).unwrap();
    let running = start(nexus(dir.path(), &broker, &temperature()));
    until(&broker, |b| b.publishes().iter().filter(|p| p.topic.as_str() == REGISTER).count() == 2).await;
    stop(running).await;
    assert_eq!(serial(&broker), first);
}

#[tokio::test]
async fn a_cloud_that_is_away_is_not_noticed_on_the_plant_side_and_misses_nothing() {
    let (dir, broker) = (tempfile::tempdir().unwrap(), cloud());
    broker.fail_connects((0..1).map(|_| ConnectError::Closed { endpoint: "localhost:8883".to_owned() }));
    let sigil = temperature();
    let running = start(nexus(dir.path(), &broker, &sigil));
    until(&broker, |b| !b.connects().is_empty()).await;
    for n in 0..50 {
        sigil.write(f64::from(n)).await.unwrap();
    }
    until(&broker, |b| events(b).iter().filter(|(_, e)| e["operation"] == "write").count() == 50).await;

    broker.hang_up();
    for n in 50..100 {
        sigil.write(f64::from(n)).await.unwrap();
    }
    until(&broker, |b| events(b).iter().filter(|(_, e)| e["operation"] == "write").count() == 100).await;
    let written: Vec<_> = events(&broker).into_iter().filter(|(_, e)| e["operation"] == "write").collect();
    let values: Vec<_> = written.iter().map(|(_, e)| e["value"].as_f64().unwrap()).collect();
    assert_eq!(values, (0..100).map(f64::from).collect::<Vec<_>>(), "in the order of the writes");
    stop(running).await;
}

#[tokio::test]
async fn a_final_refusal_ends_the_runtime_with_its_reason() {
    let (dir, broker) = (tempfile::tempdir().unwrap(), FakeBroker::new());
    broker.on_publish(|publish| {
        let rejected = format!("{}/rejected", publish.topic).parse().unwrap();
        let answer = json!({ "statusCode": 400, "errorCode": "InvalidParameters", "errorMessage": "no such thing" });
        PublishReaction::acknowledge().reply(rejected, answer.to_string())
    });
    let (_handle, runs) = start(nexus(dir.path(), &broker, &temperature()));
    let error = timeout(LONG, runs).await.unwrap().unwrap().unwrap_err();
    assert!(matches!(error, RunError::Provisioning(_)), "{error}");
    assert!(!error.is_configuration());
}

#[tokio::test]
async fn a_port_in_use_stops_the_start_before_anything_is_written() {
    let (dir, broker) = (tempfile::tempdir().unwrap(), cloud());
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("opc.tcp://{}", taken.local_addr().unwrap());
    let builder = nexus(dir.path(), &broker, &temperature()).opc_ua_url(&*url);
    let error = builder.build().unwrap().run_until(pending()).await.unwrap_err();
    assert!(error.is_configuration(), "{error}");
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("opc_ua_url") && cause.contains("in use"), "{cause}");
    assert!(!dir.path().join("state").exists());
    assert!(broker.connects().is_empty());
}

#[tokio::test]
async fn without_a_claim_and_without_a_stored_identity_the_missing_settings_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let builder = Nexus::builder()
        .opc_ua_url("opc.tcp://127.0.0.1:0")
        .state_dir(dir.path().join("state"))
        .aws_iot_endpoint("localhost")
        .connector(Arc::new(cloud().connector()));
    let error = timeout(LONG, builder.build().unwrap().run_until(pending())).await.unwrap().unwrap_err();
    assert!(matches!(error, RunError::NoIdentity) && error.is_configuration());
}

#[tokio::test]
async fn a_state_directory_serves_one_runtime_at_a_time() {
    let (dir, broker) = (tempfile::tempdir().unwrap(), cloud());
    let running = start(nexus(dir.path(), &broker, &temperature()));
    until(&broker, |b| !events(b).is_empty()).await;
    let (_, second) = start(nexus(dir.path(), &broker, &temperature()));
    let error = timeout(LONG, second).await.unwrap().unwrap().unwrap_err();
    assert!(matches!(error, RunError::StateInUse { .. }) && error.is_configuration(), "{error}");
    assert_eq!(broker.connects().len(), 2, "the second did not come as far as the cloud");
    stop(running).await;
}

#[tokio::test]
async fn a_state_directory_that_cannot_be_made_is_told_before_the_claim_is_spent() {
    let (dir, broker) = (tempfile::tempdir().unwrap(), cloud());
    let builder = nexus(dir.path(), &broker, &temperature()).state_dir("/proc/no/such/place");
    let error = timeout(LONG, builder.build().unwrap().run_until(pending())).await.unwrap().unwrap_err();
    assert!(matches!(error, RunError::State { .. }) && error.is_configuration(), "{error}");
    assert!(broker.connects().is_empty());
}

#[tokio::test]
async fn a_device_with_an_identity_needs_no_claim_files_any_more() {
    let (dir, broker) = (tempfile::tempdir().unwrap(), cloud());
    let first = nexus(dir.path(), &broker, &temperature());
    let running = start(first);
    until(&broker, |b| !events(b).is_empty()).await;
    stop(running).await;
    let second = nexus(dir.path(), &broker, &temperature());
    fs::remove_file(dir.path().join("claim.pem")).unwrap();
    fs::remove_file(dir.path().join("claim.key")).unwrap();
    let before = events(&broker).len();
    let running = start(second);
    until(&broker, |b| events(b).len() > before).await;
    stop(running).await;
}

#[tokio::test]
async fn a_weave_that_hangs_does_not_keep_the_runtime_from_stopping() {
    let hung = Weave::builder("hung", Duration::from_secs(1), pending::<Result<(), CallbackError>>).build().unwrap();
    let running = start(Nexus::builder().opc_ua_url("opc.tcp://127.0.0.1:0").weave(hung));
    tokio::task::yield_now().await;
    stop(running).await;
}
