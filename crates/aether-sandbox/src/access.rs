//! What one connection may do, by the account as it is now.
//!
//! What the account says of a certificate is worked out once and kept until something in the account
//! changes; so a decision costs no more with many Things than with one, and a changed policy counts
//! from the next packet on.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

pub(crate) use aether_iot_policy::Action;
use aether_iot_policy::{Context, Explanation, Request, Resource, evaluate, explain};

use crate::account::{Account, AccountError, Effective, Millis};
use crate::pki::{Certificate, CertificateFacts};
use crate::{CertificateId, StatementRef};

/// The answer to a question of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) allowed: bool,
    /// The statement that decided; a denial without one is the default.
    pub(crate) decided_by: Option<StatementRef>,
}

/// What is known of a connection beside its certificate.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origin {
    pub(crate) client_id: String,
    pub(crate) source_ip: Option<IpAddr>,
    /// Whether CONNECT asks for a session that outlives the connection.
    pub(crate) persistent: bool,
    /// Topic of the last will.
    pub(crate) last_will: Option<String>,
}

/// The rights of a certificate that connects with one client id.
#[derive(Debug)]
pub(crate) struct Access {
    account: Arc<Account>,
    certificate: CertificateId,
    /// What never changes for this connection.
    context: Context,
    client_id: String,
    known: Mutex<Option<Arc<Known>>>,
}

/// What the account said when it was last asked.
#[derive(Debug)]
struct Known {
    generation: u64,
    effective: Option<Arc<Effective>>,
    context: Context,
}

impl Access {
    pub(crate) fn new(
        account: Arc<Account>,
        certificate: CertificateId,
        facts: &CertificateFacts,
        origin: Origin,
    ) -> Self {
        let mut context =
            Context::new().with_client_id(origin.client_id.clone()).with_certificate(facts.for_policies());
        if let Some(address) = origin.source_ip {
            context = context.with_source_ip(address);
        }
        if origin.persistent {
            context = context.with_persistent_session();
        }
        if let Some(topic) = &origin.last_will {
            context = context.with_last_will(&account.arns().topic(topic));
        }
        Self { account, certificate, context, client_id: origin.client_id, known: Mutex::default() }
    }

    /// The rights of a certificate nobody is connected with.
    pub(crate) fn offline(
        account: Arc<Account>,
        certificate: &CertificateId,
        origin: Origin,
    ) -> Result<Self, AccountError> {
        let row = Arc::clone(account.read().certificate(certificate)?);
        let facts = Certificate::parse_pem(row.pem.as_bytes()).and_then(|found| CertificateFacts::parse(found.der()));
        // One that cannot be read could not have been registered; it says nothing of itself.
        Ok(Self::new(account, certificate.clone(), &facts.unwrap_or_default(), origin))
    }

    /// What the account says now; `None` when the certificate is gone.
    pub(crate) fn effective(&self) -> Option<Arc<Effective>> {
        self.known().effective.clone()
    }

    /// Decides one action on a client id, topic or filter. A certificate that is gone may do nothing.
    pub(crate) fn decide(&self, action: Action, target: &str) -> Verdict {
        let known = self.known();
        let Some(effective) = &known.effective else { return Verdict { allowed: false, decided_by: None } };
        let resource = self.account.arns().for_action(action, target);
        let request = Request::new(action, &resource, &known.context).at(self.account.clock().now());
        let decision = evaluate(&effective.policies, &request);
        let decided_by = decision.decided_by().map(|by| StatementRef {
            policy: by.policy.to_owned(),
            version: effective.policies.iter().find(|policy| policy.name() == by.policy).map(|policy| policy.version()),
            statement: by.statement,
            sid: by.sid.map(str::to_owned),
        });
        Verdict { allowed: decision.is_allowed(), decided_by }
    }

    /// Decides as [`decide`](Self::decide) does, and tells how every statement came out.
    pub(crate) fn explain(&self, action: Action, resource: &Resource) -> Explanation {
        let known = self.known();
        let policies = known.effective.as_ref().map_or(&[][..], |effective| &effective.policies);
        explain(policies, &Request::new(action, resource, &known.context).at(self.account.clock().now()))
    }

    fn known(&self) -> Arc<Known> {
        // Read before the tables: a change in between makes the next question work it out again.
        let generation = self.account.generation();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.as_ref().filter(|known| known.generation == generation) {
            return Arc::clone(known);
        }
        let now = Millis::from(self.account.clock().now());
        let effective = self.account.read().effective(&self.certificate, &self.client_id, now);
        let context = match effective.as_ref().and_then(|effective| effective.thing.clone()) {
            Some((thing, attachment)) => self.context.clone().with_thing(thing, attachment),
            None => self.context.clone(),
        };
        let fresh = Arc::new(Known { generation, effective: effective.map(Arc::new), context });
        *known = Some(Arc::clone(&fresh));
        fresh
    }
}
