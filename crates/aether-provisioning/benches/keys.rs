//! What a device key costs: making one of each kind, and signing a request for its certificate.
//!
//! `cargo bench -p aether-provisioning --bench keys`. RSA keys are found by chance: their times spread widely.
#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::hint::black_box;
use std::time::Duration;

use aether_provisioning::{KeyKind, KeySource, SigningRequest, SoftwareKeys};
use criterion::{Criterion, criterion_group, criterion_main};

fn keys(c: &mut Criterion) {
    let mut group = c.benchmark_group("make");
    group.sample_size(10).measurement_time(Duration::from_secs(5));
    for kind in KeyKind::ALL {
        let source = SoftwareKeys::new(kind);
        group.bench_function(kind.as_str(), |b| b.iter(|| black_box(source.make().unwrap())));
    }
    group.finish();

    let mut group = c.benchmark_group("request");
    for kind in [KeyKind::EcP256, KeyKind::EcP384, KeyKind::Rsa2048] {
        let key = SoftwareKeys::new(kind).make().unwrap();
        group.bench_function(kind.as_str(), |b| b.iter(|| SigningRequest::make(black_box(&key), "P3-00017").unwrap()));
    }
    group.finish();
}

criterion_group!(benches, keys);
criterion_main!(benches);
