//! What every journal promises, and what the one in memory adds.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{sync::Arc, time::Duration};

use aether_outbox::{AppendError, Limits, MemoryJournal, Outbox, Sequence};
use tokio::time::timeout;

fn outbox(limits: Limits) -> Outbox {
    Outbox::new(MemoryJournal::new(limits))
}

fn fill(outbox: &Outbox, payloads: &[&str]) -> Vec<Sequence> {
    payloads.iter().map(|p| outbox.append(p.as_bytes()).unwrap()).collect()
}

#[track_caller]
fn check(outbox: &Outbox, after: Option<Sequence>, max: usize, expected: &[&str]) {
    let entries = outbox.next_after(after, max);
    let found: Vec<_> = entries.iter().map(|e| std::str::from_utf8(&e.payload).unwrap()).collect();
    assert_eq!(found, expected);
}

#[test]
fn entries_come_back_in_order_until_they_are_acknowledged() {
    let outbox = outbox(Limits::default());
    let s = fill(&outbox, &["a", "b", "c", "d"]);
    assert_eq!(s.iter().map(|s| s.get()).collect::<Vec<_>>(), [1, 2, 3, 4]);
    check(&outbox, None, 2, &["a", "b"]);
    check(&outbox, Some(s[1]), 10, &["c", "d"]);
    outbox.acknowledge(s[2]);
    outbox.acknowledge(s[2]);
    check(&outbox, None, 10, &["a", "b", "d"]);
    check(&outbox, Some(s[1]), 10, &["d"]);
    outbox.acknowledge(s[0]);
    outbox.acknowledge(s[1]);
    check(&outbox, Some(s[0]), 10, &["d"]);
    outbox.acknowledge(s[3]);
    check(&outbox, None, 10, &[]);
    let stats = outbox.stats();
    assert_eq!((stats.waiting, stats.waiting_bytes, stats.acknowledged, stats.evicted), (0, 0, 4, 0));
}

#[test]
fn a_full_journal_evicts_the_oldest_and_counts_it() {
    let by_count = outbox(Limits::default().entries(2));
    let s = fill(&by_count, &["a", "b", "c"]);
    check(&by_count, None, 10, &["b", "c"]);
    by_count.acknowledge(s[0]);
    assert_eq!((by_count.stats().evicted, by_count.stats().acknowledged), (1, 0));

    let by_bytes = outbox(Limits::default().bytes(10));
    fill(&by_bytes, &["aaaa", "bbbb", "cccc"]);
    check(&by_bytes, None, 10, &["bbbb", "cccc"]);
    fill(&by_bytes, &["a payload larger than the whole bound"]);
    check(&by_bytes, None, 10, &["a payload larger than the whole bound"]);
    assert_eq!(by_bytes.stats().evicted, 3);
}

#[test]
fn an_entry_acknowledged_out_of_order_does_not_count_against_the_bounds() {
    let outbox = outbox(Limits::default().entries(2));
    let s = fill(&outbox, &["a", "b"]);
    outbox.acknowledge(s[1]);
    fill(&outbox, &["c"]);
    check(&outbox, None, 10, &["a", "c"]);
    assert_eq!(outbox.stats().evicted, 0);
    fill(&outbox, &["d"]);
    check(&outbox, None, 10, &["c", "d"]);
}

#[test]
fn a_payload_that_is_too_large_is_refused_and_nothing_is_evicted_for_it() {
    let outbox = outbox(Limits::default().payload(3));
    fill(&outbox, &["abc"]);
    let refused = outbox.append(b"abcd");
    assert_eq!(refused, Err(AppendError::TooLarge { found: 4, limit: 3 }));
    assert_eq!((outbox.stats().waiting, outbox.stats().refused), (1, 1));
}

#[tokio::test]
async fn a_sender_waits_for_the_next_entry_and_for_the_last_acknowledgement() {
    let outbox = Arc::new(outbox(Limits::default()));
    let second = Duration::from_secs(1);
    timeout(second, outbox.wait_empty()).await.expect("an empty outbox does not wait");
    let sender = tokio::spawn({
        let outbox = Arc::clone(&outbox);
        async move {
            outbox.wait_after(None).await;
            let first = outbox.next_after(None, 1)[0].sequence;
            outbox.wait_after(Some(first)).await;
            for entry in outbox.next_after(None, 10) {
                outbox.acknowledge(entry.sequence);
            }
        }
    });
    fill(&outbox, &["a"]);
    tokio::task::yield_now().await;
    fill(&outbox, &["b"]);
    timeout(second, outbox.wait_empty()).await.unwrap();
    sender.await.unwrap();
}
