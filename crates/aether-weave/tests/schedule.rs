//! The schedule and the status of Weaves, under paused time.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};

use aether_weave::{CallbackError, InvalidWeave, Status, Weave, WeaveSet};
use tokio::{
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
    time::{Instant, sleep},
};

const CYCLE: Duration = Duration::from_millis(100);

/// A Weave whose n-th cycle takes as long as `cost` says, and the instants of its releases.
fn weave(label: &str, cost: impl Fn(u32) -> Duration + Send + Sync + 'static) -> (Weave, UnboundedReceiver<Duration>) {
    let (released, releases) = unbounded_channel();
    let (start, count, cost) = (Instant::now(), Arc::new(AtomicU32::new(0)), Arc::new(cost));
    let weave = Weave::builder(label, CYCLE, move || {
        let (released, count, cost) = (released.clone(), Arc::clone(&count), Arc::clone(&cost));
        async move {
            released.send(start.elapsed()).ok();
            sleep(cost(count.fetch_add(1, SeqCst))).await;
            Ok::<_, CallbackError>(())
        }
    });
    (weave.build().unwrap(), releases)
}

async fn at(releases: &mut UnboundedReceiver<Duration>) -> u128 {
    releases.recv().await.unwrap().as_millis()
}

#[tokio::test(start_paused = true)]
async fn releases_keep_to_the_absolute_schedule_however_long_a_cycle_takes() {
    let (weave, mut releases) = weave("steady", |n| Duration::from_millis(u64::from(n % 3) * 30));
    let running = WeaveSet::new([weave]).unwrap().start();
    for expected in [0, 100, 200, 300, 400] {
        assert_eq!(at(&mut releases).await, expected);
    }
    assert_eq!(running.info("steady").unwrap().status, Status::Running);
}

#[tokio::test(start_paused = true)]
async fn a_cycle_that_is_too_long_skips_releases_and_one_clean_cycle_ends_the_overrun() {
    let (weave, mut releases) = weave("slow", |n| Duration::from_millis(if n == 1 { 250 } else { 1 }));
    let running = WeaveSet::new([weave]).unwrap().start();
    assert_eq!((at(&mut releases).await, at(&mut releases).await), (0, 100));
    // The second cycle runs from 100 to 350: the releases at 200 and 300 are gone.
    assert_eq!(at(&mut releases).await, 400);
    let info = running.info("slow").unwrap();
    assert_eq!((info.status, info.skipped, info.cycles), (Status::Overrun, 2, 2));
    assert_eq!(at(&mut releases).await, 500);
    assert_eq!(running.info("slow").unwrap().status, Status::Running);
}

#[tokio::test(start_paused = true)]
async fn a_cycle_that_ends_exactly_at_the_next_release_is_in_time() {
    let (weave, mut releases) = weave("exact", |_| CYCLE);
    let running = WeaveSet::new([weave]).unwrap().start();
    assert_eq!((at(&mut releases).await, at(&mut releases).await), (0, 100));
    assert_eq!(running.info("exact").unwrap().skipped, 0);
}

#[tokio::test(start_paused = true)]
async fn a_weave_that_fails_or_panics_goes_on_and_never_touches_another() {
    let count = Arc::new(AtomicU32::new(0));
    let (done, mut dones) = unbounded_channel();
    let bad = Weave::builder("bad", CYCLE, move || {
        let (n, done) = (count.fetch_add(1, SeqCst), done.clone());
        async move {
            done.send(n).ok();
            match n {
                0 => Err("sensor unplugged".to_owned()),
                1 => panic!("a bug"),
                _ => Ok(()),
            }
        }
    });
    let (good, mut releases) = weave("good", |_| Duration::from_millis(1));
    let running = WeaveSet::new([bad.build().unwrap(), good]).unwrap().start();
    for cycle in 0..3 {
        assert_eq!(dones.recv().await, Some(cycle));
        assert_eq!(at(&mut releases).await, u128::from(cycle) * 100);
        sleep(Duration::from_millis(10)).await;
        let expected = if cycle < 2 { Status::Failed } else { Status::Running };
        assert_eq!(running.info("bad").unwrap().status, expected, "cycle {cycle}");
        assert_eq!(running.info("good").unwrap().status, Status::Running);
    }
    assert_eq!(running.info("bad").unwrap().failures, 2);
}

#[tokio::test(start_paused = true)]
async fn a_panic_before_the_future_exists_is_a_failed_cycle_too() {
    let weave = Weave::builder("early", CYCLE, || {
        if true {
            panic!("before the future");
        }
        async { Ok::<_, CallbackError>(()) }
    });
    let running = WeaveSet::new([weave.build().unwrap()]).unwrap().start();
    sleep(Duration::from_millis(350)).await;
    let info = running.info("early").unwrap();
    assert_eq!((info.status, info.failures), (Status::Failed, 4));
}

#[tokio::test(start_paused = true)]
async fn stopping_waits_for_a_cycle_within_the_bound_and_then_ends_it() {
    let (quick, mut releases) = weave("quick", |_| Duration::from_millis(50));
    let hung = Weave::builder("hung", CYCLE, pending::<Result<(), CallbackError>>).build().unwrap();
    let running = WeaveSet::new([quick, hung]).unwrap().start();
    at(&mut releases).await;
    assert_eq!(running.info("quick").unwrap().next_cycle, CYCLE);
    let began = Instant::now();
    let ended = running.stop(Duration::from_secs(1)).await;
    assert_eq!(ended.iter().map(|l| l.as_str()).collect::<Vec<_>>(), ["hung"]);
    assert_eq!(began.elapsed(), Duration::from_secs(1));
    assert!(releases.recv().await.is_none(), "no cycle is released after the stop");
}

#[test]
fn bad_settings_are_refused_with_the_value_found() {
    let build = |label: &str, cycle| Weave::builder(label, cycle, || async { Ok::<_, CallbackError>(()) }).build();
    assert!(matches!(build("", CYCLE), Err(InvalidWeave::Label { .. })));
    assert!(matches!(build("a\nb", CYCLE), Err(InvalidWeave::Label { .. })));
    let error = build("fast", Duration::from_micros(10)).unwrap_err().to_string();
    assert!(error.contains("`fast`") && error.contains("10µs") && error.contains("1ms"), "{error}");

    let twice = WeaveSet::new([build("a", CYCLE).unwrap(), build("b", CYCLE).unwrap(), build("a", CYCLE).unwrap()]);
    assert_eq!(twice.unwrap_err().to_string(), "weaves 1 and 3 both have the label `a`; each needs its own");
}
