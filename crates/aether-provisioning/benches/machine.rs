//! What the machine takes by itself, with neither network nor disk: a whole run from nothing to an identity, and one
//! input that belongs to no question.
#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::hint::black_box;
use std::time::{Duration, Instant, SystemTime};

use aether_mqtt::{Endpoint, Message, ServerRoots, testing};
use aether_provisioning::{Action, Claim, Encoding, Input, Now, Provisioner, Start};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use serde_json::{Value, json};

/// Inputs of a run without a failure: time, room, connection, two SUBACKs, answer, kept, the same three for the Thing,
/// connection, kept.
const TRANSITIONS: u64 = 13;

fn write(encoding: Encoding, value: &Value) -> Vec<u8> {
    match encoding {
        Encoding::Json => value.to_string().into_bytes(),
        Encoding::Cbor => {
            let mut bytes = Vec::new();
            ciborium::into_writer(value, &mut bytes).unwrap();
            bytes
        }
    }
}

fn run(claim: &Claim, now: Now, created: &[u8], registered: &[u8]) -> u64 {
    let (mut machine, mut inputs) = (Provisioner::new(claim, Start::Empty, now), 1);
    machine.handle(now, Input::Elapsed).unwrap();
    while let Some(action) = machine.poll() {
        let input = match action {
            Action::Prepare { .. } => Input::Prepared(None),
            Action::Connect(_) => Input::Connected,
            Action::Subscribe(filter) => Input::Subscribed(filter),
            Action::Persist(_) => Input::Persisted,
            Action::Publish { topic, .. } => {
                let payload = if topic.as_str().contains("certificates") { created } else { registered };
                Input::Message(Message::new(format!("{topic}/accepted").parse().unwrap(), payload.to_vec()))
            }
            Action::Disconnect | Action::Report { .. } | Action::Done(_) | _ => continue,
        };
        inputs += 1;
        machine.handle(now, input).unwrap();
    }
    assert_eq!((machine.state(), inputs), ("Done", TRANSITIONS));
    inputs
}

fn machine(criterion: &mut Criterion) {
    let now = Now { instant: Instant::now(), wall: SystemTime::now(), random: 0 };
    let (certificate, key) = testing::self_signed("AWS IoT Certificate");
    let created = json!({
        "certificateId": "c1", "certificatePem": certificate, "privateKey": key, "certificateOwnershipToken": "token",
    });
    let registered = json!({ "thingName": "line7-press3", "deviceConfiguration": { "site": "hall-b" } });
    let mut group = criterion.benchmark_group("machine");
    group.throughput(Throughput::Elements(TRANSITIONS));
    for encoding in [Encoding::Json, Encoding::Cbor] {
        let endpoint = Endpoint::new("localhost", 8883).unwrap();
        let credentials = testing::credentials("claim");
        let claim = Claim::new(endpoint, ServerRoots::mozilla(), credentials, "Line7".parse().unwrap());
        let claim = claim.encoding(encoding).answer_timeout(Duration::from_secs(30));
        let (created, registered) = (write(encoding, &created), write(encoding, &registered));
        group.bench_function(format!("run/{encoding}"), |bencher| {
            bencher.iter(|| run(black_box(&claim), now, &created, &registered));
        });
        if encoding == Encoding::Json {
            let mut waiting = Provisioner::new(&claim, Start::Empty, now);
            waiting.handle(now, Input::Elapsed).unwrap();
            group.throughput(Throughput::Elements(1));
            group.bench_function("transition", |bencher| {
                bencher.iter(|| waiting.handle(now, black_box(Input::Elapsed)).unwrap());
            });
            group.throughput(Throughput::Elements(TRANSITIONS));
        }
    }
    group.finish();
}

criterion_group!(benches, machine);
criterion_main!(benches);
