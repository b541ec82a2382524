//! Keeps one session alive and the outbox flowing through it.

use std::{sync::Arc, time::Duration};

use aether_mqtt::{Backoff, ConnectError, ConnectOptions, Connector, EndReason, Session, Topic};
use aether_outbox::{Outbox, Stats};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep, sleep_until, timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{pace::Pace, pump::Pump};

/// A session that lasted this long counts as stable: the next loss starts the back-off anew.
const STABLE: Duration = Duration::from_secs(30);

/// Carries what waits in an [`Outbox`] to one topic of one broker.
#[derive(Debug)]
pub struct Courier;

impl Courier {
    /// Starts to describe a courier: how it connects, where it publishes, what it carries.
    pub fn builder(
        connector: Arc<dyn Connector>,
        options: ConnectOptions,
        topic: Topic,
        outbox: Arc<Outbox>,
    ) -> CourierBuilder {
        let reconnect = Backoff::new(Duration::from_secs(1), Duration::from_secs(120));
        let (window, pace, on_link) = (aether_mqtt::MAX_UNACKNOWLEDGED, Pace::UNLIMITED, Box::new(|_| {}));
        CourierBuilder { connector, options, topic, outbox, window, pace, reconnect, on_link, session: None }
    }
}

/// Describes a courier before it starts.
#[must_use = "a builder does nothing until `start` is called"]
pub struct CourierBuilder {
    connector: Arc<dyn Connector>,
    options: ConnectOptions,
    topic: Topic,
    outbox: Arc<Outbox>,
    window: usize,
    pace: Pace,
    reconnect: Backoff,
    on_link: Box<dyn Fn(Link) + Send + Sync>,
    session: Option<Box<dyn Session>>,
}

impl CourierBuilder {
    /// Begins with a session that is there already, made with the same options: AWS IoT Core takes
    /// one CONNECT per second and client id. Default: the courier connects.
    pub fn session(mut self, session: Box<dyn Session>) -> Self {
        self.session = Some(session);
        self
    }

    /// Most publishes without a PUBACK. Default: 100. Range: 1 to 100, the most that AWS IoT Core
    /// allows; other numbers are moved to the nearer end.
    pub fn window(mut self, publishes: usize) -> Self {
        self.window = publishes.clamp(1, aether_mqtt::MAX_UNACKNOWLEDGED);
        self
    }

    /// Most publishes per second. Default: [`Pace::UNLIMITED`].
    pub const fn pace(mut self, pace: Pace) -> Self {
        self.pace = pace;
        self
    }

    /// How long to wait between attempts to connect. Default: 1 s doubling to 120 s, full jitter.
    pub const fn reconnect(mut self, backoff: Backoff) -> Self {
        self.reconnect = backoff;
        self
    }

    /// Calls `observer` whenever the connection came or went; when it came, before anything is
    /// published over it. It must not block. Default: nobody is called.
    pub fn on_link(mut self, observer: impl Fn(Link) + Send + Sync + 'static) -> Self {
        self.on_link = Box::new(observer);
        self
    }

    /// Starts the courier in a task on the current tokio runtime.
    ///
    /// # Panics
    ///
    /// Called outside a tokio runtime.
    pub fn start(self) -> RunningCourier {
        let (link, link_seen) = watch::channel(Link::Down);
        let (refusals, refusals_seen) = watch::channel(Refusals::default());
        let (outbox, stop) = (Arc::clone(&self.outbox), Stop::default());
        let task = tokio::spawn(Worker { settings: self, link, refusals, stop: stop.clone() }.run());
        RunningCourier { link: link_seen, refusals: refusals_seen, outbox, stop, task }
    }
}

impl std::fmt::Debug for CourierBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut debug = f.debug_struct("CourierBuilder");
        debug.field("endpoint", self.options.endpoint()).field("topic", &self.topic).finish_non_exhaustive()
    }
}

/// Whether there is a connection to the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "there is a connection or there is none")]
pub enum Link {
    /// The broker accepted the connection.
    Up,
    /// There is no connection; the courier is trying.
    Down,
}

/// A courier at work. Dropping it ends it at once; what is not acknowledged stays in the outbox.
#[derive(Debug)]
pub struct RunningCourier {
    link: watch::Receiver<Link>,
    refusals: watch::Receiver<Refusals>,
    outbox: Arc<Outbox>,
    stop: Stop,
    task: JoinHandle<()>,
}

/// The two ways to end: send what waits and say goodbye, or say goodbye.
#[derive(Clone, Debug, Default)]
struct Stop {
    /// End once the outbox is empty; until then no long pauses between attempts to connect.
    drain: CancellationToken,
    /// End now, saying goodbye.
    now: CancellationToken,
}

impl RunningCourier {
    /// Returns whether there is a connection now.
    pub fn link(&self) -> Link {
        *self.link.borrow()
    }

    /// Waits until there is a connection; returns at once where there is one.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it changes nothing.
    pub async fn link_up(&self) {
        // The sender lives as long as the task, which ends only after this courier was stopped.
        let _ = self.link.clone().wait_for(|link| *link == Link::Up).await;
    }

    /// Waits until the broker has refused this client `in_a_row` times, and for at least `over` this time: connects that
    /// it refused, or sessions that it ended with entries waiting and none acknowledged. A network that is away, a
    /// broker that is unavailable, and a session that ended with nothing to carry count for nothing.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it changes nothing.
    pub async fn refused(&self, in_a_row: u32, over: Duration) {
        let enough = |refusals: &Refusals| {
            refusals.count >= in_a_row && refusals.since.is_some_and(|since| since.elapsed() >= over)
        };
        if self.refusals.clone().wait_for(enough).await.is_err() {
            // The courier has ended, and refuses nothing any more.
            std::future::pending().await
        }
    }

    /// Sends what waits, as far as that is possible within `within`, says goodbye to the broker and
    /// ends. Without a connection it tries to get one until then, unless nothing waits. Returns how
    /// the outbox was left.
    pub async fn stop(mut self, within: Duration) -> Stats {
        let deadline = Instant::now() + within;
        self.stop.drain.cancel();
        if timeout_at(deadline, &mut self.task).await.is_err() {
            self.stop.now.cancel();
            // The goodbye has a bound of its own, so the task ends.
            let _ = timeout(2 * GOODBYE, &mut self.task).await;
        }
        self.outbox.stats()
    }
}

impl Drop for RunningCourier {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Longest pause between two attempts while draining.
const HURRIED: Duration = Duration::from_secs(1);

/// Longest time that the MQTT DISCONNECT may take.
const GOODBYE: Duration = Duration::from_secs(1);

/// Whether the broker was there and did not want this client.
fn is_refusal(cause: &ConnectError) -> bool {
    /// The return code of a server that is unavailable (MQTT 3.1.1, section 3.2.2.3).
    const UNAVAILABLE: u8 = 3;
    match cause {
        ConnectError::CertificateRefused { .. } | ConnectError::Closed { .. } => true,
        ConnectError::Refused { return_code, .. } => *return_code != UNAVAILABLE,
        ConnectError::Settings(_)
        | ConnectError::Dns { .. }
        | ConnectError::Io { .. }
        | ConnectError::Timeout { .. }
        | ConnectError::Tls { .. }
        | ConnectError::Protocol { .. }
        | ConnectError::Sign { .. }
        | _ => false,
    }
}

/// What the broker refused in a row.
#[derive(Clone, Copy, Debug, Default)]
struct Refusals {
    count: u32,
    /// When the first of them was.
    since: Option<Instant>,
}

struct Worker {
    settings: CourierBuilder,
    link: watch::Sender<Link>,
    refusals: watch::Sender<Refusals>,
    stop: Stop,
}

impl Worker {
    async fn run(mut self) {
        let mut bucket = self.settings.pace.start(Instant::now());
        while let Some(session) = self.next_session().await {
            let connected_at = Instant::now();
            let delivered = self.settings.outbox.stats().acknowledged;
            self.show(Link::Up);
            info!(endpoint = %self.settings.options.endpoint(), client_id = %self.settings.options.client_id(), "connected");
            let CourierBuilder { topic, outbox, window, .. } = &self.settings;
            let pump = Pump { session: &*session, topic, outbox, window: *window, bucket: &mut bucket };
            let ended = tokio::select! {
                ended = pump.run() => ended,
                () = self.may_end() => {
                    session.disconnect(GOODBYE).await;
                    self.show(Link::Down);
                    return;
                }
            };
            self.show(Link::Down);
            let hung_up = matches!(ended.reason(), EndReason::ClosedByPeer | EndReason::TlsAlert { .. });
            let stats = self.settings.outbox.stats();
            if stats.acknowledged > delivered {
                self.refusals.send_replace(Refusals::default());
            } else if hung_up && stats.waiting > 0 {
                self.note_refusal();
            }
            if connected_at.elapsed() >= STABLE {
                self.settings.reconnect.reset();
            }
            let retry_in = self.settings.reconnect.next_random_delay();
            warn!(reason = %ended, ?retry_in, "connection lost");
            if self.pause(retry_in).await.is_none() {
                return;
            }
        }
    }

    fn show(&self, link: Link) {
        self.link.send_replace(link);
        (self.settings.on_link)(link);
    }

    /// Counts what the broker refused in a row.
    fn note_refusal(&self) {
        self.refusals.send_modify(|refusals| {
            refusals.count = refusals.count.saturating_add(1);
            refusals.since.get_or_insert_with(Instant::now);
        });
    }

    async fn next_session(&mut self) -> Option<Box<dyn Session>> {
        match self.settings.session.take() {
            Some(session) => Some(session),
            None => self.connect().await,
        }
    }

    /// Tries until there is a session; `None` once the courier is to stop.
    async fn connect(&mut self) -> Option<Box<dyn Session>> {
        loop {
            let attempt = self.settings.connector.connect(&self.settings.options);
            let cause: ConnectError = tokio::select! {
                outcome = attempt => match outcome {
                    Ok(session) => return Some(session),
                    Err(cause) => cause,
                },
                () = self.may_end() => return None,
            };
            if is_refusal(&cause) {
                self.note_refusal();
            }
            let retry_in = self.settings.reconnect.next_random_delay();
            warn!(error = &cause as &dyn std::error::Error, ?retry_in, "could not connect");
            self.pause(retry_in).await?;
        }
    }

    /// Waits before the next attempt, not for long while draining; `None` where the courier is to
    /// stop instead.
    async fn pause(&self, time: Duration) -> Option<()> {
        let began = Instant::now();
        let hurried = async {
            self.stop.drain.cancelled().await;
            sleep_until(began + time.min(HURRIED)).await;
        };
        tokio::select! {
            biased;
            () = self.may_end() => None,
            () = sleep(time) => Some(()),
            () = hurried => Some(()),
        }
    }

    /// Resolves once the courier may say goodbye.
    async fn may_end(&self) {
        let drained = async {
            self.stop.drain.cancelled().await;
            self.settings.outbox.wait_empty().await;
        };
        tokio::select! {
            () = drained => {}
            () = self.stop.now.cancelled() => {}
        }
    }
}
