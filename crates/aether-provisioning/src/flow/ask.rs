//! What is asked of the service: a certificate, then a Thing.

use aether_mqtt::{ConnectError, Message, Topic, TopicFilter};

use super::io::{Action, Login, Now, OwnKey, Record};
use super::state::State;
use super::step::Next;
use super::{Issued, Provisioner};
use crate::error::Pace;
use crate::wire::{Outcome, Rejection};
use crate::{AnswerProblem, IssuedCertificate, ProvisionError, Step};

impl Provisioner {
    pub(super) fn prepared(&mut self, state: State, now: Now, own_key: Option<OwnKey>) -> Next {
        let forgotten = own_key.is_none() && self.request.as_ref().is_some_and(|one| one.from_csr);
        if !matches!(state, State::Preparing) || forgotten {
            return Ok(state);
        }
        self.own_key = own_key;
        // Preparing may have taken long, and the clock may have been set in between.
        match self.clock(now)? {
            Some(too_early) => Ok(too_early),
            None => Ok(self.connect()),
        }
    }

    pub(super) fn not_prepared(&mut self, state: State, now: Now, error: ProvisionError) -> Next {
        if matches!(state, State::Preparing) { self.interrupt(now, error) } else { Ok(state) }
    }

    pub(super) fn connect(&mut self) -> State {
        self.deadline = None;
        self.actions.push_back(Action::Connect(Login::Claim));
        State::Connecting
    }

    pub(super) fn connected(&mut self, state: State, now: Now) -> Next {
        if let State::Connecting = state {
            self.connected = true;
            return Ok(if self.issued.is_some() { self.towards_register(now) } else { self.towards_create(now) });
        }
        if let State::Proving { proof } = state {
            self.connected = true;
            self.waits.succeeded();
            self.actions.push_back(Action::Persist(Record::Proven(proof.identity.clone())));
            return Ok(State::StoringProven { identity: Box::new(proof.identity) });
        }
        Ok(state)
    }

    pub(super) fn connect_failed(&mut self, state: State, now: Now, error: ConnectError) -> Next {
        if let State::Connecting = state {
            return self.interrupt(now, ProvisionError::Connect(error));
        }
        if let State::Proving { proof } = state {
            return self.proof_failed(now, proof, error);
        }
        Ok(state)
    }

    pub(super) fn towards_create(&mut self, now: Now) -> State {
        let Some(request) = &self.request else { return State::Failed };
        let missing = request.create.answers().to_vec();
        self.subscribe(now, &missing);
        State::SubscribingCreate { missing }
    }

    pub(super) fn towards_register(&mut self, now: Now) -> State {
        let Some(request) = &self.request else { return State::Failed };
        let missing = request.register.answers().to_vec();
        self.subscribe(now, &missing);
        State::SubscribingRegister { missing }
    }

    pub(super) fn subscribed(&mut self, state: State, now: Now, filter: &TopicFilter) -> Next {
        let others = |mut missing: Vec<TopicFilter>| {
            missing.retain(|one| one != filter);
            missing
        };
        if let State::SubscribingCreate { missing } = state {
            let missing = others(missing);
            return Ok(if missing.is_empty() { self.ask_create(now) } else { State::SubscribingCreate { missing } });
        }
        if let State::SubscribingRegister { missing } = state {
            let missing = others(missing);
            if missing.is_empty() {
                return self.ask_register(now);
            }
            return Ok(State::SubscribingRegister { missing });
        }
        Ok(state)
    }

    pub(super) fn ask_create(&mut self, now: Now) -> State {
        let Some(request) = &self.request else { return State::Failed };
        let payload = match &self.own_key {
            Some(own) => request.encoding.csr_request(&own.request),
            None => request.encoding.create_request(),
        };
        self.ask(now, request.create.request.clone(), payload);
        State::Creating
    }

    pub(super) fn created(&mut self, now: Now, message: &Message) -> Next {
        let Some(request) = &self.request else { return Ok(State::Failed) };
        let step = if request.from_csr { Step::CreateFromCsr } else { Step::Create };
        match request.create.outcome(&message.topic) {
            None => Ok(State::Creating),
            Some(Outcome::Rejected) => {
                let error = self.rejection(step, &message.payload);
                self.interrupt(now, error)
            }
            Some(Outcome::Accepted) => {
                let own_key = self.own_key.as_ref().map(|own| &own.key);
                match request.encoding.read_created(&message.payload, own_key) {
                    Err(source) => self.interrupt(now, ProvisionError::Answer { step, source }),
                    Ok(created) => {
                        // Its hour may have begun as early as that: the answer may have been long on its way.
                        let since = self.asked.unwrap_or(now.instant);
                        let issued_at = now.wall.checked_sub(now.instant.saturating_duration_since(since));
                        let certificate = IssuedCertificate::new(
                            created.certificate_id,
                            created.credentials,
                            created.token,
                            issued_at.unwrap_or(now.wall),
                        );
                        self.issued = Some(Issued { certificate, since, found: false, doubtful: false });
                        self.store_issued(now)
                    }
                }
            }
        }
    }

    pub(super) fn store_issued(&mut self, now: Now) -> Next {
        let Some(issued) = &self.issued else { return self.attempt(now) };
        self.deadline = None;
        self.actions.push_back(Action::Persist(Record::Issued(issued.certificate.clone())));
        Ok(State::StoringIssued)
    }

    pub(super) fn ask_register(&mut self, now: Now) -> Next {
        self.forget_old_token(now);
        let (Some(request), Some(issued)) = (&self.request, &self.issued) else { return self.attempt(now) };
        let payload = request.encoding.register_request(issued.certificate.token(), &request.parameters);
        self.ask(now, request.register.request.clone(), payload);
        Ok(State::Registering)
    }

    pub(super) fn registered(&mut self, now: Now, message: &Message) -> Next {
        let Some(request) = &self.request else { return Ok(State::Failed) };
        let step = Step::Register;
        match request.register.outcome(&message.topic) {
            None => Ok(State::Registering),
            Some(Outcome::Rejected) => {
                let rejection = request.encoding.read_rejected(&message.payload);
                let spent = self.issued.as_ref().is_some_and(|one| one.doubtful)
                    && rejection.as_ref().is_ok_and(Rejection::may_concern_token);
                if spent {
                    // The answer to its first use was lost, or was of no use. A new certificate, and not for ever: the
                    // one before may have stayed behind.
                    let found = self.issued.take().is_some_and(|one| one.found);
                    if let Ok(Rejection { status_code, error_code, error_message }) = rejection {
                        let error = ProvisionError::TokenRefused { status_code, error_code, error_message };
                        // What an earlier run left is not counted: it would be found at each start, and end each.
                        let pace = if found { Pace::Normal } else { error.pace() };
                        return self.interrupt_at(now, error, pace);
                    }
                    return self.attempt(now);
                }
                // A service that failed does not say how far it came.
                if let Some(issued) = self.issued.as_mut().filter(|_| !rejection.is_ok_and(|one| one.is_refusal())) {
                    issued.doubtful = true;
                }
                let error = self.rejection(step, &message.payload);
                self.interrupt(now, error)
            }
            Some(Outcome::Accepted) => {
                let answer = match request.encoding.read_registered(&message.payload) {
                    Ok(answer) => answer,
                    Err(source) => return self.unusable_thing(now, source),
                };
                let template = request.template.clone();
                let Some(thing_name) = answer.thing_name else { return Err(ProvisionError::NoThingName { template }) };
                if let Some(expected) = request.renews.as_ref().filter(|one| **one != thing_name) {
                    let expected = expected.clone();
                    return Err(ProvisionError::OtherThing { template, expected, found: thing_name });
                }
                let Some(issued) = self.issued.take() else { return Ok(State::Registering) };
                self.waits.succeeded();
                Ok(self.store_registered(issued.certificate.registered(thing_name, answer.device_configuration)))
            }
        }
    }

    /// The service has registered something, and its answer cannot be used: the token is spent.
    pub(super) fn unusable_thing(&mut self, now: Now, source: AnswerProblem) -> Next {
        if let Some(issued) = &mut self.issued {
            issued.doubtful = true;
        }
        self.interrupt(now, ProvisionError::Answer { step: Step::Register, source })
    }

    pub(super) fn subscribe(&mut self, now: Now, filters: &[TopicFilter]) {
        self.actions.extend(filters.iter().cloned().map(Action::Subscribe));
        self.set_answer_deadline(now);
    }

    pub(super) fn ask(&mut self, now: Now, topic: Topic, payload: Vec<u8>) {
        self.actions.push_back(Action::Publish { topic, payload });
        self.asked = Some(now.instant);
        self.set_answer_deadline(now);
    }

    pub(super) fn set_answer_deadline(&mut self, now: Now) {
        self.deadline = self.request.as_ref().map(|one| now.instant + one.answer_timeout);
    }

    pub(super) fn arrow(&self, state: &State) -> Step {
        state.arrow(self.request.as_ref().is_some_and(|one| one.from_csr))
    }

    pub(super) fn rejection(&self, step: Step, payload: &[u8]) -> ProvisionError {
        let encoding = self.request.as_ref().map(|one| one.encoding).unwrap_or_default();
        match encoding.read_rejected(payload) {
            Ok(Rejection { status_code, error_code, error_message }) => {
                ProvisionError::Rejected { step, status_code, error_code, error_message }
            }
            Err(source) => ProvisionError::Answer { step, source },
        }
    }
}
