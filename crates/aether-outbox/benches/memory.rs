//! Cost of one event through the outbox in memory: `cargo bench -p aether-outbox`.

#![allow(missing_docs, reason = "criterion_group! makes a public function")]
#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::hint::black_box;

use aether_outbox::{Limits, MemoryJournal, Outbox};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn memory(c: &mut Criterion) {
    let payload = [b'x'; 200];
    let mut group = c.benchmark_group("outbox in memory, 200 bytes");
    group.throughput(Throughput::Elements(1));

    let outbox = Outbox::new(MemoryJournal::new(Limits::default()));
    group.bench_function("append, take, acknowledge", |b| {
        b.iter(|| {
            outbox.append(black_box(&payload)).unwrap();
            for entry in outbox.next_after(None, 1) {
                outbox.acknowledge(entry.sequence);
            }
        });
    });

    let full = Outbox::new(MemoryJournal::new(Limits::default()));
    while full.stats().evicted == 0 {
        full.append(&payload).unwrap();
    }
    group.bench_function("append while full", |b| b.iter(|| full.append(black_box(&payload)).unwrap()));
    group.finish();
}

criterion_group!(benches, memory);
criterion_main!(benches);
