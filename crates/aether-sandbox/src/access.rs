//! What one connection may do, by the account as it is now.
//!
//! What the account says of a certificate is worked out once and kept until something in the account
//! changes; so a decision costs no more with many Things than with one, and a changed policy counts
//! from the next packet on.

use std::sync::{Arc, Mutex, PoisonError};

use crate::CertificateId;
use crate::account::{Account, Effective, Millis};
use crate::policy::{Action, Request, Verdict, evaluate};

/// The rights of a certificate that connects with one client id.
#[derive(Debug)]
pub(crate) struct Access {
    account: Arc<Account>,
    certificate: CertificateId,
    client_id: String,
    known: Mutex<Option<Known>>,
}

#[derive(Debug)]
struct Known {
    generation: u64,
    effective: Option<Arc<Effective>>,
}

impl Access {
    pub(crate) fn new(account: Arc<Account>, certificate: CertificateId, client_id: String) -> Self {
        Self { account, certificate, client_id, known: Mutex::default() }
    }

    /// What the account says now; `None` when the certificate is gone.
    pub(crate) fn effective(&self) -> Option<Arc<Effective>> {
        // Read before the tables: a change in between makes the next question work it out again.
        let generation = self.account.generation();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.as_ref().filter(|known| known.generation == generation) {
            return known.effective.clone();
        }
        let now = Millis::from(self.account.clock().now());
        let effective = self.account.read().effective(&self.certificate, &self.client_id, now).map(Arc::new);
        *known = Some(Known { generation, effective: effective.clone() });
        effective
    }

    /// Decides one action. A certificate that is gone may do nothing.
    pub(crate) fn decide(&self, action: Action, target: &str) -> Verdict {
        let effective = self.effective();
        let policies = effective.as_ref().map_or(&[][..], |effective| &effective.policies);
        evaluate(policies, Request { action, target, client_id: &self.client_id })
    }
}
