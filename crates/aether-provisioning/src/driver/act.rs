//! What the machine says is done here: with the connection, the store and the device's key.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use aether_mqtt::{ConnectOptions, PublishError, SubscribeError, Topic, TopicFilter};

use super::run::Driver;
use crate::claim::KeyPlan;
use crate::flow::{Input, Login, OwnKey, Record};
use crate::stage::Stage;
use crate::{Claim, IdentityStore, KeyError, SigningRequest, Staged, StoreError};

/// Longest goodbye to the broker.
const GOODBYE: Duration = Duration::from_secs(1);

/// Common name of the subject of signing requests. The service gives the certificate its own.
const COMMON_NAME: &str = "Aether device";

impl Driver<'_> {
    pub(super) async fn prepare(&self, own_key: bool) -> Input {
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

    pub(super) async fn connect(&mut self, login: Login) -> Input {
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
            (Login::Device(identity), None, Some(adoption)) => Some(adoption.device_options(identity)),
            (Login::Claim | Login::Device(_), None, _) => None,
        }
    }

    pub(super) async fn subscribe(&self, filter: TopicFilter) -> Input {
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
    pub(super) fn publish(&self, topic: &Topic, payload: Vec<u8>) -> Option<Input> {
        match self.session.as_ref()?.publish(topic, Arc::from(payload)) {
            // The answer says more than the acknowledgement, and a session that ends is heard of while waiting for it.
            Ok(_ticket) => None,
            Err(PublishError::Ended(ended)) => Some(Input::Disconnected(ended)),
            Err(refused) => Some(Input::PublishRefused(refused)),
        }
    }

    pub(super) async fn persist(&self, record: Record) -> Input {
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

    pub(super) async fn disconnect(&mut self) {
        if let Some(session) = self.session.take() {
            session.disconnect(GOODBYE).await;
        }
    }

    pub(super) async fn wait(&self) -> Input {
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
pub(super) async fn blocking<T: Send + 'static>(
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
