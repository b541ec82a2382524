//! Whatever happens, in whatever order: the disk, the requests and the end are as they have to be.
//!
//! ```text
//!  schedule ──▶ world: clocks, network ──▶ Provisioner ──▶ DirectoryStore on a simulated disk
//!                          │    ▲                                   │
//!                          ▼    │                                   ▼ after each call: what would a
//!                        a cloud of a page                 ledger     kill, a power cut leave?
//! ```
//!
//! 2,000 schedules, or as many as `AETHER_MODEL_CASES` says: 100,000 is the nightly setting. What fails is made as small as
//! possible, and its seed is kept in `tests/model/seeds.txt` and played first from then on.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod cloud;
mod ledger;
mod schedule;
mod world;

use proptest::test_runner::{Config, FileFailurePersistence, TestRunner};

#[test]
fn no_schedule_of_failures_costs_the_device_its_identity_or_the_means_to_get_one() {
    let cases = std::env::var("AETHER_MODEL_CASES").map_or(2000, |text| text.parse().expect("a number of schedules"));
    let config = Config {
        cases,
        max_shrink_iters: 20_000,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct("tests/model/seeds.txt"))),
        source_file: Some(file!()),
        ..Config::default()
    };
    let outcome = TestRunner::new(config).run(&schedule::scenario(), |scenario| {
        world::play(&scenario);
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}
