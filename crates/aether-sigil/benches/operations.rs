//! Cost of one read or write with its event, from 10 to 100,000 Sigils: `cargo bench -p aether-sigil`.
//!
//! Budget (docs/architecture.md): at most 500 ns on one core, flat in the number of Sigils.

#![allow(missing_docs, reason = "criterion_group! makes a public function")]
#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::{
    hint::black_box,
    sync::{Arc, Mutex},
};

use aether_sigil::{AnySigil, EventSink, Origin, SigilEvent, Value};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};

/// Takes an event over, as a queue would, and forgets the one before.
#[derive(Debug, Default)]
struct HandOver(Mutex<Option<SigilEvent>>);

impl EventSink for HandOver {
    fn accept(&self, event: SigilEvent) {
        *self.0.lock().unwrap() = Some(event);
    }
}

fn sigils(count: usize) -> Vec<AnySigil> {
    let sink = Arc::new(HandOver::default());
    let made = (0..count).map(|n| {
        let sigil = AnySigil::builder(&format!("ns=2;s=Plant.Sensor{n}"), Value::Double(0.0)).build().unwrap();
        sigil.attach_sink(sink.clone()).unwrap();
        sigil
    });
    made.collect()
}

fn operations(c: &mut Criterion) {
    let mut group = c.benchmark_group("sigil");
    for count in [10, 1_000, 100_000] {
        let sigils = sigils(count);
        // A stride that visits every Sigil, so that the processor's cache cannot hide their number.
        let mut at = 0;
        let mut next = || {
            at = (at + 7_919) % count;
            &sigils[at]
        };
        group.bench_function(BenchmarkId::new("read", count), |b| {
            b.iter(|| black_box(next().read_from(&Origin::CODE)));
        });
        group.bench_function(BenchmarkId::new("write", count), |b| {
            b.iter(|| next().write_from(black_box(Value::Double(1.5)), None, &Origin::CODE).unwrap());
        });
    }
    group.finish();

    let event = {
        let sink = Arc::new(HandOver::default());
        let sigil = AnySigil::builder("ns=2;s=Plant.Temperature", Value::Double(25.0)).build().unwrap();
        sigil.attach_sink(sink.clone()).unwrap();
        sigil.read_from(&Origin::CODE);
        sink.0.lock().unwrap().take().unwrap()
    };
    c.bench_function("event to JSON", |b| b.iter(|| black_box(&event).to_json()));
}

criterion_group!(benches, operations);
criterion_main!(benches);
