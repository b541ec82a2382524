//! Cost of one decision of a connection, which must not grow with the number of Things:
//! `cargo bench -p aether-sandbox --features __bench`.

#![allow(missing_docs, reason = "criterion_group! makes a public function")]
#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::hint::black_box;

use aether_sandbox::__bench::Decider;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};

fn decide(c: &mut Criterion) {
    for things in [2, 1_000, 20_000] {
        let dir = tempfile::tempdir().unwrap();
        let decider = Decider::new(dir.path(), things).unwrap();
        assert!(decider.may_publish("thing-0") && !decider.may_publish("thing-1"));
        let mut group = c.benchmark_group(format!("decide among {things} Things"));
        group.bench_function("again", |b| b.iter(|| decider.may_publish(black_box("thing-0"))));
        group.bench_function("after a change of the account", |b| {
            b.iter_batched(
                || decider.disturb(),
                |()| decider.may_publish(black_box("thing-0")),
                BatchSize::PerIteration,
            );
        });
        group.finish();
    }
}

criterion_group!(benches, decide);
criterion_main!(benches);
