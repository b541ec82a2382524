//! Begins again: what devices have left behind is forgotten.

use serde::Serialize;

use super::Broker;
use crate::account::AccountError;

/// How much was forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Forgotten {
    pub(crate) things: usize,
    pub(crate) certificates: usize,
    pub(crate) sessions: usize,
    pub(crate) retained_messages: usize,
}

impl Broker {
    /// Forgets Things, device certificates, sessions and retained messages. Blocks.
    ///
    /// The account comes first: whoever is cut cannot come back with what is gone. A message retained
    /// in between stays.
    pub(crate) fn forget_devices(&self) -> Result<Forgotten, AccountError> {
        let (things, certificates) = self.account.change(|tx| tx.forget_devices())?;
        Ok(Forgotten {
            things,
            certificates,
            sessions: self.router.forget(),
            retained_messages: self.retained.forget(),
        })
    }
}
