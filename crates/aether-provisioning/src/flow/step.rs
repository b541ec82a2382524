//! Every transition: for each input, what each state makes of it.

use std::time::{Duration, Instant, SystemTime};

use aether_mqtt::{ConnectError, Message, SessionEnded, Topic, TopicFilter};

use super::io::{Action, Input, Login, Now, OwnKey, Record};
use super::state::{Proof, Resume, State};
use super::{CLOCK_CHECK, Issued, Provisioner, RELEASED, Request, SAME_CLIENT_PAUSE, TOKEN_LIFETIME};
use crate::retry::Verdict;
use crate::wire::{Outcome, Rejection};
use crate::{AnswerProblem, Identity, IssuedCertificate, ProvisionError, Step, StoreError};

type Next = Result<State, ProvisionError>;

impl Provisioner {
    pub(super) fn step(&mut self, state: State, now: Now, input: Input) -> Next {
        match input {
            Input::Prepared(own_key) => self.prepared(state, now, own_key),
            Input::NotPrepared(error) => self.not_prepared(state, now, ProvisionError::Store(error)),
            Input::NoKey(error) => self.not_prepared(state, now, ProvisionError::Key(error)),
            Input::Connected => self.connected(state, now),
            Input::ConnectFailed(error) => self.connect_failed(state, now, error),
            Input::Subscribed(filter) => self.subscribed(state, now, &filter),
            Input::SubscribeRefused(source) => {
                if let State::SubscribingCreate { .. } | State::SubscribingRegister { .. } = state {
                    let step = self.arrow(&state);
                    return self.interrupt(now, ProvisionError::SubscriptionRefused { step, source });
                }
                Ok(state)
            }
            Input::PublishRefused(source) => {
                if let State::Creating | State::Registering = state {
                    return Err(ProvisionError::Request { step: self.arrow(&state), source });
                }
                Ok(state)
            }
            Input::Message(message) => {
                if let State::Creating = state {
                    return self.created(now, &message);
                }
                if let State::Registering = state {
                    return self.registered(now, &message);
                }
                // Late, early or twice: it belongs to no question that is open.
                Ok(state)
            }
            Input::Persisted => self.persisted(state, now),
            Input::NotPersisted(error) => self.not_persisted(state, now, error),
            Input::Elapsed => match self.deadline {
                Some(deadline) if now.instant >= deadline => self.elapsed(state, now),
                Some(_) | None => Ok(state),
            },
            Input::Disconnected(source) => self.disconnected(state, now, source),
        }
    }

    // --- From one attempt to the next -------------------------------------------------------------------------------

    /// Begins an attempt, with what is known.
    fn attempt(&mut self, now: Now) -> Next {
        let Some(from_csr) = self.request.as_ref().map(|one| one.from_csr) else { return Ok(State::Failed) };
        if let Some(too_early) = self.clock(now)? {
            return Ok(too_early);
        }
        self.forget_old_token(now);
        if self.issued.is_some() {
            return Ok(if self.connected { self.towards_register(now) } else { self.connect() });
        }
        if self.connected {
            // A session is asked once for each: an answer that came twice is then never taken for another's.
            self.disconnect();
            return Ok(self.rest(Resume::Begin, now.instant + SAME_CLIENT_PAUSE));
        }
        self.actions.push_back(Action::Prepare { own_key: from_csr });
        self.deadline = None;
        Ok(State::Preparing)
    }

    /// Whether the clock shows a time in which the claim can be good; where it is too early, the state to wait in.
    fn clock(&mut self, now: Now) -> Result<Option<State>, ProvisionError> {
        let Some(request) = &self.request else { return Ok(None) };
        let least = request.not_before.max(SystemTime::UNIX_EPOCH + RELEASED);
        if now.wall < least {
            let error = ProvisionError::Clock { found: now.wall, least };
            return Ok(Some(self.report_and_rest(now, error, CLOCK_CHECK, Resume::Begin)));
        }
        if now.wall > request.not_after {
            return Err(ProvisionError::ClaimExpired { at: request.not_after, found: now.wall });
        }
        Ok(None)
    }

    fn forget_old_token(&mut self, now: Now) {
        // A certificate from the future tells of a clock that was set back: its token is tried. Within this run the
        // other clock knows better.
        let age = |one: &Issued| {
            let by_calendar = now.wall.duration_since(one.certificate.issued_at()).unwrap_or_default();
            by_calendar.max(now.instant.saturating_duration_since(one.since))
        };
        self.issued = self.issued.take().filter(|one| age(one) < TOKEN_LIFETIME);
    }

    /// After a failure: tells it and rests, or ends the run with it.
    fn interrupt(&mut self, now: Now, error: ProvisionError) -> Next {
        match self.waits.after(error.pace(), now.random) {
            Verdict::After(delay) => {
                self.actions.clear();
                self.disconnect();
                Ok(self.report_and_rest(now, error, delay, Resume::Begin))
            }
            Verdict::Final => Err(error),
            Verdict::GiveUp(attempts) => Err(ProvisionError::GaveUp { attempts, last: Box::new(error) }),
        }
    }

    fn report_and_rest(&mut self, now: Now, error: ProvisionError, retry_in: Duration, resume: Resume) -> State {
        self.actions.push_back(Action::Report { error, retry_in: Some(retry_in) });
        self.rest(resume, now.instant + retry_in)
    }

    pub(super) fn rest(&mut self, resume: Resume, until: Instant) -> State {
        self.deadline = Some(until);
        State::Resting { resume }
    }

    pub(super) fn disconnect(&mut self) {
        if std::mem::take(&mut self.connected) {
            self.actions.push_back(Action::Disconnect);
        }
    }

    fn elapsed(&mut self, state: State, now: Now) -> Next {
        match state {
            State::Resting { resume } => match resume {
                Resume::Begin => self.attempt(now),
                Resume::StoreIssued => {
                    self.forget_old_token(now);
                    self.store_issued(now)
                }
                Resume::StoreRegistered { identity } => Ok(self.store_registered(*identity)),
                Resume::Prove { proof } => Ok(self.try_proof(proof)),
            },
            State::SubscribingCreate { .. }
            | State::Creating
            | State::SubscribingRegister { .. }
            | State::Registering => {
                let after = self.request.as_ref().map(|one| one.answer_timeout).unwrap_or_default();
                let step = self.arrow(&state);
                self.doubt_token(&state);
                self.interrupt(now, ProvisionError::Silent { step, after })
            }
            // These set no deadline: connecting and keeping have limits of their own.
            other @ (State::Preparing
            | State::Connecting
            | State::StoringIssued
            | State::StoringRegistered { .. }
            | State::Proving { .. }
            | State::StoringProven { .. }
            | State::Done
            | State::Failed) => Ok(other),
        }
    }

    /// A RegisterThing that stays unanswered may have been carried out, and then its token is spent.
    fn doubt_token(&mut self, state: &State) {
        if let (State::Registering, Some(issued)) = (state, &mut self.issued) {
            issued.doubtful = true;
        }
    }

    fn disconnected(&mut self, state: State, now: Now, source: SessionEnded) -> Next {
        self.connected = false;
        match state {
            State::SubscribingCreate { .. }
            | State::Creating
            | State::SubscribingRegister { .. }
            | State::Registering => {
                let step = self.arrow(&state);
                self.doubt_token(&state);
                self.interrupt(now, ProvisionError::Ended { step, source })
            }
            // No connection is needed now, or the one needed is not there yet.
            other @ (State::Preparing
            | State::Connecting
            | State::StoringIssued
            | State::StoringRegistered { .. }
            | State::Proving { .. }
            | State::StoringProven { .. }
            | State::Resting { .. }
            | State::Done
            | State::Failed) => Ok(other),
        }
    }

    // --- Towards a certificate --------------------------------------------------------------------------------------

    fn prepared(&mut self, state: State, now: Now, own_key: Option<OwnKey>) -> Next {
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

    fn not_prepared(&mut self, state: State, now: Now, error: ProvisionError) -> Next {
        if matches!(state, State::Preparing) { self.interrupt(now, error) } else { Ok(state) }
    }

    fn connect(&mut self) -> State {
        self.deadline = None;
        self.actions.push_back(Action::Connect(Login::Claim));
        State::Connecting
    }

    fn connected(&mut self, state: State, now: Now) -> Next {
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

    fn connect_failed(&mut self, state: State, now: Now, error: ConnectError) -> Next {
        if let State::Connecting = state {
            return self.interrupt(now, ProvisionError::Connect(error));
        }
        if let State::Proving { proof } = state {
            return self.proof_failed(now, proof, error);
        }
        Ok(state)
    }

    fn towards_create(&mut self, now: Now) -> State {
        let Some(request) = &self.request else { return State::Failed };
        let missing = request.create.answers().to_vec();
        self.subscribe(now, &missing);
        State::SubscribingCreate { missing }
    }

    fn towards_register(&mut self, now: Now) -> State {
        let Some(request) = &self.request else { return State::Failed };
        let missing = request.register.answers().to_vec();
        self.subscribe(now, &missing);
        State::SubscribingRegister { missing }
    }

    fn subscribed(&mut self, state: State, now: Now, filter: &TopicFilter) -> Next {
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

    fn ask_create(&mut self, now: Now) -> State {
        let Some(request) = &self.request else { return State::Failed };
        let payload = match &self.own_key {
            Some(own) => request.encoding.csr_request(&own.request),
            None => request.encoding.create_request(),
        };
        self.ask(now, request.create.request.clone(), payload);
        State::Creating
    }

    fn created(&mut self, now: Now, message: &Message) -> Next {
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
                        self.issued = Some(Issued { certificate, since, doubtful: false });
                        self.store_issued(now)
                    }
                }
            }
        }
    }

    // --- Towards a Thing --------------------------------------------------------------------------------------------

    fn store_issued(&mut self, now: Now) -> Next {
        let Some(issued) = &self.issued else { return self.attempt(now) };
        self.deadline = None;
        self.actions.push_back(Action::Persist(Record::Issued(issued.certificate.clone())));
        Ok(State::StoringIssued)
    }

    fn ask_register(&mut self, now: Now) -> Next {
        self.forget_old_token(now);
        let (Some(request), Some(issued)) = (&self.request, &self.issued) else { return self.attempt(now) };
        let payload = request.encoding.register_request(issued.certificate.token(), &request.parameters);
        self.ask(now, request.register.request.clone(), payload);
        Ok(State::Registering)
    }

    fn registered(&mut self, now: Now, message: &Message) -> Next {
        let Some(request) = &self.request else { return Ok(State::Failed) };
        let step = Step::Register;
        match request.register.outcome(&message.topic) {
            None => Ok(State::Registering),
            Some(Outcome::Rejected) => {
                let rejection = request.encoding.read_rejected(&message.payload);
                let spent = self.issued.as_ref().is_some_and(|one| one.doubtful)
                    && rejection.as_ref().is_ok_and(Rejection::may_concern_token);
                if spent {
                    // The answer to its first use was lost. A new certificate.
                    self.issued = None;
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
    fn unusable_thing(&mut self, now: Now, source: AnswerProblem) -> Next {
        if let Some(issued) = &mut self.issued {
            issued.doubtful = true;
        }
        self.interrupt(now, ProvisionError::Answer { step: Step::Register, source })
    }

    // --- Towards a proof --------------------------------------------------------------------------------------------

    pub(super) fn store_registered(&mut self, identity: Identity) -> State {
        self.deadline = None;
        self.actions.push_back(Action::Persist(Record::Registered(identity.clone())));
        State::StoringRegistered { identity: Box::new(identity) }
    }

    /// Leaves the session of who asked, and connects as the device.
    pub(super) fn prove(&mut self, now: Now, identity: Identity) -> State {
        let asked = self.connected;
        self.disconnect();
        let same_client = |one: &Request| one.client_id == identity.thing_name().as_str();
        let pause = asked && self.request.as_ref().is_some_and(same_client);
        let proof = Box::new(Proof { identity, attempts: 0, since: now.instant });
        if pause {
            return self.rest(Resume::Prove { proof }, now.instant + SAME_CLIENT_PAUSE);
        }
        self.try_proof(proof)
    }

    fn try_proof(&mut self, mut proof: Box<Proof>) -> State {
        proof.attempts = proof.attempts.saturating_add(1);
        self.deadline = None;
        self.actions.push_back(Action::Connect(Login::Device(proof.identity.clone())));
        State::Proving { proof }
    }

    fn proof_failed(&mut self, now: Now, proof: Box<Proof>, source: ConnectError) -> Next {
        let error = ProvisionError::Prove { thing_name: proof.identity.thing_name().clone(), source };
        let waited = now.instant.saturating_duration_since(proof.since);
        if self.activation.is_some_and(|most| waited >= most) {
            return Err(ProvisionError::GaveUp { attempts: proof.attempts, last: Box::new(error) });
        }
        match self.waits.after(error.pace(), now.random) {
            Verdict::After(delay) => Ok(self.report_and_rest(now, error, delay, Resume::Prove { proof })),
            Verdict::Final | Verdict::GiveUp(_) => Err(error),
        }
    }

    // --- What was kept, or not --------------------------------------------------------------------------------------

    fn persisted(&mut self, state: State, now: Now) -> Next {
        if let State::StoringIssued = state {
            self.waits.succeeded();
            // Looks at the token's age, too: keeping it may have taken long.
            return self.attempt(now);
        }
        if let State::StoringRegistered { identity } = state {
            return Ok(self.prove(now, *identity));
        }
        if let State::StoringProven { identity } = state {
            return Ok(self.done(*identity));
        }
        Ok(state)
    }

    fn not_persisted(&mut self, state: State, now: Now, error: StoreError) -> Next {
        if let State::StoringProven { identity } = state {
            // It works, and stays what it is on disk: registered. The next start proves it again.
            self.actions.push_back(Action::Report { error: ProvisionError::Store(error), retry_in: None });
            return Ok(self.done(*identity));
        }
        let resume = if let State::StoringIssued = state {
            Resume::StoreIssued
        } else if let State::StoringRegistered { identity } = state {
            Resume::StoreRegistered { identity }
        } else {
            return Ok(state);
        };
        let error = ProvisionError::Store(error);
        match self.waits.after(error.pace(), now.random) {
            // The session stays open: the next question is asked on it.
            Verdict::After(delay) => Ok(self.report_and_rest(now, error, delay, resume)),
            Verdict::Final | Verdict::GiveUp(_) => Err(error),
        }
    }

    fn done(&mut self, identity: Identity) -> State {
        self.actions.push_back(Action::Done(identity));
        State::Done
    }

    // --- Small parts ------------------------------------------------------------------------------------------------

    fn subscribe(&mut self, now: Now, filters: &[TopicFilter]) {
        self.actions.extend(filters.iter().cloned().map(Action::Subscribe));
        self.set_answer_deadline(now);
    }

    fn ask(&mut self, now: Now, topic: Topic, payload: Vec<u8>) {
        self.actions.push_back(Action::Publish { topic, payload });
        self.asked = Some(now.instant);
        self.set_answer_deadline(now);
    }

    fn set_answer_deadline(&mut self, now: Now) {
        self.deadline = self.request.as_ref().map(|one| now.instant + one.answer_timeout);
    }

    fn arrow(&self, state: &State) -> Step {
        state.arrow(self.request.as_ref().is_some_and(|one| one.from_csr))
    }

    fn rejection(&self, step: Step, payload: &[u8]) -> ProvisionError {
        let encoding = self.request.as_ref().map(|one| one.encoding).unwrap_or_default();
        match encoding.read_rejected(payload) {
            Ok(Rejection { status_code, error_code, error_message }) => {
                ProvisionError::Rejected { step, status_code, error_code, error_message }
            }
            Err(source) => ProvisionError::Answer { step, source },
        }
    }
}
