//! The next identity takes over, or does not, and no event is lost over it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs,
    future::pending,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use aether_mqtt::testing::{ConnectReaction, FakeBroker, PublishReaction, Published, self_signed};
use aether_nexus::{Nexus, NexusHandle, RotateError, RunError};
use aether_provisioning::{DirectoryStore, IdentityStore};
use aether_sigil::Sigil;
use serde_json::{Value, json};
use tokio::{task::JoinHandle, time::timeout};

const CREATE: &str = "$aws/certificates/create/json";
const REGISTER: &str = "$aws/provisioning-templates/Aether/provision/json";
const LONG: Duration = Duration::from_secs(60);

/// A broker that gives each certificate a new id and each device the Thing `press-3`; `refuses` may say that a
/// publish is not taken.
fn cloud(refuses: impl Fn(&Published) -> bool + Send + 'static) -> FakeBroker {
    let (broker, issued) = (FakeBroker::new(), AtomicU32::new(0));
    broker.on_publish(move |publish| {
        let reply = |suffix: &str| format!("{}/{suffix}", publish.topic).parse().unwrap();
        if refuses(publish) {
            return match publish.topic.as_str().starts_with('$') {
                true => {
                    let answer = json!({ "statusCode": 404, "errorCode": "TemplateNotFound", "errorMessage": "no" });
                    PublishReaction::acknowledge().reply(reply("rejected"), answer.to_string())
                }
                false => PublishReaction::hang_up(),
            };
        }
        let answer = match publish.topic.as_str() {
            CREATE => {
                let (certificate, key) = self_signed("AWS IoT Certificate");
                let id = format!("{:064x}", issued.fetch_add(1, Ordering::SeqCst));
                json!({ "certificateId": id, "certificatePem": certificate, "privateKey": key,
                    "certificateOwnershipToken": "ownership" })
            }
            REGISTER => json!({ "thingName": "press-3", "deviceConfiguration": { "site": "hall-b" } }),
            _ => return PublishReaction::acknowledge(),
        };
        PublishReaction::acknowledge().reply(reply("accepted"), answer.to_string())
    });
    broker
}

struct Running {
    handle: NexusHandle,
    runs: JoinHandle<Result<(), RunError>>,
    sigil: Sigil<f64>,
}

fn start(dir: &Path, broker: &FakeBroker) -> Running {
    use std::os::unix::fs::PermissionsExt as _;
    let (certificate, key) = self_signed("claim");
    fs::write(dir.join("claim.pem"), certificate).unwrap();
    fs::write(dir.join("claim.key"), key).unwrap();
    fs::set_permissions(dir.join("claim.key"), fs::Permissions::from_mode(0o600)).unwrap();
    let sigil = Sigil::builder("ns=2;s=Plant.Temperature", 25.0).build().unwrap();
    let nexus = Nexus::builder()
        .opc_ua_url("opc.tcp://127.0.0.1:0")
        .state_dir(dir.join("state"))
        .aws_iot_endpoint("localhost")
        .aws_iot_template_name("Aether")
        .aws_iot_claim_cert(dir.join("claim.pem"))
        .aws_iot_claim_key(dir.join("claim.key"))
        .connector(Arc::new(broker.connector()))
        .roll_back_after(Duration::from_secs(5))
        .sigil(&sigil)
        .build()
        .unwrap();
    let handle = nexus.handle();
    Running { handle, runs: tokio::spawn(nexus.run_until(pending())), sigil }
}

impl Running {
    async fn stop(self) {
        self.handle.stop();
        timeout(LONG, self.runs).await.expect("the runtime stops").unwrap().unwrap();
    }
}

fn written(broker: &FakeBroker) -> Vec<f64> {
    let published = broker.publishes().into_iter().filter(|p| p.topic.as_str() == "press-3");
    let events = published.map(|p| serde_json::from_slice::<Value>(&p.payload).unwrap());
    events.filter(|event| event["operation"] == "write").map(|event| event["value"].as_f64().unwrap()).collect()
}

async fn until(broker: &FakeBroker, condition: impl Fn(&FakeBroker) -> bool) {
    timeout(LONG, broker.until(condition)).await.expect("the condition holds in time");
}

fn id(n: u32) -> String {
    format!("{n:064x}")
}

#[tokio::test]
async fn a_rotation_on_demand_takes_over_and_no_event_is_lost() {
    let (dir, broker) = (tempfile::tempdir().unwrap(), cloud(|_| false));
    let running = start(dir.path(), &broker);
    let first = timeout(LONG, running.handle.wait_identity()).await.unwrap();
    assert_eq!((first.thing_name.as_str(), &first.certificate_id), ("press-3", &id(0)));
    assert_eq!(first.device_configuration["site"], "hall-b", "for user code to read");
    let writer = tokio::spawn({
        let sigil = running.sigil.clone();
        async move {
            for n in 0..200 {
                sigil.write(f64::from(n)).await.unwrap();
                tokio::task::yield_now().await;
            }
        }
    });
    let second = timeout(LONG, running.handle.rotate()).await.unwrap().unwrap();
    assert_eq!(second.certificate_id, id(1));
    assert_eq!(running.handle.identity().unwrap().certificate_id, id(1));
    writer.await.unwrap();
    until(&broker, |b| written(b).len() >= 200).await;
    assert_eq!(written(&broker), (0..200).map(f64::from).collect::<Vec<_>>(), "each once and in order");
    running.sigil.write(200.0).await.unwrap();
    let store = DirectoryStore::new(dir.path().join("state/identity"));
    let confirmed = async {
        while store.load(std::time::SystemTime::now()).unwrap().unconfirmed {
            tokio::task::yield_now().await;
        }
    };
    timeout(LONG, confirmed).await.expect("an event is acknowledged under it");
    running.stop().await;
    let contents = store.load(std::time::SystemTime::now()).unwrap();
    assert_eq!(contents.active.unwrap().certificate_id().as_str(), id(1));
    assert_eq!(contents.previous.unwrap().certificate_id().as_str(), id(0));
    assert!(!contents.unconfirmed, "an event was acknowledged under it");
}

#[tokio::test]
async fn a_rotation_that_the_cloud_refuses_leaves_the_identity_and_events_flow_on() {
    let registered = AtomicU32::new(0);
    let (dir, broker) = (
        tempfile::tempdir().unwrap(),
        cloud(move |p| p.topic.as_str() == REGISTER && registered.fetch_add(1, Ordering::SeqCst) > 0),
    );
    let running = start(dir.path(), &broker);
    timeout(LONG, running.handle.wait_identity()).await.unwrap();
    let refused = timeout(LONG, running.handle.rotate()).await.unwrap();
    assert!(matches!(refused, Err(RotateError::Provisioning(_))), "{refused:?}");
    running.sigil.write(7.0).await.unwrap();
    until(&broker, |b| written(b).contains(&7.0)).await;
    assert_eq!(running.handle.identity().unwrap().certificate_id, id(0));
    running.stop().await;
}

#[tokio::test]
async fn an_identity_that_connects_and_carries_nothing_gives_way_to_the_one_before() {
    let (dir, broker) = (tempfile::tempdir().unwrap(), cloud(|_| false));
    let running = start(dir.path(), &broker);
    timeout(LONG, running.handle.wait_identity()).await.unwrap();
    running.sigil.write(1.0).await.unwrap();
    until(&broker, |b| written(b).contains(&1.0)).await;
    let first = broker.connects().last().unwrap().certificate_der.clone();

    // The next certificate connects once, to prove itself, and never again.
    let (old, proofs) = (first.clone(), AtomicU32::new(0));
    broker.on_connect(move |options| {
        let own = options.client_id().as_str() == "press-3" && options.credentials().certificate_der() != old;
        match own && proofs.fetch_add(1, Ordering::SeqCst) > 0 {
            true => ConnectReaction::fail(aether_mqtt::ConnectError::Closed { endpoint: "localhost".to_owned() }),
            false => ConnectReaction::accept(),
        }
    });
    broker.hold_acks();
    timeout(LONG, running.handle.rotate()).await.unwrap().unwrap();
    broker.hang_up();
    broker.release_acks();
    until(&broker, |b| b.connects().last().is_some_and(|one| one.certificate_der == first)).await;
    running.sigil.write(2.0).await.unwrap();
    until(&broker, |b| written(b).contains(&2.0)).await;
    assert_eq!(running.handle.identity().unwrap().certificate_id, id(0));
    running.stop().await;
}

#[tokio::test]
async fn without_a_cloud_side_there_is_nothing_to_rotate() {
    let nexus = Nexus::builder().opc_ua_url("opc.tcp://127.0.0.1:0").build().unwrap();
    let handle = nexus.handle();
    let runs = tokio::spawn(nexus.run_until(pending()));
    let refused = timeout(LONG, handle.rotate()).await.unwrap();
    assert!(matches!(refused, Err(RotateError::NoCloud)), "{refused:?}");
    assert!(handle.identity().is_none());
    handle.stop();
    timeout(LONG, runs).await.unwrap().unwrap().unwrap();
}
