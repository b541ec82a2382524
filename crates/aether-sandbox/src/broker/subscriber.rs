//! One MQTT session: subscriptions and messages, with or without a connection.

use std::collections::HashMap;
use std::num::NonZeroU16;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use super::client::Client;
use super::limits::Limits;
use super::mailbox::{Entry, Mailbox};
use super::message::{Kept, Message, Qos, from_ms, to_ms};
use super::sessions::{KeptEntry, KeptSession, Options, SessionStore};
use super::topic;
use crate::AuditEvent;

/// One MQTT session.
#[derive(Debug)]
pub(super) struct Subscriber {
    pub(super) client_id: String,
    /// Names it among the subscriptions.
    pub(super) number: u64,
    pub(super) mailbox: Mailbox,
    store: Arc<SessionStore>,
    subscriptions: Mutex<HashMap<String, Options>>,
    life: Mutex<Life>,
}

#[derive(Debug)]
struct Life {
    client: Option<Arc<Client>>,
    /// How long it outlives its connection; zero is a session that is not kept.
    expiry: Duration,
    /// When the last connection went.
    left: SystemTime,
}

impl Life {
    fn connection(&self) -> Option<u64> {
        self.client.as_ref().map(|client| client.connection())
    }
}

/// How a message reaches one session.
#[derive(Clone, Copy, Debug)]
pub(super) struct How {
    /// That of the subscription.
    pub(super) qos: Qos,
    /// The RETAIN flag of the delivery.
    pub(super) retain: bool,
    /// The one connection it is for, which may be over: it is neither kept on disk nor stored.
    pub(super) only: Option<u64>,
}

impl Subscriber {
    /// A new session, kept on disk if it outlives its connection.
    pub(super) fn begin(client: &Arc<Client>, number: u64, expiry: Duration, store: &Arc<SessionStore>) -> Self {
        if !expiry.is_zero() {
            store.begun(&client.id, expiry.as_secs());
        }
        let subscriber = Self {
            client_id: client.id.clone(),
            number,
            mailbox: Mailbox::default(),
            store: Arc::clone(store),
            subscriptions: Mutex::default(),
            life: Mutex::new(Life { client: Some(Arc::clone(client)), expiry, left: client.since }),
        };
        subscriber.mailbox.attach(&client.wire);
        subscriber
    }

    /// A session of an earlier run of the sandbox. One that was killed does not know when its
    /// connections went, so they went at the start.
    pub(super) fn restore(
        client_id: String,
        number: u64,
        kept: KeptSession,
        store: &Arc<SessionStore>,
        now: SystemTime,
    ) -> Self {
        let mailbox = Mailbox::default();
        for (number, KeptEntry { message, qos, retain }) in kept.queue {
            match message.message() {
                Ok(message) => mailbox.restore(Entry { message, qos, retain, passing: false, number, packet_id: None }),
                Err(cause) => tracing::error!(cause, client_id, "a message of a session cannot be read"),
            }
        }
        if kept.left_ms.is_none() {
            store.left(&client_id, to_ms(now));
        }
        // The clock of the last run may have been moved ahead; this one is the system's again.
        let left = kept.left_ms.map_or(now, from_ms).min(now);
        Self {
            client_id,
            number,
            mailbox,
            store: Arc::clone(store),
            subscriptions: Mutex::new(kept.subscriptions.into_iter().collect()),
            life: Mutex::new(Life { client: None, expiry: Duration::from_secs(kept.expiry_s), left }),
        }
    }

    /// Goes on with a new connection.
    pub(super) fn resume(&self, client: &Arc<Client>, expiry: Duration) {
        let mut life = self.life();
        life.client = Some(Arc::clone(client));
        self.change_expiry(&mut life, expiry);
        self.mailbox.attach(&client.wire);
    }

    /// The connection is gone. `expiry` is what its goodbye changed the session's to. `false` if
    /// another connection has taken over.
    pub(super) fn leave(&self, client: &Client, expiry: Option<Duration>, now: SystemTime) -> bool {
        let mut life = self.life();
        if life.connection() != Some(client.connection()) {
            return false;
        }
        life.client = None;
        life.left = now;
        self.mailbox.detach(&client.wire);
        // Not of a session that has ended: on disk there may be another one under its client id by now.
        if let Some(expiry) = expiry.filter(|_| !life.expiry.is_zero()) {
            self.change_expiry(&mut life, expiry);
        }
        if !life.expiry.is_zero() {
            self.store.left(&self.client_id, to_ms(now));
        }
        true
    }

    /// Ends the session: nothing of it stays on disk.
    pub(super) fn end(&self) {
        let mut life = self.life();
        self.change_expiry(&mut life, Duration::ZERO);
    }

    /// Whether it has no connection, and its time is over.
    pub(super) fn is_over(&self, now: SystemTime) -> bool {
        let life = self.life();
        life.client.is_none() && now.duration_since(life.left).unwrap_or_default() >= life.expiry
    }

    /// When it is over, if its client is away and stays so.
    pub(super) fn ends(&self) -> SystemTime {
        let life = self.life();
        life.left.checked_add(life.expiry).unwrap_or(life.left)
    }

    pub(super) fn expiry(&self) -> Duration {
        self.life().expiry
    }

    pub(super) fn client(&self) -> Option<Arc<Client>> {
        self.life().client.clone()
    }

    /// When it got its connection, or lost it.
    pub(super) fn since(&self) -> SystemTime {
        let life = self.life();
        life.client.as_ref().map_or(life.left, |client| client.since)
    }

    /// Hands a message to the client, or stores it until it comes back. `true` if its mailbox is
    /// crowded now.
    pub(super) fn deliver(&self, message: &Arc<Message>, how: How, limits: &Limits) -> bool {
        loop {
            let client = self.client();
            if how.only.is_some_and(|only| client.as_ref().is_none_or(|client| client.connection() != only)) {
                return false;
            }
            if let Some(client) = &client {
                if !client.may_receive(&message.topic) {
                    return false;
                }
                if !client.wire.pace.take() {
                    let reason = "discarded: more messages a second than a connection may have";
                    client.witness.denied(AuditEvent::Receive, Some(&message.topic), None, reason);
                    return false;
                }
            }
            // Held until it is in the mailbox: neither a connection that was not asked about nor a
            // session that has just ended gets it.
            let life = self.life();
            if life.connection() == client.map(|client| client.connection()) {
                return self.put(&life, message, how, limits);
            }
        }
    }

    fn put(&self, life: &Life, message: &Arc<Message>, how: How, limits: &Limits) -> bool {
        let qos = how.qos.min(message.qos);
        let (retain, passing) = (how.retain, how.only.is_some());
        let entry = Entry { message: Arc::clone(message), qos, retain, passing, number: 0, packet_id: None };
        let kept = !life.expiry.is_zero() && qos == Qos::AtLeastOnce && !passing;
        self.mailbox.push(entry, limits, || match kept {
            true => self.store.queued(&self.client_id, KeptEntry { message: Kept::of(message), qos, retain }),
            false => 0,
        })
    }

    /// Takes in a PUBACK.
    pub(super) fn acknowledge(&self, packet_id: NonZeroU16) {
        if let Some(number) = self.mailbox.acknowledge(packet_id) {
            self.done(number);
        }
    }

    /// A delivery is over.
    pub(super) fn done(&self, number: u64) {
        if number != 0 && !self.life().expiry.is_zero() {
            self.store.done(&self.client_id, number);
        }
    }

    /// Adds or replaces a subscription; whether it is new.
    pub(super) fn subscribe(&self, filter: &str, options: Options) -> bool {
        if !self.life().expiry.is_zero() {
            self.store.subscribed(&self.client_id, filter, options);
        }
        self.subscriptions().insert(filter.to_owned(), options).is_none()
    }

    /// Removes a subscription; whether there was one.
    pub(super) fn unsubscribe(&self, filter: &str) -> bool {
        let removed = self.subscriptions().remove(filter).is_some();
        if removed && !self.life().expiry.is_zero() {
            self.store.unsubscribed(&self.client_id, filter);
        }
        removed
    }

    /// The best quality of service it has subscribed to `topic` with.
    pub(super) fn subscribed_to(&self, topic: &str) -> Option<Qos> {
        let subscriptions = self.subscriptions();
        let matching = subscriptions.iter().filter(|(filter, _)| topic::matches(filter, topic));
        matching.map(|(_, options)| options.qos).max()
    }

    pub(super) fn subscriptions(&self) -> MutexGuard<'_, HashMap<String, Options>> {
        self.subscriptions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A session that is kept from now on, or no longer, changes what is on disk.
    fn change_expiry(&self, life: &mut Life, expiry: Duration) {
        match (life.expiry.is_zero(), expiry.is_zero()) {
            (false, true) => self.store.ended(&self.client_id),
            (was_not_kept, false) => {
                self.store.begun(&self.client_id, expiry.as_secs());
                if was_not_kept {
                    for (filter, options) in self.subscriptions().iter() {
                        self.store.subscribed(&self.client_id, filter, *options);
                    }
                }
            }
            (true, true) => {}
        }
        life.expiry = expiry;
    }

    fn life(&self) -> MutexGuard<'_, Life> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
