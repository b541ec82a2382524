//! What a mailbox sends, keeps and drops.

use bytes::BytesMut;
use rmqtt_codec::v3::{Codec, Packet};
use tokio_util::codec::Decoder;

use super::*;
use crate::broker::wire::{Capacity, Taken};

fn wire(version: Version) -> Arc<Wire> {
    Arc::new(Wire::new(Capacity { version, receive_max: u16::MAX, max_packet: None }, &Limits::unpaced()))
}

fn entry(number: usize, qos: Qos) -> Entry {
    let message = Message::of_service("t", number.to_string(), qos, SystemTime::UNIX_EPOCH);
    Entry { message: Arc::new(message), qos, retain: false, passing: false, number: 0, packet_id: None }
}

fn push(mailbox: &Mailbox, numbers: std::ops::Range<usize>, qos: Qos) {
    for number in numbers {
        mailbox.push(entry(number, qos), &Limits::default(), || number as u64);
    }
}

/// Payload, packet id and DUP of what goes out now.
fn sent(mailbox: &Mailbox, wire: &Arc<Wire>, limits: &Limits) -> Vec<(String, u16, bool)> {
    mailbox.advance(wire, limits, SystemTime::UNIX_EPOCH, |_| true);
    let mut bytes = match wire.take() {
        Taken::Bytes(bytes) => bytes,
        Taken::Nothing | Taken::Closed => BytesMut::new(),
    };
    let mut codec = Codec::new(0);
    let packets = std::iter::from_fn(|| codec.decode(&mut bytes).unwrap().map(|(packet, _)| packet));
    packets
        .map(|packet| {
            let Packet::Publish(publish) = packet else { panic!("{packet:?}") };
            let text = String::from_utf8(publish.payload.to_vec()).unwrap();
            (text, publish.packet_id.map_or(0, NonZeroU16::get), publish.dup)
        })
        .collect()
}

fn linked(version: Version) -> (Mailbox, Arc<Wire>) {
    let (mailbox, wire) = (Mailbox::default(), wire(version));
    mailbox.attach(&wire);
    (mailbox, wire)
}

#[tokio::test]
async fn at_most_a_hundred_deliveries_are_unacknowledged_and_order_is_kept() {
    let (mailbox, wire) = linked(Version::V3);
    push(&mailbox, 0..150, Qos::AtLeastOnce);
    let limits = Limits::default();
    assert_eq!(sent(&mailbox, &wire, &limits).len(), 100);
    assert_eq!(mailbox.acknowledge(NonZeroU16::new(1).unwrap()), Some(0));
    assert_eq!(mailbox.acknowledge(NonZeroU16::new(1).unwrap()), None);
    assert_eq!(sent(&mailbox, &wire, &limits), [("100".to_owned(), 101, false)]);
}

#[tokio::test]
async fn what_is_for_one_connection_is_not_for_the_next() {
    let (mailbox, first) = linked(Version::V3);
    let passing = |number| Entry { passing: true, ..entry(number, Qos::AtLeastOnce) };
    let limits = Limits { in_flight: 1, ..Limits::unpaced() };
    mailbox.push(passing(0), &limits, || 0);
    mailbox.push(passing(1), &limits, || 0);
    push(&mailbox, 2..3, Qos::AtLeastOnce);
    assert_eq!(sent(&mailbox, &first, &limits), [("0".to_owned(), 1, false)]);
    let second = wire(Version::V3);
    mailbox.attach(&second);
    assert_eq!(sent(&mailbox, &second, &limits), [("2".to_owned(), 2, false)]);
    assert_eq!(mailbox.depth(), 1);
    let held = |state: MutexGuard<'_, State>| (state.bytes, state.taken_ids.len());
    assert_eq!(held(mailbox.state()), (0, 1));
    mailbox.push(passing(3), &limits, || 0);
    mailbox.detach(&second);
    assert_eq!(mailbox.depth(), 1);
}

#[tokio::test]
async fn a_full_mailbox_drops_and_counts() {
    let (mailbox, _wire) = linked(Version::V3);
    push(&mailbox, 0..1007, Qos::AtLeastOnce);
    assert_eq!((mailbox.dropped(), mailbox.depth()), (7, 1000));
}

#[tokio::test(start_paused = true)]
async fn a_crowded_mailbox_has_room_once_its_client_takes_messages_or_is_known_to_take_none() {
    let (mailbox, wire) = linked(Version::V3);
    let limits = Limits::default();
    let push = |count: usize| {
        let pushed = (0..count).map(|_| mailbox.push(entry(0, Qos::AtLeastOnce), &limits, || 0));
        pushed.filter(|crowded| *crowded).count()
    };
    assert_eq!(push(126), 1);
    let waits = async { tokio::join!(mailbox.room(&limits), async { sent(&mailbox, &wire, &limits).len() }).1 };
    assert_eq!(waits.await, 100);
    assert_eq!(push(1000), 901, "also those that do not fit");
    tokio::time::advance(STALLED).await;
    assert_eq!(push(1), 0);
    mailbox.room(&limits).await;
}

#[tokio::test]
async fn packet_ids_in_use_are_not_given_again() {
    let (mailbox, wire) = linked(Version::V3);
    mailbox.state().last_id = u16::MAX - 1;
    push(&mailbox, 0..3, Qos::AtLeastOnce);
    let ids = |sent: Vec<(String, u16, bool)>| sent.iter().map(|(_, id, _)| *id).collect::<Vec<_>>();
    assert_eq!(ids(sent(&mailbox, &wire, &Limits::default())), [65535, 1, 2]);
    mailbox.state().last_id = 0;
    push(&mailbox, 3..4, Qos::AtLeastOnce);
    assert_eq!(ids(sent(&mailbox, &wire, &Limits::default())), [3]);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_comes_back_gets_the_unacknowledged_first_and_ten_a_second() {
    let (mailbox, first) = linked(Version::V3);
    let limits = Limits::default();
    push(&mailbox, 0..2, Qos::AtLeastOnce);
    assert_eq!(sent(&mailbox, &first, &limits).len(), 2);
    mailbox.detach(&first);
    push(&mailbox, 2..3, Qos::AtLeastOnce);
    push(&mailbox, 9..10, Qos::AtMostOnce);
    let second = wire(Version::V3);
    mailbox.attach(&second);
    push(&mailbox, 3..4, Qos::AtLeastOnce);
    // The stored have their pace; what is new passes them, as AWS gives no order.
    let expected = [("0".to_owned(), 1, true), ("3".to_owned(), 3, false)];
    assert_eq!(sent(&mailbox, &second, &limits), expected);
    tokio::time::advance(Duration::from_millis(100)).await;
    assert_eq!(sent(&mailbox, &second, &limits), [("1".to_owned(), 2, true)]);
    tokio::time::advance(Duration::from_millis(99)).await;
    assert!(sent(&mailbox, &second, &limits).is_empty());
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(sent(&mailbox, &second, &limits), [("2".to_owned(), 4, false)]);
    assert!(sent(&mailbox, &first, &limits).is_empty(), "the old connection gets nothing");
}

#[tokio::test(start_paused = true)]
async fn the_unacknowledged_are_sent_again_on_3_1_1_and_not_on_5() {
    let limits = Limits::default();
    for (version, again) in [(Version::V3, 1), (Version::V5, 0)] {
        let (mailbox, wire) = linked(version);
        push(&mailbox, 0..1, Qos::AtLeastOnce);
        let advanced = mailbox.advance(&wire, &limits, SystemTime::UNIX_EPOCH, |_| true);
        assert!(advanced.done.is_empty());
        let _ = wire.take();
        tokio::time::advance(limits.redelivery_after).await;
        mailbox.advance(&wire, &limits, SystemTime::UNIX_EPOCH, |_| true);
        assert_eq!(usize::from(wire.take() != Taken::Nothing), again, "{version:?}");
    }
    let (mailbox, wire) = linked(Version::V3);
    push(&mailbox, 7..8, Qos::AtLeastOnce);
    assert_eq!(sent(&mailbox, &wire, &limits).len(), 1);
    tokio::time::advance(limits.redelivery_after).await;
    let hour_later = SystemTime::UNIX_EPOCH + limits.redelivery_for;
    assert_eq!(mailbox.advance(&wire, &limits, hour_later, |_| true).done, [7]);
    assert_eq!((mailbox.dropped(), mailbox.depth()), (1, 0));
}

#[tokio::test]
async fn an_expired_message_is_left_out() {
    let (mailbox, wire) = linked(Version::V3);
    let expired = Message { expires: Some(SystemTime::UNIX_EPOCH), ..(*entry(0, Qos::AtLeastOnce).message).clone() };
    let entry = Entry { message: Arc::new(expired), ..entry(0, Qos::AtLeastOnce) };
    mailbox.push(entry, &Limits::default(), || 5);
    let advanced = mailbox.advance(&wire, &Limits::default(), SystemTime::UNIX_EPOCH, |_| true);
    assert_eq!((advanced.done, mailbox.depth()), (vec![5], 0));
    assert_eq!(wire.take(), Taken::Nothing);
}
