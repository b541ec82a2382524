//! The loop around the machine: the only place with a connection, a store and a clock.

use std::error::Error;
use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use aether_mqtt::{
    ConnectOptions, Connector, Endpoint, PublishError, ServerRoots, Session, SubscribeError, Topic, TopicFilter,
};

use crate::claim::{KeyPlan, device_options};
use crate::flow::{Action, Input, Login, Now, OwnKey, Provisioner, Record, Start};
use crate::retry::RetryPolicy;
use crate::stage::Stage;
use crate::{Claim, Contents, Identity, IdentityStore, KeyError, ProvisionError, SigningRequest, Staged, StoreError};

/// Longest goodbye to the broker.
const GOODBYE: Duration = Duration::from_secs(1);

/// Common name of the subject of signing requests. The service gives the certificate its own.
const COMMON_NAME: &str = "Aether device";

/// What provisioning ends with.
#[non_exhaustive]
pub struct Provisioned {
    /// The identity, which has connected, and is the active one in the store.
    pub identity: Identity,
    /// The connection that proved it, with the Thing name as client id: to go on with, as AWS IoT Core takes one
    /// CONNECT per second and client id. `None` where the identity was active already.
    pub session: Option<Box<dyn Session>>,
}

impl Provisioned {
    /// An identity that is active already, and has no connection yet.
    #[must_use]
    pub fn active(identity: Identity) -> Self {
        Self { identity, session: None }
    }
}

impl fmt::Debug for Provisioned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provisioned").field("identity", &self.identity).finish_non_exhaustive()
    }
}

/// The stages of a run, as they are reached. Calls come from within and must be quick.
pub type OnStage<'a> = &'a (dyn Fn(Stage) + Send + Sync);

/// Claims an identity, proves it by connecting with it, and returns once it is the active one in `store`.
///
/// An active identity is returned without a connection. What an earlier run left is gone on with: a key that was made, a
/// certificate that was issued, an identity that was registered. Failures that another attempt may mend are logged and
/// tried again as [`RetryPolicy`](crate::RetryPolicy) says.
///
/// # Errors
///
/// A [`ProvisionError`] that is final: see [`ProvisionError::is_retryable`].
///
/// # Cancel safety
///
/// Cancel safe: what was persisted stays, and the next call goes on from there. A write to the store that was under way
/// is finished.
pub async fn provision(
    connector: &dyn Connector,
    claim: &Claim,
    store: &Arc<dyn IdentityStore>,
    on_stage: OnStage<'_>,
) -> Result<Provisioned, ProvisionError> {
    loop {
        // It is stopped by nothing.
        if let Some(done) = provision_until(connector, claim, store, on_stage, std::future::pending()).await? {
            return Ok(done);
        }
    }
}

/// As [`provision`], until `stop` resolves: then the session says goodbye to the broker, and `None` is returned.
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
    store: &Arc<dyn IdentityStore>,
    on_stage: OnStage<'_>,
    stop: impl Future<Output = ()> + Send,
) -> Result<Option<Provisioned>, ProvisionError> {
    let contents = contents(store).await?;
    if let Some(identity) = contents.active {
        return Ok(Some(Provisioned::active(identity)));
    }
    let found = found(&contents.staged);
    let machine = Provisioner::new(claim, start(contents.staged), now());
    let mut driver = Driver::new(machine, connector, Some(claim), store, on_stage);
    driver.found = found;
    driver.run_until(stop).await
}

/// Obtains the next identity of a device that has one, beside it: a rotation.
///
/// `claim` is either the claim that the device began with or [`Claim::by_device`]. `None` when it was stopped.
///
/// # Errors
///
/// As for [`provision`], and [`ProvisionError::OtherThing`]. The active identity is then what it was; what is staged of
/// the next one is kept where it can be gone on with, and discarded where the error is final.
///
/// # Cancel safety
///
/// As for [`provision_until`].
pub async fn renew_until(
    connector: &dyn Connector,
    claim: &Claim,
    current: &Identity,
    store: &Arc<dyn IdentityStore>,
    on_stage: OnStage<'_>,
    stop: impl Future<Output = ()> + Send,
) -> Result<Option<Provisioned>, ProvisionError> {
    let contents = contents(store).await?;
    let found = found(&contents.staged);
    let machine = Provisioner::renew(claim, current.thing_name(), start(contents.staged), now());
    let mut driver = Driver::new(machine, connector, Some(claim), store, on_stage);
    driver.found = found;
    let outcome = driver.run_until(stop).await;
    if outcome.is_err() {
        // It would be gone on with for ever, and refused for ever.
        blocking(store, |store| store.discard_staged()).await.map_err(ProvisionError::Store)?;
    }
    outcome
}

/// Where and for how long an identity that was not asked for here is proven.
#[derive(Clone, Debug)]
pub struct Adoption {
    endpoint: Endpoint,
    roots: ServerRoots,
    retry: RetryPolicy,
    activation: Duration,
}

impl Adoption {
    /// At `endpoint`, which `roots` vouch for.
    #[must_use]
    pub fn new(endpoint: Endpoint, roots: ServerRoots) -> Self {
        Self { endpoint, roots, retry: RetryPolicy::default(), activation: Duration::from_secs(3600) }
    }

    /// How soon to try again. Default: [`RetryPolicy::default`].
    #[must_use]
    pub fn retry(mut self, retry: RetryPolicy) -> Self {
        self.retry = retry;
        self
    }

    /// How long the cloud may refuse the certificate before it is given up: with just-in-time registration the first
    /// connects fail until somebody, or a rule, activates it. Default: 1 h.
    #[must_use]
    pub fn activation(mut self, activation: Duration) -> Self {
        self.activation = activation;
        self
    }
}

/// Proves an identity that was made elsewhere (files given by hand, a certificate under a CA that is registered in the
/// cloud) and makes it the active one. `None` when it was stopped.
///
/// # Errors
///
/// As for [`provision`]; [`ProvisionError::GaveUp`] when the cloud refused it for as long as `adoption` allows.
///
/// # Cancel safety
///
/// As for [`provision_until`].
pub async fn adopt_until(
    connector: &dyn Connector,
    adoption: &Adoption,
    identity: Identity,
    store: &Arc<dyn IdentityStore>,
    on_stage: OnStage<'_>,
    stop: impl Future<Output = ()> + Send,
) -> Result<Option<Provisioned>, ProvisionError> {
    let machine = Provisioner::adopt(identity, &adoption.retry, adoption.activation, now());
    let mut driver = Driver::new(machine, connector, None, store, on_stage);
    driver.adoption = Some(adoption);
    driver.run_until(stop).await
}

async fn contents(store: &Arc<dyn IdentityStore>) -> Result<Contents, ProvisionError> {
    let contents = blocking(store, |store| store.load(SystemTime::now())).await.map_err(ProvisionError::Store)?;
    for finding in &contents.findings {
        tracing::error!(error = finding as &dyn Error, "passed over");
    }
    if let Some(finding) = contents.key_away() {
        return Err(ProvisionError::KeyAway(finding.clone()));
    }
    Ok(contents)
}

fn start(staged: Staged) -> Start {
    match staged {
        Staged::Nothing | Staged::Key(_) => Start::Empty,
        Staged::Issued(issued) => Start::Issued(issued),
        Staged::Registered(identity) => Start::Registered(identity),
    }
}

/// The stage that an earlier run has reached and told.
fn found(staged: &Staged) -> Option<Stage> {
    match staged {
        Staged::Nothing | Staged::Key(_) => None,
        Staged::Issued(issued) => Some(Stage::from(&Record::Issued(issued.clone()))),
        Staged::Registered(identity) => Some(Stage::from(&Record::Registered(identity.clone()))),
    }
}

struct Driver<'a> {
    machine: Provisioner,
    connector: &'a dyn Connector,
    claim: Option<&'a Claim>,
    adoption: Option<&'a Adoption>,
    found: Option<Stage>,
    store: &'a Arc<dyn IdentityStore>,
    on_stage: OnStage<'a>,
    session: Option<Box<dyn Session>>,
}

impl<'a> Driver<'a> {
    fn new(
        machine: Provisioner,
        connector: &'a dyn Connector,
        claim: Option<&'a Claim>,
        store: &'a Arc<dyn IdentityStore>,
        on_stage: OnStage<'a>,
    ) -> Self {
        Self { machine, connector, claim, adoption: None, found: None, store, on_stage, session: None }
    }

    async fn run_until(mut self, stop: impl Future<Output = ()> + Send) -> Result<Option<Provisioned>, ProvisionError> {
        let outcome = {
            let (mut run, mut stop) = (pin!(self.run()), pin!(stop));
            tokio::select! {
                biased;
                outcome = &mut run => outcome.map(Some),
                () = &mut stop => Ok(None),
            }
        };
        match outcome {
            Ok(Some(identity)) => Ok(Some(Provisioned { identity, session: self.session })),
            other => {
                self.disconnect().await;
                other.map(|_| None)
            }
        }
    }

    async fn run(&mut self) -> Result<Identity, ProvisionError> {
        loop {
            let input = match self.machine.poll() {
                None => self.wait().await,
                Some(Action::Prepare { own_key }) => self.prepare(own_key).await,
                Some(Action::Connect(login)) => self.connect(login).await,
                Some(Action::Subscribe(filter)) => self.subscribe(filter).await,
                Some(Action::Publish { topic, payload }) => match self.publish(&topic, payload) {
                    Some(input) => input,
                    None => continue,
                },
                Some(Action::Persist(record)) => self.persist(record).await,
                Some(Action::Disconnect) => {
                    self.disconnect().await;
                    continue;
                }
                Some(Action::Report { error, retry_in }) => {
                    tracing::warn!(?retry_in, error = &error as &dyn Error, "could not provision");
                    (self.on_stage)(Stage::Waiting { because: error.to_string(), retry_in });
                    continue;
                }
                Some(Action::Done(identity)) => return Ok(identity),
            };
            if matches!(input, Input::Disconnected(_)) {
                self.session = None;
            }
            self.machine.handle(now(), input)?;
        }
    }

    async fn prepare(&self, own_key: bool) -> Input {
        if let Err(error) = blocking(self.store, |store| store.prepare()).await {
            return Input::NotPrepared(error);
        }
        match self.claim.map(Claim::key_plan) {
            Some(KeyPlan::Given(own)) if own_key => Input::Prepared(Some((**own).clone())),
            Some(KeyPlan::OnDevice(source)) if own_key => {
                let source = Arc::clone(source);
                // An RSA key takes seconds to find.
                let made = blocking(self.store, move |store| {
                    let staged = store.load(SystemTime::now()).map(|contents| contents.staged);
                    let key = match staged.map_err(Unprepared::Store)? {
                        Staged::Key(key) => key,
                        Staged::Nothing | Staged::Issued(_) | Staged::Registered(_) => {
                            let key = source.make().map_err(Unprepared::Key)?;
                            store.stage_key(&key).map_err(Unprepared::Store)?;
                            key
                        }
                    };
                    // What can fail is the signing, where the key stays in a token.
                    let request = SigningRequest::make(&key, COMMON_NAME)
                        .map_err(|error| Unprepared::Key(KeyError::Unavailable(Box::new(error))))?;
                    Ok(OwnKey { key, request })
                });
                match made.await {
                    Ok(own) => Input::Prepared(Some(own)),
                    Err(Unprepared::Store(error)) => Input::NotPrepared(error),
                    Err(Unprepared::Key(error)) => Input::NoKey(error),
                }
            }
            Some(_) | None => Input::Prepared(None),
        }
    }

    async fn connect(&mut self, login: Login) -> Input {
        let Some(options) = self.options(&login) else { return self.wait().await };
        match self.connector.connect(&options).await {
            Ok(session) => {
                self.session = Some(session);
                tracing::info!(endpoint = %options.endpoint(), client_id = %options.client_id(), "connected");
                if matches!(login, Login::Claim) {
                    (self.on_stage)(Stage::ClaimConnected);
                }
                Input::Connected
            }
            Err(error) => Input::ConnectFailed(error),
        }
    }

    fn options(&self, login: &Login) -> Option<ConnectOptions> {
        match (login, self.claim, self.adoption) {
            (Login::Claim, Some(claim), _) => Some(claim.connect_options()),
            (Login::Device(identity), Some(claim), _) => Some(claim.device_options(identity)),
            (Login::Device(identity), None, Some(adoption)) => {
                Some(device_options(adoption.endpoint.clone(), adoption.roots.clone(), identity))
            }
            (Login::Claim | Login::Device(_), None, _) => None,
        }
    }

    async fn subscribe(&self, filter: TopicFilter) -> Input {
        let Some(session) = &self.session else { return self.wait().await };
        tokio::select! {
            outcome = session.subscribe(&filter) => match outcome {
                Ok(()) => Input::Subscribed(filter),
                Err(SubscribeError::Ended(ended)) => Input::Disconnected(ended),
                Err(refused) => Input::SubscribeRefused(refused),
            },
            () = until(self.machine.deadline()) => Input::Elapsed,
        }
    }

    /// Hands a request over; what happened, if it is not on its way.
    fn publish(&self, topic: &Topic, payload: Vec<u8>) -> Option<Input> {
        match self.session.as_ref()?.publish(topic, Arc::from(payload)) {
            // The answer says more than the acknowledgement, and a session that ends is heard of while waiting for it.
            Ok(_ticket) => None,
            Err(PublishError::Ended(ended)) => Some(Input::Disconnected(ended)),
            Err(refused) => Some(Input::PublishRefused(refused)),
        }
    }

    async fn persist(&self, record: Record) -> Input {
        let kept = {
            let record = record.clone();
            blocking(self.store, move |store| match &record {
                Record::Issued(issued) => store.stage_issued(issued),
                Record::Registered(identity) => store.stage_registered(identity),
                Record::Proven(identity) => store.promote(identity),
            })
        };
        if let Err(error) = kept.await {
            return Input::NotPersisted(error);
        }
        let stage = Stage::from(&record);
        if self.found.as_ref() == Some(&stage) {
            return Input::Persisted;
        }
        tracing::info!(stage = stage.name(), detail = stage.detail(), "reached");
        (self.on_stage)(stage);
        Input::Persisted
    }

    async fn disconnect(&mut self) {
        if let Some(session) = self.session.take() {
            session.disconnect(GOODBYE).await;
        }
    }

    async fn wait(&self) -> Input {
        let incoming = async {
            match &self.session {
                Some(session) => session.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            message = incoming => match message {
                Ok(message) => Input::Message(message),
                Err(ended) => Input::Disconnected(ended),
            },
            () = until(self.machine.deadline()) => Input::Elapsed,
        }
    }
}

enum Unprepared {
    Store(StoreError),
    Key(KeyError),
}

/// Calls the store on a thread that may block.
async fn blocking<T: Send + 'static>(
    store: &Arc<dyn IdentityStore>,
    call: impl FnOnce(&dyn IdentityStore) -> T + Send + 'static,
) -> T {
    let store = Arc::clone(store);
    match tokio::task::spawn_blocking(move || call(&*store)).await {
        Ok(outcome) => outcome,
        // The call panicked; or the runtime is shutting down, and then this is never polled again.
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => std::future::pending().await,
        },
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

fn now() -> Now {
    let random = getrandom::u64().unwrap_or(u64::MAX);
    // Tokio's clock, so that a test may pause it.
    Now { instant: tokio::time::Instant::now().into_std(), wall: SystemTime::now(), random }
}
