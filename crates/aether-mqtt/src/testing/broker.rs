//! The fake broker: its reactions, its record, and its connector.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::sync::watch;

use super::session::FakeSession;
use super::{ConnectReaction, PublishReaction, SubscribeReaction};
use crate::{
    ClientId, ConnectError, ConnectOptions, Connector, EndReason, Endpoint, Message, Session, SessionEnded, Topic,
    TopicFilter,
};

/// A broker in memory. Cheap to clone; every clone is the same broker.
///
/// Without reactions it accepts every connection, subscription and publish and forwards a message only through
/// [`deliver`](Self::deliver). A second connection with the same client id ends the first.
#[derive(Clone, Default)]
pub struct FakeBroker(Arc<Shared>);

#[derive(Default)]
struct Shared {
    hooks: Mutex<Hooks>,
    state: Mutex<State>,
    changed: watch::Sender<()>,
}

#[derive(Default)]
struct Hooks {
    connect: Hook<ConnectOptions, ConnectReaction>,
    subscribe: Hook<Subscribed, SubscribeReaction>,
    publish: Hook<Published, PublishReaction>,
}

type Hook<Question, Reaction> = Option<Box<dyn FnMut(&Question) -> Reaction + Send>>;

#[derive(Default)]
struct State {
    connects: Vec<Connected>,
    subscribes: Vec<Subscribed>,
    publishes: Vec<Published>,
    disconnects: Vec<ClientId>,
    sessions: Vec<FakeSession>,
    holding: bool,
}

/// One attempt to connect, as the fake broker saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Connected {
    /// Who connected.
    pub client_id: ClientId,
    /// The endpoint asked for.
    pub endpoint: Endpoint,
    /// The client certificate, in DER.
    pub certificate_der: Vec<u8>,
}

/// One subscribe, as the fake broker saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Subscribed {
    /// Who subscribed.
    pub client_id: ClientId,
    /// To what.
    pub filter: TopicFilter,
}

/// One publish, as the fake broker saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Published {
    /// Who published.
    pub client_id: ClientId,
    /// On which topic.
    pub topic: Topic,
    /// What.
    pub payload: Vec<u8>,
}

/// Connects to a [`FakeBroker`].
#[derive(Clone, Debug)]
pub struct FakeConnector(FakeBroker);

impl FakeBroker {
    /// A broker that accepts everything.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A connector to this broker.
    #[must_use]
    pub fn connector(&self) -> FakeConnector {
        FakeConnector(self.clone())
    }

    /// Decides about every attempt to connect from now on.
    pub fn on_connect(&self, hook: impl FnMut(&ConnectOptions) -> ConnectReaction + Send + 'static) {
        lock(&self.0.hooks).connect = Some(Box::new(hook));
    }

    /// Lets the next attempts to connect fail, one for each error; those after them are accepted.
    pub fn fail_connects(&self, errors: impl IntoIterator<Item = ConnectError>) {
        let mut errors = errors.into_iter().collect::<Vec<_>>().into_iter();
        self.on_connect(move |_| errors.next().map_or_else(ConnectReaction::accept, ConnectReaction::fail));
    }

    /// Decides about every subscribe from now on. The hook must not call the broker.
    pub fn on_subscribe(&self, hook: impl FnMut(&Subscribed) -> SubscribeReaction + Send + 'static) {
        lock(&self.0.hooks).subscribe = Some(Box::new(hook));
    }

    /// Decides about every publish from now on. The hook must not call the broker.
    pub fn on_publish(&self, hook: impl FnMut(&Published) -> PublishReaction + Send + 'static) {
        lock(&self.0.hooks).publish = Some(Box::new(hook));
    }

    /// Takes publishes without acknowledging them, until [`release_acks`](Self::release_acks).
    pub fn hold_acks(&self) {
        lock(&self.0.state).holding = true;
    }

    /// Acknowledges everything held, in order, and what comes from now on. Returns how many were held.
    pub fn release_acks(&self) -> usize {
        let mut state = lock(&self.0.state);
        state.holding = false;
        state.sessions.iter().map(|session| session.acknowledge(usize::MAX)).sum()
    }

    /// Acknowledges the `count` oldest publishes held in each session. Returns how many there were.
    pub fn release_some_acks(&self, count: usize) -> usize {
        lock(&self.0.state).sessions.iter().map(|session| session.acknowledge(count)).sum()
    }

    /// Closes every connection. Returns how many there were.
    pub fn hang_up(&self) -> usize {
        let sessions = std::mem::take(&mut lock(&self.0.state).sessions);
        let live = sessions.iter().filter(|s| s.end(SessionEnded::new(EndReason::ClosedByPeer))).count();
        self.note();
        live
    }

    /// Sends a message to every session that has subscribed to its topic. Returns how many those were.
    pub fn deliver(&self, topic: &Topic, payload: impl Into<Vec<u8>>) -> usize {
        let message = Message::new(topic.clone(), payload.into());
        lock(&self.0.state).sessions.iter().filter(|session| session.deliver(&message)).count()
    }

    /// Every attempt to connect so far, failed ones too.
    #[must_use]
    pub fn connects(&self) -> Vec<Connected> {
        lock(&self.0.state).connects.clone()
    }

    /// Every subscribe so far.
    #[must_use]
    pub fn subscribes(&self) -> Vec<Subscribed> {
        lock(&self.0.state).subscribes.clone()
    }

    /// Every publish so far, in order.
    #[must_use]
    pub fn publishes(&self) -> Vec<Published> {
        lock(&self.0.state).publishes.clone()
    }

    /// Who said goodbye so far.
    #[must_use]
    pub fn disconnects(&self) -> Vec<ClientId> {
        lock(&self.0.state).disconnects.clone()
    }

    /// How many sessions live now.
    #[must_use]
    pub fn live_sessions(&self) -> usize {
        lock(&self.0.state).sessions.iter().filter(|session| session.is_live()).count()
    }

    /// Waits until `condition` holds; it is asked again after everything that happens at the broker.
    pub async fn until(&self, condition: impl Fn(&Self) -> bool) {
        let mut changed = self.0.changed.subscribe();
        while !condition(self) {
            // The sender lives in `self`.
            let _ = changed.changed().await;
        }
    }

    pub(super) fn decide_connect(&self, options: &ConnectOptions) -> ConnectReaction {
        let reaction = match &mut lock(&self.0.hooks).connect {
            Some(hook) => hook(options),
            None => ConnectReaction::accept(),
        };
        lock(&self.0.state).connects.push(Connected {
            client_id: options.client_id().clone(),
            endpoint: options.endpoint().clone(),
            certificate_der: options.credentials().certificate_der().to_vec(),
        });
        self.note();
        reaction
    }

    pub(super) fn decide_subscribe(&self, subscribe: Subscribed) -> SubscribeReaction {
        let reaction = match &mut lock(&self.0.hooks).subscribe {
            Some(hook) => hook(&subscribe),
            None => SubscribeReaction::Accept,
        };
        lock(&self.0.state).subscribes.push(subscribe);
        self.note();
        reaction
    }

    pub(super) fn decide_publish(&self, publish: Published) -> PublishReaction {
        let mut reaction = match &mut lock(&self.0.hooks).publish {
            Some(hook) => hook(&publish),
            None => PublishReaction::acknowledge(),
        };
        let mut state = lock(&self.0.state);
        state.publishes.push(publish);
        if state.holding {
            reaction.hold_back();
        }
        reaction
    }

    pub(super) fn goodbye(&self, client_id: &ClientId) {
        lock(&self.0.state).disconnects.push(client_id.clone());
        self.note();
    }

    /// Tells everyone in [`until`](Self::until) to look again.
    pub(super) fn note(&self) {
        self.0.changed.send_replace(());
    }

    fn open(&self, client_id: &ClientId) -> FakeSession {
        let session = FakeSession::new(self.clone(), client_id.clone());
        let mut state = lock(&self.0.state);
        state.sessions.retain(FakeSession::is_live);
        for other in state.sessions.iter().filter(|other| other.client_id() == client_id) {
            other.end(SessionEnded::new(EndReason::ClosedByPeer));
        }
        state.sessions.push(session.share());
        session
    }
}

#[async_trait]
impl Connector for FakeConnector {
    async fn connect(&self, options: &ConnectOptions) -> Result<Box<dyn Session>, ConnectError> {
        options.check().map_err(ConnectError::Settings)?;
        let reaction = self.0.decide_connect(options);
        if !reaction.delay.is_zero() {
            tokio::time::sleep(reaction.delay).await;
        }
        reaction.outcome?;
        let session = self.0.open(options.client_id());
        self.0.note();
        Ok(Box::new(session))
    }
}

impl fmt::Debug for FakeBroker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeBroker").field("live_sessions", &self.live_sessions()).finish_non_exhaustive()
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
