//! What is kept, and how an identity proves itself.

use std::time::Duration;

use aether_mqtt::ConnectError;

use super::io::{Action, Login, Now, Record};
use super::state::{Proof, Resume, State};
use super::step::Next;
use super::{Provisioner, Request, SAME_CLIENT_PAUSE};
use crate::error::Pace;
use crate::retry::Verdict;
use crate::{Identity, ProvisionError, StoreError};

/// After how many refusals of a renewed identity the present one goes on.
const RENEWAL_REFUSALS: u32 = 5;

/// After how many refusals, and how long, a registered identity is given up and the claim used again: a policy may take
/// minutes to spread, and a person hours to activate something.
const IDENTITY_REFUSALS: u32 = 20;
const IDENTITY_PATIENCE: Duration = Duration::from_secs(6 * 3600);

/// Whether the broker was there and did not want this client.
fn is_refusal(error: &ConnectError) -> bool {
    matches!(error, ConnectError::CertificateRefused { .. } | ConnectError::Closed { .. })
        || matches!(error, ConnectError::Refused { return_code: 4 | 5, .. })
}

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
        let proof = Box::new(Proof { identity, attempts: 0, refusals: 0, refused_since: None });
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

    pub(super) fn proof_failed(&mut self, now: Now, mut proof: Box<Proof>, source: ConnectError) -> Next {
        // A network that is away says nothing about the identity.
        if is_refusal(&source) {
            proof.refusals = proof.refusals.saturating_add(1);
            proof.refused_since.get_or_insert(now.instant);
        }
        let refused_for =
            proof.refused_since.map_or(Duration::ZERO, |since| now.instant.saturating_duration_since(since));
        let error = ProvisionError::Prove { thing_name: proof.identity.thing_name().clone(), source };
        let given_up = |error| ProvisionError::GaveUp { attempts: proof.attempts, last: Box::new(error) };
        match (&self.request, self.activation) {
            (_, Some(most)) if proof.refusals > 0 && refused_for >= most => return Err(given_up(error)),
            // There is an identity that works: the next one is asked for anew another time.
            (Some(Request { renews: Some(_), .. }), _) if proof.refusals >= RENEWAL_REFUSALS => {
                return Err(given_up(error));
            }
            // It will not work any more; the claim gets the device another one.
            (Some(_), None) if proof.refusals >= IDENTITY_REFUSALS && refused_for >= IDENTITY_PATIENCE => {
                return self.interrupt_at(now, error, Pace::Bounded);
            }
            (_, _) => {}
        }
        match self.waits.after(error.pace(), now.random) {
            Verdict::After(delay) => Ok(self.report_and_rest(now, error, delay, Resume::Prove { proof })),
            Verdict::Final | Verdict::GiveUp(_) => Err(error),
        }
    }

    pub(super) fn persisted(&mut self, state: State, now: Now) -> Next {
        if let State::StoringIssued = state {
            self.waits.progressed();
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
