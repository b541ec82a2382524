//! What is handed over arrives, whatever happens to the connection.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{sync::Arc, time::Duration};

use aether_delivery::{Courier, CourierBuilder, Link, Pace};
use aether_mqtt::{
    ConnectError,
    testing::{FakeBroker, PublishReaction, options},
};
use aether_outbox::{Limits, MemoryJournal, Outbox};
use tokio::time::{Instant, timeout};

const SECOND: Duration = Duration::from_secs(1);

fn outbox(payloads: std::ops::Range<u32>) -> Arc<Outbox> {
    let outbox = Arc::new(Outbox::new(MemoryJournal::new(Limits::default())));
    append(&outbox, payloads);
    outbox
}

fn append(outbox: &Outbox, payloads: std::ops::Range<u32>) {
    for n in payloads {
        outbox.append(n.to_string().as_bytes()).unwrap();
    }
}

fn courier(broker: &FakeBroker, outbox: &Arc<Outbox>) -> CourierBuilder {
    Courier::builder(Arc::new(broker.connector()), options("press-3"), "press-3".parse().unwrap(), outbox.clone())
}

fn payloads(broker: &FakeBroker) -> Vec<u32> {
    broker.publishes().iter().map(|p| std::str::from_utf8(&p.payload).unwrap().parse().unwrap()).collect()
}

/// Waits for `condition`, for at most an hour of paused time.
async fn until(broker: &FakeBroker, condition: impl Fn(&FakeBroker) -> bool) {
    timeout(3600 * SECOND, broker.until(condition)).await.expect("the condition holds within an hour");
}

async fn until_empty(outbox: &Outbox) {
    timeout(3600 * SECOND, outbox.wait_empty()).await.expect("everything is acknowledged within an hour");
}

#[tokio::test(start_paused = true)]
async fn entries_are_published_in_order_and_removed_on_puback_only() {
    let (broker, outbox) = (FakeBroker::new(), outbox(0..3));
    broker.hold_acks();
    let courier = courier(&broker, &outbox).start();
    until(&broker, |b| b.publishes().len() == 3).await;
    assert_eq!(outbox.stats().waiting, 3, "sent is not delivered");
    assert_eq!(broker.release_some_acks(1), 1);
    append(&outbox, 3..5);
    until(&broker, |b| b.publishes().len() == 5).await;
    broker.release_acks();
    until_empty(&outbox).await;
    assert_eq!(payloads(&broker), [0, 1, 2, 3, 4]);
    assert!(broker.publishes().iter().all(|p| p.topic.as_str() == "press-3"));
    assert_eq!(courier.link(), Link::Up);
}

#[tokio::test(start_paused = true)]
async fn what_was_in_flight_when_the_connection_broke_is_sent_again() {
    let (broker, outbox) = (FakeBroker::new(), outbox(0..4));
    broker.hold_acks();
    let courier = courier(&broker, &outbox).start();
    until(&broker, |b| b.publishes().len() == 4).await;
    broker.release_some_acks(2);
    timeout(SECOND, outbox.wait_after(None)).await.unwrap();
    broker.hang_up();
    broker.release_acks();
    until_empty(&outbox).await;
    assert_eq!(payloads(&broker)[4..], [2, 3], "from the oldest unacknowledged one on");
    assert_eq!(broker.connects().len(), 2);
    assert_eq!(courier.stop(SECOND).await.acknowledged, 4);
}

#[tokio::test(start_paused = true)]
async fn the_observer_hears_of_a_connection_before_anything_is_published_over_it() {
    let (broker, outbox) = (FakeBroker::new(), outbox(0..1));
    let (heard, mut hears) = tokio::sync::mpsc::unbounded_channel();
    let seen = broker.clone();
    let courier = courier(&broker, &outbox).on_link(move |link| heard.send((link, seen.publishes().len())).unwrap());
    let courier = courier.start();
    until_empty(&outbox).await;
    courier.stop(SECOND).await;
    assert_eq!(hears.recv().await, Some((Link::Up, 0)));
    assert_eq!(hears.recv().await, Some((Link::Down, 1)));
}

#[tokio::test(start_paused = true)]
async fn no_more_than_the_window_is_unacknowledged() {
    let (broker, outbox) = (FakeBroker::new(), outbox(0..250));
    broker.hold_acks();
    let _courier = courier(&broker, &outbox).start();
    until(&broker, |b| b.publishes().len() == 100).await;
    append(&outbox, 250..260);
    let beyond = timeout(10 * SECOND, broker.until(|b| b.publishes().len() > 100)).await;
    assert!(beyond.is_err(), "a publish beyond the window");
    broker.release_acks();
    until_empty(&outbox).await;
    assert_eq!(payloads(&broker), (0..260).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_fails_is_tried_again_ever_more_slowly() {
    let (broker, outbox) = (FakeBroker::new(), outbox(0..1));
    broker.fail_connects((0..8).map(|_| ConnectError::Closed { endpoint: "gone:8883".to_owned() }));
    let began = Instant::now();
    let courier = courier(&broker, &outbox).start();
    until_empty(&outbox).await;
    assert_eq!(broker.connects().len(), 9);
    let took = began.elapsed();
    assert!(took >= 8 * SECOND, "at least a second between two attempts, but it took {took:?}");
    timeout(SECOND, courier.link_up()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_hangs_up_on_every_publish_is_not_tried_in_a_tight_loop() {
    let (broker, outbox) = (FakeBroker::new(), outbox(0..1));
    broker.on_publish(|_| PublishReaction::hang_up());
    let _courier = courier(&broker, &outbox).start();
    let tight = timeout(60 * SECOND, broker.until(|b| b.connects().len() > 60)).await;
    let attempts = broker.connects().len();
    assert!(tight.is_err() && attempts >= 2, "{attempts} attempts in a minute");
    assert_eq!(outbox.stats().waiting, 1);
}

#[tokio::test(start_paused = true)]
async fn publishes_keep_to_the_pace() {
    let (broker, outbox) = (FakeBroker::new(), outbox(0..1000));
    let began = Instant::now();
    let _courier = courier(&broker, &outbox).pace(Pace::per_second(100)).start();
    until_empty(&outbox).await;
    let took = began.elapsed().as_secs_f64();
    assert!((9.8..10.5).contains(&took), "1,000 events at 100 per second took {took} s");
}

#[tokio::test(start_paused = true)]
async fn stopping_sends_what_waits_and_says_goodbye() {
    let (broker, outbox) = (FakeBroker::new(), outbox(0..0));
    let courier = courier(&broker, &outbox).start();
    courier.link_up().await;
    append(&outbox, 0..300);
    let left = courier.stop(5 * SECOND).await;
    assert_eq!((left.waiting, left.acknowledged), (0, 300));
    assert_eq!(broker.disconnects().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn stopping_is_bounded_when_the_broker_acknowledges_nothing_or_is_gone() {
    let (broker, waiting) = (FakeBroker::new(), outbox(0..3));
    broker.hold_acks();
    let silent = courier(&broker, &waiting).start();
    silent.link_up().await;
    let began = Instant::now();
    assert_eq!(silent.stop(2 * SECOND).await.waiting, 3);
    assert!(began.elapsed() <= 4 * SECOND, "{:?}", began.elapsed());
    assert_eq!(broker.disconnects().len(), 1, "the goodbye is said all the same");

    let gone = FakeBroker::new();
    gone.fail_connects((0..1000).map(|_| ConnectError::Closed { endpoint: "gone:8883".to_owned() }));
    let courier = courier(&gone, &waiting).start();
    until(&gone, |b| !b.connects().is_empty()).await;
    let began = Instant::now();
    assert_eq!(courier.stop(10 * SECOND).await.waiting, 3);
    assert!(began.elapsed() <= 12 * SECOND, "{:?}", began.elapsed());

    let nothing = Arc::new(Outbox::new(MemoryJournal::new(Limits::default())));
    let courier = Courier::builder(Arc::new(gone.connector()), options("a"), "a".parse().unwrap(), nothing).start();
    let began = Instant::now();
    courier.stop(60 * SECOND).await;
    assert!(began.elapsed() <= SECOND, "where nothing waits there is nothing to wait for");
}

#[tokio::test(start_paused = true)]
async fn stopping_in_the_middle_of_a_long_pause_tries_again_while_there_is_time() {
    let (broker, outbox) = (FakeBroker::new(), outbox(0..3));
    // Ten failures bring the pauses to a minute and more.
    broker.fail_connects((0..10).map(|_| ConnectError::Closed { endpoint: "gone:8883".to_owned() }));
    let courier = courier(&broker, &outbox).start();
    until(&broker, |b| b.connects().len() == 10).await;
    assert_eq!(courier.stop(5 * SECOND).await.waiting, 0, "the broker is back, so everything is delivered");
    assert_eq!(payloads(&broker), [0, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_there_already_is_used_before_any_other() {
    let (broker, outbox) = (FakeBroker::new(), outbox(0..3));
    let session = aether_mqtt::Connector::connect(&broker.connector(), &options("press-3")).await.unwrap();
    let courier = courier(&broker, &outbox).session(session).start();
    until_empty(&outbox).await;
    assert_eq!(courier.link(), Link::Up);
    assert_eq!(broker.connects().len(), 1, "the one it was given");
    broker.hang_up();
    append(&outbox, 3..4);
    until_empty(&outbox).await;
    assert_eq!(broker.connects().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn refusals_in_a_row_are_counted_and_an_absent_network_is_none() {
    let (broker, outbox) = (FakeBroker::new(), outbox(0..1));
    let endpoint = || "localhost:8883".to_owned();
    broker.fail_connects((0..20).map(|_| ConnectError::Timeout { endpoint: endpoint(), within: SECOND }));
    let away = courier(&broker, &outbox).start();
    assert!(timeout(600 * SECOND, away.refused(1, Duration::ZERO)).await.is_err(), "nobody refused");
    drop(away);

    let broker = FakeBroker::new();
    broker.on_publish(|_| PublishReaction::hang_up());
    let began = Instant::now();
    let refused = courier(&broker, &outbox).start();
    timeout(36_000 * SECOND, refused.refused(5, 600 * SECOND)).await.expect("five hang-ups, none acknowledged");
    assert!(broker.connects().len() >= 5 && began.elapsed() >= 600 * SECOND);
    broker.on_publish(|_| PublishReaction::acknowledge());
    until_empty(&outbox).await;
}
