//! The loop around the machine: the only place with a connection, a store and a clock.

use std::error::Error;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use aether_mqtt::{
    Backoff, ConnectOptions, Connector, EndReason, PublishError, Session, SessionEnded, SubscribeError, Topic,
    TopicFilter,
};

use crate::error::Pace;
use crate::machine::{Action, Input, Now, Provisioner, Record};
use crate::{Claim, Identity, IdentityStore, ProvisionError, Step, Stored, ThingName};

/// Longest goodbye to the broker.
const GOODBYE: Duration = Duration::from_secs(1);

/// A stage of provisioning, as it is reached. After a failure the stages of the next attempt follow.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stage {
    /// The claim certificate has connected.
    ClaimConnected,
    /// A certificate was issued and is kept.
    CertificateIssued {
        /// The service's name for it.
        certificate_id: String,
    },
    /// The Thing is registered and its identity is kept.
    ThingRegistered {
        /// The Thing's name.
        thing_name: ThingName,
    },
}

/// Claims an identity, and returns once a registered one is kept in `store`.
///
/// An identity that is there already is returned without a connection; a certificate that was issued before a restart
/// is registered with its token. Failures that another attempt may mend are logged and tried again without end: after
/// 1 s at least and 2 min at most, or, where somebody has to change something in the cloud first, after 5 s at least and
/// 10 min at most, each time longer and with jitter. The calls of `on_stage` come from within and must be quick.
///
/// # Errors
///
/// A [`ProvisionError`] that is final: see [`ProvisionError::is_retryable`].
///
/// # Cancel safety
///
/// Cancel safe: what was persisted stays, and the next call goes on from there.
pub async fn provision(
    connector: &dyn Connector,
    claim: &Claim,
    store: &dyn IdentityStore,
    on_stage: &(dyn Fn(Stage) + Send + Sync),
) -> Result<Identity, ProvisionError> {
    loop {
        let provisioned = provision_until(connector, claim, store, on_stage, std::future::pending()).await?;
        // It is stopped by nothing.
        if let Some(identity) = provisioned {
            return Ok(identity);
        }
    }
}

/// As [`provision`], until `stop` resolves: then the claim session says goodbye to the broker, and `None` is returned.
///
/// # Errors
///
/// As for [`provision`].
///
/// # Cancel safety
///
/// As for [`provision`]; dropped, the session is closed without a goodbye.
pub async fn provision_until(
    connector: &dyn Connector,
    claim: &Claim,
    store: &dyn IdentityStore,
    on_stage: &(dyn Fn(Stage) + Send + Sync),
    stop: impl Future<Output = ()> + Send,
) -> Result<Option<Identity>, ProvisionError> {
    let mut stop = pin!(stop);
    let mut soon = Backoff::new(Duration::from_secs(1), Duration::from_secs(120));
    let mut slow = Backoff::new(Duration::from_secs(5), Duration::from_secs(600));
    let options = claim.connect_options();
    loop {
        let error = match attempt(connector, &options, claim, store, on_stage, stop.as_mut()).await {
            Ok(outcome) => return Ok(outcome),
            Err(error) => error,
        };
        let delay = match error.pace() {
            Pace::Normal => soon.next_random_delay(),
            Pace::Slow => slow.next_random_delay(),
            Pace::Never => return Err(error),
        };
        tracing::warn!(retry_in = ?delay, error = &error as &dyn Error, "could not provision");
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            () = &mut stop => return Ok(None),
        }
    }
}

/// One attempt: from what the store holds to an identity, the first failure, or `None` when it is stopped.
async fn attempt(
    connector: &dyn Connector,
    options: &ConnectOptions,
    claim: &Claim,
    store: &dyn IdentityStore,
    on_stage: &(dyn Fn(Stage) + Send + Sync),
    stop: Pin<&mut impl Future<Output = ()>>,
) -> Result<Option<Identity>, ProvisionError> {
    let machine = match store.load().map_err(ProvisionError::Store)? {
        Stored::Registered(identity) | Stored::Active(identity) => return Ok(Some(identity)),
        Stored::Issued(issued) => Provisioner::resume(claim, issued, now().wall),
        Stored::Empty => Provisioner::new(claim),
    };
    let mut attempt = Attempt { machine, connector, options, store, on_stage, session: None };
    let outcome = tokio::select! {
        biased;
        outcome = attempt.run() => outcome.map(Some),
        () = stop => Ok(None),
    };
    if let Some(session) = attempt.session {
        session.disconnect(GOODBYE).await;
    }
    outcome
}

struct Attempt<'a> {
    machine: Provisioner,
    connector: &'a dyn Connector,
    options: &'a ConnectOptions,
    store: &'a dyn IdentityStore,
    on_stage: &'a (dyn Fn(Stage) + Send + Sync),
    session: Option<Box<dyn Session>>,
}

impl Attempt<'_> {
    async fn run(&mut self) -> Result<Identity, ProvisionError> {
        loop {
            let input = match self.machine.poll() {
                Some(Action::Done(identity)) => return Ok(identity),
                Some(Action::Connect) => self.connect().await,
                Some(Action::Subscribe(filter)) => self.subscribe(filter).await,
                Some(Action::Publish { topic, payload }) => match self.publish(&topic, payload)? {
                    Some(ended) => Input::Disconnected(ended),
                    None => continue,
                },
                Some(Action::Persist(record)) => self.persist(record)?,
                None => self.wait().await,
            };
            self.machine.handle(now(), input)?;
        }
    }

    async fn connect(&mut self) -> Input {
        match self.connector.connect(self.options).await {
            Ok(session) => {
                self.session = Some(session);
                tracing::info!(endpoint = %self.options.endpoint(), "connected with the claim certificate");
                (self.on_stage)(Stage::ClaimConnected);
                Input::Connected
            }
            Err(error) => Input::ConnectFailed(error),
        }
    }

    async fn subscribe(&self, filter: TopicFilter) -> Input {
        let Some(session) = &self.session else { return no_session() };
        tokio::select! {
            outcome = session.subscribe(&filter) => match outcome {
                Ok(()) => Input::Subscribed(filter),
                Err(SubscribeError::Ended(ended)) => Input::Disconnected(ended),
                Err(refused) => Input::SubscribeRefused(refused),
            },
            () = until(self.machine.deadline()) => Input::Elapsed,
        }
    }

    /// Hands a request over; `Some` if the session has ended.
    fn publish(&self, topic: &Topic, payload: Vec<u8>) -> Result<Option<SessionEnded>, ProvisionError> {
        let Some(session) = &self.session else {
            return Ok(Some(SessionEnded::new(EndReason::Disconnected)));
        };
        match session.publish(topic, Arc::from(payload)) {
            // The answer says more than the acknowledgement, and a session that ends is heard of while waiting for it.
            Ok(_ticket) => Ok(None),
            Err(PublishError::Ended(ended)) => Ok(Some(ended)),
            // Only RegisterThing has a size of the user's making.
            Err(source) => Err(ProvisionError::Request { step: Step::Register, source }),
        }
    }

    fn persist(&self, record: Record) -> Result<Input, ProvisionError> {
        let stage = match record {
            Record::Issued(issued) => {
                self.store.stage_issued(&issued).map_err(ProvisionError::Store)?;
                tracing::info!(certificate_id = %issued.certificate_id(), "certificate issued");
                Stage::CertificateIssued { certificate_id: issued.certificate_id().to_string() }
            }
            Record::Registered(identity) => {
                self.store.stage_registered(&identity).map_err(ProvisionError::Store)?;
                tracing::info!(thing = %identity.thing_name(), "thing registered");
                Stage::ThingRegistered { thing_name: identity.thing_name().clone() }
            }
        };
        (self.on_stage)(stage);
        Ok(Input::Persisted)
    }

    async fn wait(&self) -> Input {
        let Some(session) = &self.session else { return no_session() };
        tokio::select! {
            message = session.next() => match message {
                Ok(message) => Input::Message(message),
                Err(ended) => Input::Disconnected(ended),
            },
            () = until(self.machine.deadline()) => Input::Elapsed,
        }
    }
}

fn no_session() -> Input {
    Input::Disconnected(SessionEnded::new(EndReason::Disconnected))
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

fn now() -> Now {
    // Tokio's clock, so that a test may pause it.
    Now { instant: tokio::time::Instant::now().into_std(), wall: SystemTime::now() }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use aether_mqtt::testing::{self, FakeBroker, PublishReaction};
    use aether_mqtt::{Endpoint, ServerRoots};
    use serde_json::json;

    use super::*;
    use crate::store::MockIdentityStore;

    /// What was called, in order, by the driver and by the requests it sends.
    type Calls = Arc<Mutex<Vec<&'static str>>>;

    fn cloud(calls: &Calls) -> FakeBroker {
        let (broker, calls) = (FakeBroker::new(), Arc::clone(calls));
        broker.on_publish(move |publish| {
            let accepted = format!("{}/accepted", publish.topic).parse().unwrap();
            let (certificate, key) = testing::self_signed("AWS IoT Certificate");
            let creates = publish.topic.as_str().ends_with("create/json");
            calls.lock().unwrap().push(if creates { "create" } else { "register" });
            let answer = if creates {
                json!({ "certificateId": "c1", "certificatePem": certificate, "privateKey": key,
                        "certificateOwnershipToken": "t" })
            } else {
                json!({ "thingName": "line7-press3" })
            };
            PublishReaction::acknowledge().reply(accepted, answer.to_string())
        });
        broker
    }

    #[tokio::test(start_paused = true)]
    async fn the_certificate_is_kept_before_the_thing_is_registered() {
        let calls = Calls::default();
        let note = |call| {
            let calls = Arc::clone(&calls);
            move || calls.lock().unwrap().push(call)
        };
        let (load, issued, registered) = (note("load"), note("stage_issued"), note("stage_registered"));
        let mut store = MockIdentityStore::new();
        store.expect_load().times(1).returning(move || {
            load();
            Ok(Stored::Empty)
        });
        store.expect_stage_issued().times(1).withf(|one| one.token().reveal() == "t").returning(move |_| {
            issued();
            Ok(())
        });
        store.expect_stage_registered().times(1).returning(move |_| {
            registered();
            Ok(())
        });
        store.expect_promote().never();

        let endpoint = Endpoint::new("localhost", 8883).unwrap();
        let claim = Claim::new(endpoint, ServerRoots::mozilla(), testing::credentials("c"), "Aether".parse().unwrap());
        provision(&cloud(&calls).connector(), &claim, &store, &|_| {}).await.unwrap();
        assert_eq!(*calls.lock().unwrap(), ["load", "create", "stage_issued", "register", "stage_registered"]);
    }
}
