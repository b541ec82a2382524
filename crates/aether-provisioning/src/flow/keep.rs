//! What is kept, and how an identity proves itself.

use aether_mqtt::ConnectError;

use super::io::{Action, Login, Now, Record};
use super::state::{Proof, Resume, State};
use super::step::Next;
use super::{Provisioner, Request, SAME_CLIENT_PAUSE};
use crate::retry::Verdict;
use crate::{Identity, ProvisionError, StoreError};

impl Provisioner {
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

    pub(super) fn try_proof(&mut self, mut proof: Box<Proof>) -> State {
        proof.attempts = proof.attempts.saturating_add(1);
        self.deadline = None;
        self.actions.push_back(Action::Connect(Login::Device(proof.identity.clone())));
        State::Proving { proof }
    }

    pub(super) fn proof_failed(&mut self, now: Now, proof: Box<Proof>, source: ConnectError) -> Next {
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

    pub(super) fn persisted(&mut self, state: State, now: Now) -> Next {
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

    pub(super) fn not_persisted(&mut self, state: State, now: Now, error: StoreError) -> Next {
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

    pub(super) fn done(&mut self, identity: Identity) -> State {
        self.actions.push_back(Action::Done(identity));
        State::Done
    }
}
