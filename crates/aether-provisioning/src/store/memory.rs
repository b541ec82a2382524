//! An identity store that forgets at the end of the process.

use std::sync::{Mutex, PoisonError};

use super::{IdentityStore, StoreError, Stored};
use crate::{Identity, IssuedCertificate};

/// Keeps the identity in memory: for tests, and for programs that keep it elsewhere themselves.
#[derive(Debug)]
pub struct MemoryStore(Mutex<Contents>);

#[derive(Debug, Default)]
struct Contents {
    staged: Option<Stored>,
    active: Option<Identity>,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self(Mutex::new(Contents::default()))
    }
}

impl MemoryStore {
    fn with<T>(&self, change: impl FnOnce(&mut Contents) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl IdentityStore for MemoryStore {
    fn load(&self) -> Result<Stored, StoreError> {
        Ok(self.with(|contents| match (&contents.active, &contents.staged) {
            (Some(identity), _) => Stored::Active(identity.clone()),
            (None, Some(staged)) => staged.clone(),
            (None, None) => Stored::Empty,
        }))
    }

    fn stage_issued(&self, issued: &IssuedCertificate) -> Result<(), StoreError> {
        self.with(|contents| contents.staged = Some(Stored::Issued(issued.clone())));
        Ok(())
    }

    fn stage_registered(&self, identity: &Identity) -> Result<(), StoreError> {
        self.with(|contents| contents.staged = Some(Stored::Registered(identity.clone())));
        Ok(())
    }

    fn promote(&self, identity: &Identity) -> Result<(), StoreError> {
        self.with(|contents| {
            contents.active = Some(identity.clone());
            contents.staged = None;
        });
        Ok(())
    }
}
