//! What the files, taken together, say is kept.

use std::time::SystemTime;

use super::super::{Contents, Fault, Finding, Staged, StoreError};
use super::files::{Files, Trouble};
use super::layout;
use super::records::Takeover;
use crate::{CertificateId, Identity};

/// Which identity is which.
#[derive(Clone, Debug, Default)]
pub(super) struct Roles {
    pub(super) active: Option<CertificateId>,
    /// What `active` took over from.
    pub(super) previous: Option<CertificateId>,
    pub(super) unconfirmed: bool,
    pub(super) pending: Option<CertificateId>,
}

impl Roles {
    /// Whether this is the active or the previous identity.
    pub(super) fn is_in_use(&self, id: &CertificateId) -> bool {
        [&self.active, &self.previous].into_iter().flatten().any(|named| named == id)
    }
}

/// Passes damage over, and notes it.
#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn pass<T>(&mut self, what: &'static str, result: Result<T, Trouble>) -> Result<Option<T>, StoreError> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(trouble) => {
                self.0.push(trouble.finding(what)?);
                Ok(None)
            }
        }
    }
}

impl Files<'_> {
    /// What is kept, as far as it is sound.
    pub(super) fn load(&self, now: SystemTime) -> Result<Contents, StoreError> {
        if !self.root()? {
            return Ok(Contents::default());
        }
        let mut findings = Findings::default();
        let roles = self.roles_noting(&mut findings)?;
        let mut contents = Contents { unconfirmed: roles.unconfirmed, ..Contents::default() };

        if let Some(id) = &roles.active {
            contents.active = findings.pass(crate::store::ACTIVE, self.identity_in_time(id, now))?;
        }
        if let Some(id) = &roles.previous {
            match self.identity_in_time(id, now) {
                // Certificates run out, and this one has done its part.
                Err(Trouble::Damage(_, Fault::Expired(_))) if contents.active.is_some() => {}
                result => contents.previous = findings.pass("the previous identity", result)?,
            }
        }
        if contents.active.is_none() {
            contents.active = contents.previous.take();
            contents.unconfirmed = false;
        }
        contents.staged = self.staged(&roles, now, &mut findings)?;
        contents.findings = findings.0;
        Ok(contents)
    }

    /// Which identity is which, as far as the pointers can be read.
    pub(super) fn roles(&self) -> Result<Roles, StoreError> {
        self.roles_noting(&mut Findings::default())
    }

    fn roles_noting(&self, findings: &mut Findings) -> Result<Roles, StoreError> {
        let active = findings.pass("the pointer to the active identity", self.pointer(layout::ACTIVE))?;
        let active_is_damaged = active.is_none();
        let active = active.flatten();
        let previous = findings.pass("the pointer to the previous identity", self.pointer(layout::PREVIOUS))?.flatten();
        let pending = findings.pass("the pointer to the staged identity", self.pointer(layout::PENDING))?.flatten();
        let takeovers = findings.pass("the note of an unconfirmed identity", self.takeovers())?.unwrap_or_default();

        if active.is_none() && previous.is_some() && !active_is_damaged {
            let missing = Trouble::Damage(self.layout.file(layout::ACTIVE), Fault::Missing);
            findings.0.push(missing.finding("the pointer to the active identity")?);
        }
        let takeover = takeovers.into_iter().rfind(|takeover| active.as_ref() == Some(&takeover.to));
        let unconfirmed = takeover.is_some();
        let previous = takeover.map(|Takeover { from, .. }| from).or(previous).filter(|id| active.as_ref() != Some(id));
        // The last step of a promotion is to forget that it was under way.
        let pending = pending.filter(|id| active.as_ref() != Some(id));
        Ok(Roles { active, previous, unconfirmed, pending })
    }

    fn staged(&self, roles: &Roles, now: SystemTime, findings: &mut Findings) -> Result<Staged, StoreError> {
        if let Some(id) = &roles.pending {
            let registered = self.is_there(id, layout::IDENTITY).unwrap_or(true);
            if registered
                && let Some(identity) = findings.pass("the staged identity", self.identity_in_time(id, now))?
            {
                return Ok(Staged::Registered(identity));
            }
            // Still there when the registration was just noted: it may be asked for again.
            if !registered || self.is_there(id, layout::ISSUED).unwrap_or(false) {
                let issued = self.issued(id).and_then(|issued| {
                    self.in_time(id, issued.credentials(), now)?;
                    Ok(issued)
                });
                if let Some(issued) = findings.pass("the staged certificate", issued)? {
                    return Ok(Staged::Issued(issued));
                }
            }
        }
        let key = findings.pass("the staged key", self.staged_key())?.flatten();
        Ok(key.map_or(Staged::Nothing, Staged::Key))
    }

    fn identity_in_time(&self, id: &CertificateId, now: SystemTime) -> Result<Identity, Trouble> {
        let identity = self.identity(id)?;
        self.in_time(id, identity.credentials(), now)?;
        Ok(identity)
    }
}
