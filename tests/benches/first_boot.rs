//! From a claim to an identity that has connected, over loopback against the sandbox, for each way to a key.
//!
//! `cargo bench -p aether-tests --bench first_boot`. The store is a directory: every step is synced to disk.
#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aether_mqtt::{Credentials, Endpoint, RumqttConnector, ServerRoots};
use aether_provisioning::{
    Claim, DirectoryStore, IdentityStore, KeyKind, KeyPlan, KeySource as _, OwnKey, SigningRequest, SoftwareKeys,
    provision,
};
use aether_sandbox::Sandbox;
use criterion::{Criterion, criterion_group, criterion_main};
use tokio::runtime::Runtime;

const ANY_MODE: &str = r#"{ "Version": "2012-10-17",
    "Statement": [{ "Effect": "Allow", "Action": "iot:*", "Resource": "*" }] }"#;

/// One device after another, each with a Thing of its own; the time of the provisioning alone.
fn boot(runtime: &Runtime, sandbox: &Sandbox, keys: &KeyPlan, times: u64) -> Duration {
    let files = sandbox.files();
    let read = |path| fs::read(path).unwrap();
    let mut sum = Duration::ZERO;
    for _ in 0..times {
        let folder = tempfile::tempdir().unwrap();
        let store: Arc<dyn IdentityStore> = Arc::new(DirectoryStore::new(folder.path().join("state")));
        let credentials = Credentials::from_pem(&read(files.claim_cert()), &read(files.claim_key())).unwrap();
        let roots = ServerRoots::from_pem(&read(files.ca())).unwrap();
        let endpoint = Endpoint::new("localhost", sandbox.local_addr().port()).unwrap();
        let serial = format!("B{}", sandbox.things().len());
        let claim = Claim::new(endpoint, roots, credentials, "Aether".parse().unwrap())
            .parameters(BTreeMap::from([("SerialNumber".to_owned(), serial)]))
            .keys(keys.clone());
        let begun = Instant::now();
        let provisioned = runtime.block_on(provision(&RumqttConnector::default(), &claim, &store, &|_| {})).unwrap();
        sum += begun.elapsed();
        black_box(provisioned);
    }
    sum
}

fn first_boot(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let directory = folder.path().join("sandbox");
    let start = || runtime.block_on(Sandbox::builder().dir(&directory).start()).unwrap();
    runtime.block_on(start().shutdown());
    fs::write(directory.join("policies/aether-claim.json"), ANY_MODE).unwrap();
    let sandbox = start();
    let made = |kind| KeyPlan::OnDevice(Arc::new(SoftwareKeys::new(kind)));
    let key = SoftwareKeys::new(KeyKind::EcP256).make().unwrap();
    let given = OwnKey { request: SigningRequest::make(&key, "device").unwrap(), key };
    let mut group = criterion.benchmark_group("first_boot");
    group.sample_size(10).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(5));
    for (name, keys) in [
        ("aws", KeyPlan::AwsGenerated),
        ("ec-p256", made(KeyKind::EcP256)),
        ("ec-p384", made(KeyKind::EcP384)),
        ("rsa-2048", made(KeyKind::Rsa2048)),
        ("csr-given", KeyPlan::Given(Box::new(given))),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|times| boot(&runtime, &sandbox, &keys, times));
        });
    }
    group.finish();
}

criterion_group!(benches, first_boot);
criterion_main!(benches);
