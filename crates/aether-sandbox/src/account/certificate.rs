//! Client certificates: issued, registered, pending, withdrawn (reference sheet, 1.4 and 1.5).

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{AccountError, CertificateMode, Change, Millis, PolicyName, PolicyTarget, Resource, Tables, ThingName, Tx};
use crate::id::sha256_hex;
use crate::{CaId, CertificateId, CertificateKind, CertificateStatus};

/// How long an ownership token can be used (sheet, 1.4).
const TOKEN_LIFE: Duration = Duration::from_secs(60 * 60);
/// Most policies of one certificate (sheet, 1.6).
const MAX_POLICIES: usize = 10;

/// A client certificate the account knows.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CertificateRow {
    pub(crate) id: CertificateId,
    pub(crate) kind: CertificateKind,
    pub(crate) status: CertificateStatus,
    pub(crate) mode: CertificateMode,
    pub(crate) pem: String,
    /// The registered CA that signed it; none for those the sandbox issued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ca: Option<CaId>,
    /// Attached policies, in the order they were attached.
    pub(crate) policies: Vec<PolicyName>,
    /// Attached Things, in the order they were attached.
    pub(crate) things: Vec<ThingName>,
    /// Present until the certificate is registered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ownership: Option<Ownership>,
    /// When the account deletes it: the end of a claim handed to a trusted user (sheet, 5).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) deleted_at: Option<Millis>,
    pub(crate) created: Millis,
    pub(crate) modified: Millis,
    /// Grows with every change of status, as `customerVersion` of the API.
    pub(crate) version: u32,
}

/// The proof a device has to bring to register a pending certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ownership {
    /// Hash of the token: the token itself is a secret of the device.
    pub(crate) token_sha256: String,
    pub(crate) expires: Millis,
}

impl CertificateRow {
    /// When the account deletes it, if nothing is done: a pending certificate with its token, a
    /// short-lived claim after its minutes.
    pub(crate) fn end(&self) -> Option<Millis> {
        let pending = self.status == CertificateStatus::PendingActivation;
        let token = self.ownership.as_ref().filter(|_| pending).map(|ownership| ownership.expires);
        token.or(self.deleted_at)
    }

    /// Whether it shows in listings: claims of trusted users do not (sheet, 5).
    pub(crate) fn is_listed(&self) -> bool {
        self.deleted_at.is_none()
    }
}

/// What a new certificate is to be.
#[derive(Clone, Debug)]
pub(crate) struct NewCertificate {
    pub(crate) id: CertificateId,
    pub(crate) kind: CertificateKind,
    pub(crate) status: CertificateStatus,
    pub(crate) mode: CertificateMode,
    pub(crate) pem: String,
    pub(crate) ca: Option<CaId>,
}

impl NewCertificate {
    /// One the sandbox issued.
    pub(crate) fn issued(id: CertificateId, pem: String, status: CertificateStatus) -> Self {
        Self { id, kind: CertificateKind::Device, status, mode: CertificateMode::Default, pem, ca: None }
    }
}

impl Tables {
    /// The pending certificate that `token` proves the ownership of. The token stays usable until
    /// [`Tx::redeem`] (sheet, 1.4).
    pub(crate) fn owned_by(&self, token: &str, now: Millis) -> Result<&Arc<CertificateRow>, AccountError> {
        let row = self.by_token(&sha256_hex(token.as_bytes())).ok_or(AccountError::Token)?;
        let pending = row.status == CertificateStatus::PendingActivation;
        let alive = row.ownership.as_ref().is_some_and(|ownership| now < ownership.expires);
        if pending && alive { Ok(row) } else { Err(AccountError::Token) }
    }
}

impl Tx<'_> {
    /// Adds a certificate.
    pub(crate) fn create_certificate(&mut self, new: NewCertificate) -> Result<(), AccountError> {
        self.put_new(new, None, None)
    }

    /// Adds a certificate that is pending until its token is brought back within the hour.
    pub(crate) fn create_pending(&mut self, id: CertificateId, pem: String, token: &str) -> Result<(), AccountError> {
        let ownership = Ownership { token_sha256: sha256_hex(token.as_bytes()), expires: self.in_future(TOKEN_LIFE) };
        let new = NewCertificate::issued(id, pem, CertificateStatus::PendingActivation);
        self.put_new(new, Some(ownership), None)
    }

    /// Adds a claim certificate that is gone after `life`.
    pub(crate) fn create_short_claim(
        &mut self,
        id: CertificateId,
        pem: String,
        policy: &PolicyName,
        life: Duration,
    ) -> Result<Millis, AccountError> {
        let end = self.in_future(life);
        let new = NewCertificate {
            kind: CertificateKind::Claim,
            ..NewCertificate::issued(id.clone(), pem, CertificateStatus::Active)
        };
        self.put_new(new, None, Some(end))?;
        self.attach_policy(policy, &PolicyTarget::Certificate(id))?;
        Ok(end)
    }

    fn put_new(
        &mut self,
        new: NewCertificate,
        ownership: Option<Ownership>,
        deleted_at: Option<Millis>,
    ) -> Result<(), AccountError> {
        if self.tables.certificates.contains_key(&new.id) {
            return Err(AccountError::already_exists(Resource::Certificate, &new.id));
        }
        self.put(Change::Certificate(Box::new(CertificateRow {
            id: new.id,
            kind: new.kind,
            status: new.status,
            mode: new.mode,
            pem: new.pem,
            ca: new.ca,
            policies: Vec::new(),
            things: Vec::new(),
            ownership,
            deleted_at,
            created: self.now,
            modified: self.now,
            version: 1,
        })))
    }

    /// Changes one certificate.
    pub(super) fn edit_certificate(
        &mut self,
        id: &CertificateId,
        edit: impl FnOnce(&mut CertificateRow),
    ) -> Result<(), AccountError> {
        let mut row = (**self.tables.certificate(id)?).clone();
        edit(&mut row);
        row.modified = self.now;
        self.put(Change::Certificate(Box::new(row)))
    }

    /// Uses up the token of a pending certificate and sets the status its template asks for.
    pub(crate) fn redeem(&mut self, token: &str, status: CertificateStatus) -> Result<CertificateId, AccountError> {
        let id = self.tables.owned_by(token, self.now)?.id.clone();
        self.edit_certificate(&id, |row| {
            row.status = status;
            row.ownership = None;
            row.version = row.version.saturating_add(1);
        })?;
        Ok(id)
    }

    /// Sets the status.
    pub(crate) fn set_status(&mut self, id: &CertificateId, status: CertificateStatus) -> Result<(), AccountError> {
        self.edit_certificate(id, |row| {
            row.status = status;
            row.version = row.version.saturating_add(1);
            // Whoever activates a pending certificate has vouched for it: its token is worth nothing now.
            if status == CertificateStatus::Active {
                row.ownership = None;
            }
        })
    }

    /// Deletes a certificate that is neither active nor attached. With `force` its policies are
    /// detached first (API Reference, DeleteCertificate).
    pub(crate) fn delete_certificate(&mut self, id: &CertificateId, force: bool) -> Result<(), AccountError> {
        let row = Arc::clone(self.tables.certificate(id)?);
        if row.status == CertificateStatus::Active {
            let words = format!("certificate {id} is ACTIVE; deactivate or revoke it before deleting it");
            return Err(AccountError::CertificateState(words));
        }
        if !row.things.is_empty() {
            let words = format!("certificate {id} is attached to a Thing; detach it before deleting it");
            return Err(AccountError::DeleteConflict(words));
        }
        if !row.policies.is_empty() && !force {
            let words = format!("certificate {id} has policies attached; detach them before deleting it");
            return Err(AccountError::DeleteConflict(words));
        }
        self.put(Change::CertificateGone(id.clone()))
    }

    /// Deletes what has ended: pending certificates with their tokens, short-lived claims.
    pub(super) fn delete_ended(&mut self) -> Result<(), AccountError> {
        for id in self.tables.ended(self.now) {
            self.put(Change::CertificateGone(id))?;
        }
        Ok(())
    }

    /// Checks that a certificate takes one more policy.
    pub(super) fn check_room_for_policy(row: &CertificateRow) -> Result<(), AccountError> {
        match row.policies.len() < MAX_POLICIES {
            true => Ok(()),
            false => {
                let words = format!("certificate {} has {MAX_POLICIES} policies, which is the most", row.id);
                Err(AccountError::LimitExceeded(words))
            }
        }
    }
}
