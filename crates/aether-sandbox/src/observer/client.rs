//! The client as its user sees it.

use std::net::SocketAddr;

use rmqtt_codec::types::{Publish, QoS};
use rmqtt_codec::v3::{Packet, SubscribeReturnCode};

use super::link::{Ack, Link};
use super::{Credentials, ObserverError};

/// An MQTT 3.1.1 client that shares no code with Aether's device side: for tests and for watching.
///
/// It connects once and never reconnects. A QoS 1 message is acknowledged when
/// [`next`](Self::next) hands it out, so a slow reader holds the broker back instead of filling
/// memory. Dropped, it goes without a goodbye.
#[derive(Debug)]
pub struct Observer {
    link: Link,
}

/// A received message.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message {
    /// Topic it was published to.
    pub topic: String,
    /// Its payload.
    pub payload: Vec<u8>,
}

impl Observer {
    /// Connects over mutual TLS with a clean session and waits for CONNACK, 10 s at most.
    ///
    /// The server certificate has to name the address; an unspecified address (`0.0.0.0`) stands
    /// for loopback. X.509 version 1 client certificates work.
    ///
    /// # Errors
    ///
    /// [`ObserverError`]; a broker that refuses the client by closing shows as
    /// [`ObserverError::HungUp`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a dropped call leaves no connection behind.
    pub async fn connect(
        address: SocketAddr,
        credentials: &Credentials,
        client_id: &str,
    ) -> Result<Self, ObserverError> {
        Ok(Self { link: Link::open(address, credentials, client_id).await? })
    }

    /// Subscribes with QoS 1 and waits for SUBACK, 10 s at most.
    ///
    /// # Errors
    ///
    /// [`ObserverError::SubscriptionRefused`], [`ObserverError::HungUp`] or
    /// [`ObserverError::TimedOut`].
    ///
    /// # Cancel safety
    ///
    /// Once dropped, the subscription may or may not stand.
    pub async fn subscribe(&self, filter: &str) -> Result<(), ObserverError> {
        let ask = |packet_id| Packet::Subscribe { packet_id, topic_filters: vec![(filter.into(), QoS::AtLeastOnce)] };
        match self.link.ask("SUBACK", ask).await? {
            Ack::Subscribed(status) if !status.contains(&SubscribeReturnCode::Failure) => Ok(()),
            Ack::Subscribed(_) | Ack::Published => {
                Err(ObserverError::SubscriptionRefused { filter: filter.to_owned() })
            }
        }
    }

    /// Publishes with QoS 1 and waits for PUBACK, 10 s at most.
    ///
    /// # Errors
    ///
    /// [`ObserverError::HungUp`] when the broker closes the connection instead, or
    /// [`ObserverError::TimedOut`].
    ///
    /// # Cancel safety
    ///
    /// Once dropped, the message may or may not have been published.
    pub async fn publish(&self, topic: &str, payload: &[u8]) -> Result<(), ObserverError> {
        let ask = |packet_id| {
            Packet::Publish(Box::new(Publish {
                dup: false,
                retain: false,
                qos: QoS::AtLeastOnce,
                topic: topic.into(),
                packet_id: Some(packet_id),
                payload: payload.to_vec().into(),
                properties: None,
            }))
        };
        self.link.ask("PUBACK", ask).await.map(|_| ())
    }

    /// Waits for the next message and acknowledges it; `None` once the connection is gone and all
    /// that came before has been handed out.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a dropped call loses no message.
    pub async fn next(&mut self) -> Option<Message> {
        let (message, packet_id) = self.link.next().await?;
        if let Some(packet_id) = packet_id {
            self.link.tell(Packet::PublishAck { packet_id });
        }
        Some(message)
    }

    /// Waits until the connection is gone, whoever ended it.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn closed(&self) {
        self.link.closed().await;
    }

    /// Says goodbye (DISCONNECT) and waits for the connection to close, 10 s at most.
    ///
    /// # Cancel safety
    ///
    /// Once dropped, the goodbye may or may not have been said.
    pub async fn disconnect(self) {
        self.link.tell(Packet::Disconnect);
        self.link.closed_in_time().await;
    }
}
