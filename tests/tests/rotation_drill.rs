//! Certificates that live for seconds: the gateway replaces its own in time, again and again, and loses nothing.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{collections::BTreeSet, future::pending, time::Duration};

use aether_nexus::Nexus;
use aether_sandbox::{KeyKind, Limits, Observer, Sandbox};
use aether_sigil::Sigil;
use serde_json::Value;
use tokio::time::timeout;

const LONG: Duration = Duration::from_secs(120);
/// How long a certificate lives. A rotation is due after two thirds of it.
const LIFE: Duration = Duration::from_secs(30);
/// How many certificates the drill goes through.
const CERTIFICATES: usize = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_that_live_for_seconds_are_replaced_in_time_and_no_event_is_lost() {
    let builder = Sandbox::builder().device_keys(KeyKind::EcP256).certificate_life(LIFE).limits(Limits::unpaced());
    let sandbox = builder.start().await.unwrap();
    let files = sandbox.files();
    let credentials = files.observer_credentials().unwrap();
    let mut observer = Observer::connect(sandbox.local_addr(), &credentials, "drill-observer").await.unwrap();
    observer.subscribe("+").await.unwrap();
    // Taken as they come: an observer holds so many and no more.
    let (arrivals, mut arrived_one) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(message) = observer.next().await {
            let _ = arrivals.send(message.payload);
        }
    });

    let dir = tempfile::tempdir().unwrap();
    let sigil = Sigil::builder("ns=2;s=Plant.Counter", 0_i64).build().unwrap();
    let nexus = Nexus::builder()
        .opc_ua_url("opc.tcp://127.0.0.1:0")
        .state_dir(dir.path().join("state"))
        .aws_iot_endpoint("localhost")
        .aws_iot_port(sandbox.local_addr().port())
        .aws_iot_root_ca(files.ca())
        .aws_iot_template_name(sandbox.template_name())
        .aws_iot_claim_cert(files.claim_cert())
        .aws_iot_claim_key(files.claim_key())
        .aws_iot_template_parameter("SerialNumber", "drill")
        .sigil(&sigil)
        .build()
        .unwrap();
    let handle = nexus.handle();
    let runs = tokio::spawn(nexus.run_until(pending()));
    let first = timeout(LONG, handle.wait_identity()).await.unwrap();

    // Writes go on while one certificate after the other takes over.
    let mut pace = tokio::time::interval(Duration::from_millis(20));
    let (mut seen, mut written) = (BTreeSet::from([first.certificate_id.clone()]), 0_i64);
    let drill = async {
        while seen.len() < CERTIFICATES {
            written += 1;
            sigil.write(written).await.unwrap();
            let status = handle.identity().unwrap();
            assert_eq!(status.thing_name, first.thing_name, "the Thing stays who it is");
            assert!(!status.time_left(std::time::SystemTime::now()).is_zero(), "replaced before it expired");
            seen.insert(status.certificate_id);
            pace.tick().await;
        }
    };
    timeout(LONG, drill).await.expect("the certificates are replaced in time");

    let mut arrived = Vec::new();
    while arrived.last() != Some(&written) {
        let payload = timeout(LONG, arrived_one.recv()).await.expect("every event arrives").unwrap();
        let event: Value = serde_json::from_slice(&payload).unwrap();
        if event["operation"] == "write" {
            arrived.push(event["value"].as_i64().unwrap());
        }
    }
    // A publish whose PUBACK a hand-over cuts off comes again: at least once, and in order but for that.
    let distinct: BTreeSet<i64> = arrived.iter().copied().collect();
    assert_eq!(distinct, (1..=written).collect(), "each write arrives");
    handle.stop();
    timeout(LONG, runs).await.unwrap().unwrap().unwrap();
    sandbox.shutdown().await;
}
