//! What every session promises, asked of the real connector and of the fake, so that the fake can be trusted.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use aether_mqtt::testing::{self, FakeBroker};
use aether_mqtt::{EndReason, MAX_PAYLOAD, MAX_UNACKNOWLEDGED, PublishError, Session, SubscribeError, Topic};
use async_trait::async_trait;
use rumqttc::{Packet, PubAck};
use support::{Broker, Peer, message, soon};

/// A broker the contract can be asked of. It grants every subscription at once.
#[async_trait]
trait World {
    /// Opens a session, with publishes held back without acknowledgement.
    async fn open(&mut self) -> Box<dyn Session>;
    /// Acknowledges the `count` oldest publishes.
    async fn acknowledge(&mut self, count: usize);
    async fn deliver(&mut self, topic: &str, payload: &[u8]);
    async fn hang_up(&mut self);
    /// Subscribes while the broker grants it.
    async fn subscribe(&mut self, session: &dyn Session, filter: &str) -> Result<(), SubscribeError>;
}

struct Real {
    broker: Broker,
    peer: Option<Peer>,
}

#[async_trait]
impl World for Real {
    async fn open(&mut self) -> Box<dyn Session> {
        let (session, peer) = self.broker.session(&self.broker.options()).await;
        self.peer = Some(peer);
        session
    }

    async fn acknowledge(&mut self, count: usize) {
        let peer = self.peer.as_mut().unwrap();
        let mut acknowledgements = Vec::new();
        for _ in 0..count {
            acknowledgements.push(Packet::PubAck(PubAck::new(peer.publish().await.pkid)));
        }
        peer.send_all(&acknowledgements).await;
    }

    async fn deliver(&mut self, topic: &str, payload: &[u8]) {
        self.peer.as_mut().unwrap().send(message(topic, payload)).await;
    }

    async fn hang_up(&mut self) {
        self.peer = None;
    }

    async fn subscribe(&mut self, session: &dyn Session, filter: &str) -> Result<(), SubscribeError> {
        let filter = filter.parse().unwrap();
        let peer = self.peer.as_mut().unwrap();
        let granting = async {
            let id = peer.subscribe().await;
            peer.grant(id).await;
        };
        tokio::join!(session.subscribe(&filter), granting).0
    }
}

struct Fake(FakeBroker);

#[async_trait]
impl World for Fake {
    async fn open(&mut self) -> Box<dyn Session> {
        use aether_mqtt::Connector as _;
        self.0.hold_acks();
        self.0.connector().connect(&testing::options("device-1")).await.unwrap()
    }

    async fn acknowledge(&mut self, count: usize) {
        assert_eq!(self.0.release_some_acks(count), count);
    }

    async fn deliver(&mut self, topic: &str, payload: &[u8]) {
        assert_eq!(self.0.deliver(&topic.parse().unwrap(), payload), 1);
    }

    async fn hang_up(&mut self) {
        self.0.hang_up();
    }

    async fn subscribe(&mut self, session: &dyn Session, filter: &str) -> Result<(), SubscribeError> {
        session.subscribe(&filter.parse().unwrap()).await
    }
}

fn topic() -> Topic {
    "line7-press3".parse().unwrap()
}

async fn tickets_resolve_in_order_of_acknowledgement(world: &mut dyn World) {
    let session = world.open().await;
    let one = session.publish(&topic(), Arc::from(*b"1")).unwrap();
    let two = session.publish(&topic(), Arc::from(*b"2")).unwrap();
    let three = session.publish(&topic(), Arc::from(*b"3")).unwrap();
    world.acknowledge(2).await;
    soon(one).await.unwrap();
    soon(two).await.unwrap();
    world.hang_up().await;
    assert!(matches!(soon(three).await, Err(PublishError::Ended(e)) if e.reason() == &EndReason::ClosedByPeer));
}

async fn limits_are_kept(world: &mut dyn World) {
    let session = world.open().await;
    let too_large = session.publish(&topic(), vec![0; MAX_PAYLOAD + 1].into());
    assert!(matches!(too_large, Err(PublishError::TooLarge { .. })));
    let tickets: Vec<_> =
        (0..MAX_UNACKNOWLEDGED).map(|_| session.publish(&topic(), Arc::from(*b"x")).unwrap()).collect();
    assert!(matches!(session.publish(&topic(), Arc::from(*b"x")), Err(PublishError::WindowFull { .. })));
    world.acknowledge(1).await;
    let mut tickets = tickets.into_iter();
    soon(tickets.next().unwrap()).await.unwrap();
    assert!(session.publish(&topic(), Arc::from(*b"x")).is_ok());
}

async fn messages_that_arrived_are_taken_before_the_end_is_told(world: &mut dyn World) {
    let session = world.open().await;
    soon(world.subscribe(&*session, "line7-press3/+")).await.unwrap();
    world.deliver("line7-press3/a", b"1").await;
    world.deliver("line7-press3/b", b"2").await;
    world.hang_up().await;
    soon(session.ended()).await;
    assert_eq!(soon(session.next()).await.unwrap().payload, b"1");
    assert_eq!(soon(session.next()).await.unwrap().topic.as_str(), "line7-press3/b");
    assert_eq!(soon(session.next()).await.unwrap_err().reason(), &EndReason::ClosedByPeer);
}

async fn the_end_is_final_and_told_to_all(world: &mut dyn World) {
    let session = world.open().await;
    let (told, told_too, ()) = soon(async { tokio::join!(session.ended(), session.next(), world.hang_up()) }).await;
    assert_eq!(told.reason(), &EndReason::ClosedByPeer);
    assert_eq!(told_too.unwrap_err().reason(), &EndReason::ClosedByPeer);
    session.disconnect(Duration::from_secs(1)).await;
    assert_eq!(soon(session.ended()).await.reason(), &EndReason::ClosedByPeer);
    assert!(matches!(session.publish(&topic(), Arc::from(*b"x")), Err(PublishError::Ended(_))));
    let filter = "a".parse().unwrap();
    assert!(matches!(soon(session.subscribe(&filter)).await, Err(SubscribeError::Ended(_))));
}

async fn a_goodbye_fails_what_is_open(world: &mut dyn World) {
    let session = world.open().await;
    let ticket = session.publish(&topic(), Arc::from(*b"x")).unwrap();
    soon(session.disconnect(Duration::from_secs(5))).await;
    assert!(matches!(soon(ticket).await, Err(PublishError::Ended(e)) if e.reason() == &EndReason::Disconnected));
    assert_eq!(soon(session.next()).await.unwrap_err().reason(), &EndReason::Disconnected);
}

/// Runs each clause against both worlds.
macro_rules! contract {
    ($($clause:ident)*) => {
        mod real {
            $(#[tokio::test]
            async fn $clause() {
                let broker = super::Broker::start().await;
                super::$clause(&mut super::Real { broker, peer: None }).await;
            })*
        }
        mod fake {
            $(#[tokio::test]
            async fn $clause() {
                super::$clause(&mut super::Fake(super::FakeBroker::new())).await;
            })*
        }
    };
}

contract! {
    tickets_resolve_in_order_of_acknowledgement
    limits_are_kept
    messages_that_arrived_are_taken_before_the_end_is_told
    the_end_is_final_and_told_to_all
    a_goodbye_fails_what_is_open
}
