//! An identity store that forgets at the end of the process.

use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use aether_mqtt::PrivateKey;

use super::{Contents, IdentityStore, Staged, StoreError};
use crate::{Identity, IssuedCertificate};

/// Keeps the identity in memory: for tests, and for programs that keep it elsewhere themselves.
#[derive(Debug, Default)]
pub struct MemoryStore(Mutex<Contents>);

impl MemoryStore {
    fn with<T>(&self, change: impl FnOnce(&mut Contents) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl IdentityStore for MemoryStore {
    fn load(&self, _now: SystemTime) -> Result<Contents, StoreError> {
        Ok(self.with(|contents| contents.clone()))
    }

    fn prepare(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn stage_key(&self, key: &PrivateKey) -> Result<(), StoreError> {
        self.with(|contents| contents.staged = Staged::Key(key.clone()));
        Ok(())
    }

    fn stage_issued(&self, issued: &IssuedCertificate) -> Result<(), StoreError> {
        self.with(|contents| contents.staged = Staged::Issued(issued.clone()));
        Ok(())
    }

    fn stage_registered(&self, identity: &Identity) -> Result<(), StoreError> {
        self.with(|contents| contents.staged = Staged::Registered(identity.clone()));
        Ok(())
    }

    fn promote(&self, identity: &Identity) -> Result<(), StoreError> {
        self.with(|contents| {
            let id = identity.certificate_id();
            if contents.active.as_ref().is_none_or(|active| active.certificate_id() != id) {
                contents.previous = contents.active.replace(identity.clone());
                contents.unconfirmed = contents.previous.is_some();
                contents.staged = Staged::Nothing;
            }
        });
        Ok(())
    }

    fn confirm(&self) -> Result<(), StoreError> {
        self.with(|contents| contents.unconfirmed = false);
        Ok(())
    }

    fn discard_staged(&self) -> Result<(), StoreError> {
        self.with(|contents| contents.staged = Staged::Nothing);
        Ok(())
    }
}
