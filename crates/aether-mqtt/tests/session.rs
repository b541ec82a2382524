//! A session against a broker whose every packet the test decides.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod support;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use aether_mqtt::{
    EndReason, MAX_PAYLOAD, MAX_UNACKNOWLEDGED, PublishError, PublishTicket, Session, SubscribeError, Topic,
};
use rumqttc::{Packet, PubAck, QoS, SubAck, SubscribeReasonCode};
use support::{Broker, message, soon};

fn topic() -> Topic {
    "line7-press3".parse().unwrap()
}

fn is_pending(ticket: &mut PublishTicket) -> bool {
    Pin::new(ticket).poll(&mut Context::from_waker(Waker::noop())).is_pending()
}

fn publish(session: &dyn Session, payload: impl AsRef<[u8]>) -> PublishTicket {
    session.publish(&topic(), Arc::from(payload.as_ref())).unwrap()
}

#[tokio::test]
async fn a_publish_resolves_on_its_puback_and_not_before() {
    let broker = Broker::start().await;
    let (session, mut peer) = broker.session(&broker.options()).await;
    let mut ticket = publish(&*session, "21.5");
    let arrived = peer.publish().await;
    assert_eq!((arrived.topic.as_str(), &arrived.payload[..]), ("line7-press3", &b"21.5"[..]));
    assert_eq!((arrived.qos, arrived.retain, arrived.dup), (QoS::AtLeastOnce, false, false));

    // Something else arrives from the broker, and the ticket stays open.
    peer.send(message("other", b"x")).await;
    soon(session.next()).await.unwrap();
    assert!(is_pending(&mut ticket));
    peer.acknowledge(arrived.pkid).await;
    soon(ticket).await.unwrap();
}

#[tokio::test]
async fn pubacks_out_of_order_resolve_each_its_own_ticket() {
    let broker = Broker::start().await;
    let (session, mut peer) = broker.session(&broker.options()).await;
    let mut first = publish(&*session, "1");
    let mut second = publish(&*session, "2");
    let third = publish(&*session, "3");
    let ids = [peer.publish().await.pkid, peer.publish().await.pkid, peer.publish().await.pkid];

    peer.acknowledge(ids[2]).await;
    soon(third).await.unwrap();
    assert!(is_pending(&mut first) && is_pending(&mut second));
    peer.acknowledge(ids[0]).await;
    soon(first).await.unwrap();
    assert!(is_pending(&mut second));
    peer.acknowledge(ids[1]).await;
    soon(second).await.unwrap();
}

#[tokio::test]
async fn one_late_acknowledgement_never_mixes_up_the_others() {
    let broker = Broker::start().await;
    let (session, mut peer) = broker.session(&broker.options()).await;
    let mut late = publish(&*session, "0");
    let late_id = peer.publish().await.pkid;
    // The packet ids go round: at last the library meets the one still in use and has to wait for it.
    for n in 1..MAX_UNACKNOWLEDGED + 8 {
        let ticket = publish(&*session, n.to_string());
        let arrived = peer.publish().await;
        assert_eq!(arrived.payload, n.to_string());
        peer.acknowledge(arrived.pkid).await;
        soon(ticket).await.unwrap();
    }
    let mut colliding = publish(&*session, "colliding");
    let mut behind = publish(&*session, "behind");
    assert!(is_pending(&mut late) && is_pending(&mut colliding) && is_pending(&mut behind));
    peer.acknowledge(late_id).await;
    soon(late).await.unwrap();

    let arrived = peer.publish().await;
    assert_eq!((&arrived.payload[..], arrived.pkid), (&b"colliding"[..], late_id));
    let next = peer.publish().await;
    assert_eq!(&next.payload[..], b"behind");
    peer.acknowledge(next.pkid).await;
    soon(behind).await.unwrap();
    assert!(is_pending(&mut colliding));
    peer.acknowledge(arrived.pkid).await;
    soon(colliding).await.unwrap();
}

#[tokio::test]
async fn a_hang_up_ends_the_session_and_every_open_ticket() {
    let broker = Broker::start().await;
    let (session, mut peer) = broker.session(&broker.options()).await;
    let tickets = [publish(&*session, "1"), publish(&*session, "2")];
    peer.publish().await;
    drop(peer);

    assert_eq!(soon(session.ended()).await.reason(), &EndReason::ClosedByPeer);
    for ticket in tickets {
        assert!(matches!(soon(ticket).await, Err(PublishError::Ended(e)) if e.reason() == &EndReason::ClosedByPeer));
    }
    assert_eq!(soon(session.next()).await.unwrap_err().reason(), &EndReason::ClosedByPeer);
    assert!(matches!(session.publish(&topic(), Arc::from(*b"3")), Err(PublishError::Ended(_))));
    let filter = "a".parse().unwrap();
    assert!(matches!(soon(session.subscribe(&filter)).await, Err(SubscribeError::Ended(_))));
    assert_eq!(soon(session.ended()).await.reason(), &EndReason::ClosedByPeer);
}

#[tokio::test]
async fn what_arrives_together_with_the_hang_up_still_counts() {
    let broker = Broker::start().await;
    let (session, mut peer) = broker.session(&broker.options()).await;
    let ticket = publish(&*session, "1");
    let id = peer.publish().await.pkid;
    peer.send_all(&[message("line7-press3/a", b"last words"), Packet::PubAck(PubAck::new(id))]).await;
    drop(peer);

    soon(ticket).await.unwrap();
    assert_eq!(soon(session.next()).await.unwrap().payload, b"last words");
    assert_eq!(soon(session.next()).await.unwrap_err().reason(), &EndReason::ClosedByPeer);
}

#[tokio::test]
async fn a_broker_that_stops_acknowledging_is_dropped() {
    let broker = Broker::start().await;
    let after = Duration::from_millis(60);
    let (session, mut peer) = broker.session(&broker.options().ack_timeout(after)).await;
    let answered = publish(&*session, "1");
    let id = peer.publish().await.pkid;
    peer.acknowledge(id).await;
    soon(answered).await.unwrap();

    let ticket = publish(&*session, "2");
    peer.publish().await;
    assert_eq!(soon(session.ended()).await.reason(), &EndReason::AckTimeout { after });
    assert!(soon(ticket).await.is_err());
    assert_eq!(peer.packet().await, None, "the connection is closed");
}

#[tokio::test]
async fn a_subscribe_waits_for_its_suback() {
    let broker = Broker::start().await;
    let (session, mut peer) = broker.session(&broker.options()).await;
    let (one, other) = ("line7-press3/#".parse().unwrap(), "forbidden".parse().unwrap());
    let serving = async {
        let (first, second) = (peer.subscribe().await, peer.subscribe().await);
        peer.send(Packet::SubAck(SubAck::new(second, vec![SubscribeReasonCode::Failure]))).await;
        peer.grant(first).await;
        peer.send(message("line7-press3/a", b"hello")).await;
    };
    let (granted, refused, ()) =
        soon(async { tokio::join!(session.subscribe(&one), session.subscribe(&other), serving) }).await;
    granted.unwrap();
    assert!(matches!(refused, Err(SubscribeError::Refused { filter }) if filter == "forbidden"));
    let received = soon(session.next()).await.unwrap();
    assert_eq!((received.topic.as_str(), received.payload), ("line7-press3/a", b"hello".to_vec()));
}

#[tokio::test]
async fn more_subscribes_at_once_than_places_all_get_through() {
    let broker = Broker::start().await;
    let (session, mut peer) = broker.session(&broker.options()).await;
    let session: Arc<dyn Session> = Arc::from(session);
    let subscribing: Vec<_> = (0..30)
        .map(|n| {
            let (session, filter) = (Arc::clone(&session), format!("a/{n}").parse().unwrap());
            tokio::spawn(async move { session.subscribe(&filter).await })
        })
        .collect();
    for _ in 0..30 {
        let id = peer.subscribe().await;
        peer.grant(id).await;
    }
    for one in subscribing {
        soon(one).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn subscribes_given_up_leave_the_whole_window_to_publishes() {
    let broker = Broker::start().await;
    let (session, mut peer) = broker.session(&broker.options()).await;
    let filter = "a".parse().unwrap();
    for _ in 0..30 {
        let mut given_up = session.subscribe(&filter);
        assert!(given_up.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    let tickets: Vec<_> = (0..MAX_UNACKNOWLEDGED).map(|n| publish(&*session, n.to_string())).collect();
    let mut acknowledged = 0;
    while acknowledged < tickets.len() {
        match peer.packet().await {
            Some(Packet::Publish(arrived)) => {
                peer.acknowledge(arrived.pkid).await;
                acknowledged += 1;
            }
            Some(Packet::Subscribe(_)) => {}
            other => panic!("{other:?}"),
        }
    }
    for ticket in tickets {
        soon(ticket).await.unwrap();
    }
}

#[tokio::test]
async fn the_window_is_a_hundred_and_opens_with_each_acknowledgement() {
    let broker = Broker::start().await;
    let (session, mut peer) = broker.session(&broker.options()).await;
    let mut tickets: Vec<_> = (0..MAX_UNACKNOWLEDGED).map(|n| publish(&*session, n.to_string())).collect();
    let refused = session.publish(&topic(), Arc::from(*b"one more"));
    assert!(matches!(refused, Err(PublishError::WindowFull { limit: MAX_UNACKNOWLEDGED })));

    let first = peer.publish().await;
    peer.acknowledge(first.pkid).await;
    soon(tickets.remove(0)).await.unwrap();
    tickets.push(publish(&*session, "one more"));
    for _ in 0..tickets.len() {
        let id = peer.publish().await.pkid;
        peer.acknowledge(id).await;
    }
    for ticket in tickets {
        soon(ticket).await.unwrap();
    }
}

#[tokio::test]
async fn the_largest_payload_passes_and_a_larger_one_is_refused_before_it_is_sent() {
    let broker = Broker::start().await;
    let (session, mut peer) = broker.session(&broker.options()).await;
    let too_large = session.publish(&topic(), vec![0; MAX_PAYLOAD + 1].into());
    assert!(matches!(too_large, Err(PublishError::TooLarge { bytes: 131_073, limit: MAX_PAYLOAD })));

    let longest: Topic = "x".repeat(Topic::MAX_LEN).parse().unwrap();
    let ticket = session.publish(&longest, vec![7; MAX_PAYLOAD].into()).unwrap();
    let arrived = peer.publish().await;
    assert_eq!(arrived.payload.len(), MAX_PAYLOAD);
    peer.acknowledge(arrived.pkid).await;
    peer.send(message(longest.as_str(), &vec![8; MAX_PAYLOAD])).await;
    soon(ticket).await.unwrap();
    assert_eq!(soon(session.next()).await.unwrap().payload.len(), MAX_PAYLOAD);
}

#[tokio::test]
async fn a_disconnect_comes_after_what_was_handed_over() {
    let broker = Broker::start().await;
    let (session, mut peer) = broker.session(&broker.options()).await;
    let ticket = publish(&*session, "1");
    let leaving = async {
        session.disconnect(Duration::from_secs(5)).await;
        session.publish(&topic(), Arc::from(*b"too late")).err()
    };
    let (refused, publish, goodbye) = soon(async {
        let (refused, peer) = tokio::join!(leaving, async { (peer.publish().await, peer.packet().await) });
        (refused, peer.0, peer.1)
    })
    .await;
    assert_eq!((&publish.payload[..], goodbye), (&b"1"[..], Some(Packet::Disconnect)));
    assert!(matches!(refused, Some(PublishError::Ended(_))));
    assert_eq!(soon(session.ended()).await.reason(), &EndReason::Disconnected);
    assert!(matches!(soon(ticket).await, Err(PublishError::Ended(e)) if e.reason() == &EndReason::Disconnected));
}

#[tokio::test]
async fn a_dropped_session_closes_its_connection() {
    let broker = Broker::start().await;
    let (session, mut peer) = broker.session(&broker.options()).await;
    let ticket = publish(&*session, "1");
    drop(session);
    assert!(matches!(soon(ticket).await, Err(PublishError::Ended(e)) if e.reason() == &EndReason::Disconnected));
    while let Some(packet) = peer.packet().await {
        assert!(matches!(packet, Packet::Publish(_)), "{packet:?}");
    }
}

#[tokio::test]
async fn messages_nobody_takes_end_the_session_rather_than_fill_the_memory() {
    let broker = Broker::start().await;
    let (session, mut peer) = broker.session(&broker.options()).await;
    let flood: Vec<Packet> = (0..300).map(|_| message("a", b"x")).collect();
    peer.send_all(&flood).await;
    assert_eq!(soon(session.ended()).await.reason(), &EndReason::Overflow { waiting: 256 });
    for _ in 0..256 {
        soon(session.next()).await.unwrap();
    }
    assert!(soon(session.next()).await.is_err());
}

#[tokio::test]
async fn nonsense_from_the_broker_ends_the_session() {
    let broker = Broker::start().await;
    let (session, mut peer) = broker.session(&broker.options()).await;
    peer.acknowledge(77).await;
    assert_eq!(soon(session.ended()).await.reason(), &EndReason::Protocol);
}
