//! What the machine asks for, done: on the simulated disk, in the network, in the cloud.

use aether_mqtt::ConnectError;
use aether_provisioning::{Action, IdentityStore as _, Input, Login, OwnKey, Record, Staged, StoreError};
use std::time::UNIX_EPOCH;

use super::{Packet, Process, SANE, Turn, World};
use crate::cloud::{self, Status};
use crate::ledger::Held;
use crate::schedule::Fate;

impl World<'_> {
    pub(super) fn perform(&mut self, process: &mut Process, action: Action) -> Turn {
        match action {
            Action::Prepare { own_key } => {
                assert_eq!(own_key, self.scenario.own_key);
                let input = match self.prepare(process, own_key) {
                    Ok(own) => Input::Prepared(own),
                    Err(error) => Input::NotPrepared(error),
                };
                return self.called(process, input);
            }
            Action::Persist(record) => {
                let input = match self.persist(process, &record) {
                    Ok(()) => Input::Persisted,
                    Err(error) => Input::NotPersisted(error),
                };
                return self.called(process, input);
            }
            Action::Connect(login) => {
                let input = self.connect(process, &login);
                return self.called(process, input);
            }
            Action::Subscribe(filter) => {
                if process.connected {
                    process.network.push_back(Packet::Suback(filter.as_str().to_owned()));
                }
            }
            Action::Publish { topic, payload } => self.publish(process, topic.as_str(), &payload),
            Action::Disconnect => process.hang_up(),
            Action::Report { error, retry_in } => {
                assert!(error.is_retryable() || retry_in.is_none(), "{error:?}");
            }
            Action::Done(identity) => return Turn::Done(identity),
            other => panic!("an action this test does not know: {other:?}"),
        }
        Turn::On
    }

    /// A call has ended; the machine hears of it when its turn comes.
    fn called(&mut self, process: &mut Process, input: Input) -> Turn {
        if self.disk.is_dead() {
            self.ledger.may_cost_one();
            return Turn::Killed;
        }
        assert!(process.local.replace(input).is_none(), "two calls at once");
        Turn::On
    }

    fn prepare(&mut self, process: &Process, own_key: bool) -> Result<Option<OwnKey>, StoreError> {
        process.store.prepare()?;
        if !own_key {
            return Ok(None);
        }
        let key = match process.store.load(self.wall())?.staged {
            Staged::Key(key) => key,
            Staged::Nothing | Staged::Issued(_) | Staged::Registered(_) => {
                let kept = matches!(self.ledger.held, Held::Key(_)) && self.all_read;
                assert!(!kept, "a new key where one is kept");
                let key = aether_provisioning::KeySource::make(&*self.keys).unwrap();
                let held = Held::Key(key.public_key_der().to_vec());
                self.ledger.attempt(held.clone());
                let staged = process.store.stage_key(&key);
                self.ledger.check_disk(&self.disk, self.wall());
                staged?;
                self.ledger.kept(held);
                key
            }
        };
        Ok(Some(OwnKey { request: cloud::signing_request(&key), key }))
    }

    fn persist(&mut self, process: &Process, record: &Record) -> Result<(), StoreError> {
        let store = &process.store;
        let kept = match record {
            Record::Issued(issued) => {
                let held = Held::Issued(issued.certificate_id().to_string());
                self.ledger.attempt(held.clone());
                let kept = store.stage_issued(issued);
                if kept.is_ok() {
                    self.ledger.kept(held);
                }
                kept
            }
            Record::Registered(identity) => {
                let held = Held::Registered(identity.certificate_id().to_string());
                self.ledger.attempt(held.clone());
                let kept = store.stage_registered(identity);
                if kept.is_ok() {
                    self.ledger.kept(held);
                }
                kept
            }
            Record::Proven(identity) => {
                let id = identity.certificate_id().as_str();
                self.ledger.attempt_promotion(id);
                let promoted = store.promote(identity);
                if promoted.is_ok() {
                    self.ledger.promoted(id);
                }
                promoted
            }
            other => panic!("a record this test does not know: {other:?}"),
        };
        self.ledger.check_disk(&self.disk, self.wall());
        kept
    }

    fn connect(&mut self, process: &mut Process, login: &Login) -> Input {
        assert!(!process.connected, "two connections at once");
        match login {
            Login::Claim => {
                assert!(self.wall() >= UNIX_EPOCH + SANE, "the claim is used by a clock that is not set");
            }
            Login::Device(identity) => {
                let id = identity.certificate_id().as_str();
                self.ledger.is_kept(&Held::Registered(id.to_owned()));
                assert_eq!(self.cloud.find(id).status, Status::Active, "before it is registered");
            }
        }
        if std::mem::take(&mut self.connect_fails) {
            return Input::ConnectFailed(ConnectError::Closed { endpoint: "localhost:8883".to_owned() });
        }
        process.connected = true;
        Input::Connected
    }

    fn publish(&mut self, process: &mut Process, topic: &str, payload: &[u8]) {
        assert!(process.open.is_none(), "two requests in flight");
        if !process.connected {
            return;
        }
        if topic.starts_with("$aws/certificates/") {
            assert_eq!(topic.contains("from-csr"), self.scenario.own_key);
            self.ledger.asks_for_certificate(&self.cloud, self.elapsed);
        } else {
            self.ledger.asks_for_thing(&cloud::token_owner(topic, payload));
        }
        // An answer that comes twice could be taken for another's.
        assert!(!process.asked.iter().any(|one| one == topic), "asked twice on one session: {topic}");
        process.asked.push(topic.to_owned());
        let fate = self.fate.take();
        match fate {
            Some(Fate::Unanswered | Fate::DoneAndRefused) => self.ledger.may_cost_one(),
            Some(Fate::Garbled) => {
                self.ledger.may_cost_one();
                self.ledger.bounded += 1;
            }
            Some(Fate::Refused(400)) => {
                self.ledger.may_cost_one();
                self.ledger.denied += 1;
            }
            Some(Fate::Refused(403) | Fate::RefusedGarbled) => self.ledger.bounded += 1,
            Some(Fate::Refused(_) | Fate::Lost) | None => {}
        }
        process.questions += 1;
        process.open = Some(process.questions);
        if let Some(answer) = self.cloud.request(self.elapsed, topic, payload, fate) {
            process.network.push_back(Packet::Answer(process.open, answer));
        }
    }
}
