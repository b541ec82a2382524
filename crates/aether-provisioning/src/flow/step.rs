//! Every transition: for each input, what each state makes of it.

use super::io::Input;
use super::state::State;
use super::{Now, Provisioner};
use crate::ProvisionError;

/// The next state, or why there is none.
pub(super) type Next = Result<State, ProvisionError>;

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
}
