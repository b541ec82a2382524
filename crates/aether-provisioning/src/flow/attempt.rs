//! From one attempt to the next: when one may begin, and what follows one that failed.

use std::time::{Duration, Instant, SystemTime};

use aether_mqtt::SessionEnded;

use super::io::{Action, Now};
use super::state::{Resume, State};
use super::step::Next;
use super::{CLOCK_CHECK, Issued, Provisioner, RELEASED, SAME_CLIENT_PAUSE, TOKEN_LIFETIME};
use crate::error::Pace;
use crate::retry::Verdict;
use crate::{ProvisionError, Step};

impl Provisioner {
    /// Begins an attempt, with what is known.
    pub(super) fn attempt(&mut self, now: Now) -> Next {
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
    pub(super) fn clock(&mut self, now: Now) -> Result<Option<State>, ProvisionError> {
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

    pub(super) fn forget_old_token(&mut self, now: Now) {
        // A certificate from the future tells of a clock that was set back: its token is tried. Within this run the
        // other clock knows better.
        let age = |one: &Issued| {
            let by_calendar = now.wall.duration_since(one.certificate.issued_at()).unwrap_or_default();
            by_calendar.max(now.instant.saturating_duration_since(one.since))
        };
        self.issued = self.issued.take().filter(|one| age(one) < TOKEN_LIFETIME);
    }

    /// After a failure: tells it and rests, or ends the run with it.
    pub(super) fn interrupt(&mut self, now: Now, error: ProvisionError) -> Next {
        let pace = error.pace();
        self.interrupt_at(now, error, pace)
    }

    /// As [`interrupt`](Self::interrupt), at this pace.
    pub(super) fn interrupt_at(&mut self, now: Now, error: ProvisionError, pace: Pace) -> Next {
        match self.waits.after(pace, now.random) {
            Verdict::After(delay) => {
                self.actions.clear();
                self.disconnect();
                Ok(self.report_and_rest(now, error, delay, Resume::Begin))
            }
            Verdict::Final => Err(error),
            Verdict::GiveUp(attempts) => Err(ProvisionError::GaveUp { attempts, last: Box::new(error) }),
        }
    }

    pub(super) fn report_and_rest(
        &mut self,
        now: Now,
        error: ProvisionError,
        retry_in: Duration,
        resume: Resume,
    ) -> State {
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

    pub(super) fn elapsed(&mut self, state: State, now: Now) -> Next {
        if let State::Resting { resume } = state {
            return match resume {
                Resume::Begin => self.attempt(now),
                Resume::StoreIssued => {
                    self.forget_old_token(now);
                    self.store_issued(now)
                }
                Resume::StoreRegistered { identity } => Ok(self.store_registered(*identity)),
                Resume::Prove { proof } => Ok(self.try_proof(proof)),
            };
        }
        let after = self.request.as_ref().map(|one| one.answer_timeout).unwrap_or_default();
        self.unanswered(state, now, |step| ProvisionError::Silent { step, after })
    }

    pub(super) fn disconnected(&mut self, state: State, now: Now, source: SessionEnded) -> Next {
        self.connected = false;
        self.unanswered(state, now, |step| ProvisionError::Ended { step, source })
    }

    /// The question that is open, if one is, gets no answer any more. Where none is, no connection is needed now, and
    /// there is no limit but those of connecting and keeping.
    fn unanswered(&mut self, state: State, now: Now, error: impl FnOnce(Step) -> ProvisionError) -> Next {
        if !state.asks() {
            return Ok(state);
        }
        // A RegisterThing that stays unanswered may have been carried out, and then its token is spent.
        if let (State::Registering, Some(issued)) = (&state, &mut self.issued) {
            issued.doubtful = true;
        }
        let error = error(self.arrow(&state));
        self.interrupt(now, error)
    }
}
