//! The steps of the flow on disk: what each writes, in which order, and with which rename it takes effect.

use std::path::Path;

use aether_mqtt::{Credentials, PrivateKey};

use super::super::{Fault, StoreError};
use super::files::{Files, Trouble};
use super::layout::{self, KeyFiles};
use super::load::Roles;
use super::permissions::Guard;
use super::records::{self, IdentityRecord, IssuedRecord, Takeover};
use super::write::{make_directory, put, remove, settle};
use crate::{CertificateId, Identity, IssuedCertificate};

impl Files<'_> {
    pub(super) fn stage_key(&self, key: &PrivateKey) -> Result<(), StoreError> {
        self.keep_key(self.layout.root(), layout::STAGED, key)?;
        // What is pending hides the staged key until here.
        self.remove(layout::PENDING)?;
        self.sweep();
        Ok(())
    }

    pub(super) fn stage_issued(&self, issued: &IssuedCertificate) -> Result<(), StoreError> {
        let id = issued.certificate_id();
        let roles = self.roles()?;
        let home = self.layout.home(id);
        self.keep_credentials(&roles, id, issued.credentials())?;
        self.keep(&home.join(layout::ISSUED), Guard::Secret, &records::render(IssuedRecord::of(issued)))?;
        if !roles.is_in_use(id) {
            remove(self.disk, &home.join(layout::IDENTITY))?;
        }
        self.point(layout::PENDING, id)?;
        self.remove_staged_key()?;
        self.sweep();
        Ok(())
    }

    pub(super) fn stage_registered(&self, identity: &Identity) -> Result<(), StoreError> {
        self.register(identity)?;
        self.sweep();
        Ok(())
    }

    pub(super) fn promote(&self, identity: &Identity) -> Result<(), StoreError> {
        let id = identity.certificate_id();
        let roles = self.roles()?;
        let in_use = self.in_use(&roles)?;
        if in_use != Some(id) {
            self.register(identity)?;
            self.note_takeover(&roles, in_use, id)?;
            self.point(layout::ACTIVE, id)?;
            match in_use {
                Some(before) => self.point(layout::PREVIOUS, before)?,
                None => self.remove(layout::PREVIOUS)?,
            }
        } else if roles.active.as_ref() == Some(id) {
            settle(self.disk, &self.layout.file(layout::ACTIVE))?;
            self.finish_takeover(&roles)?;
        }
        if in_use != Some(id) || matches!(self.pointer(layout::PENDING), Ok(Some(pending)) if pending == *id) {
            self.remove(layout::PENDING)?;
        }
        if self.is_there(id, layout::ISSUED)? {
            remove(self.disk, &self.layout.home(id).join(layout::ISSUED))?;
        }
        self.sweep();
        Ok(())
    }

    pub(super) fn confirm(&self) -> Result<(), StoreError> {
        self.finish_takeover(&self.roles()?)?;
        self.remove(layout::UNCONFIRMED)
    }

    pub(super) fn discard_staged(&self) -> Result<(), StoreError> {
        // In this order, as what is pending hides the staged key.
        self.remove_staged_key()?;
        self.remove(layout::PENDING)?;
        self.sweep();
        Ok(())
    }

    /// Keeps an identity as the pending one, complete but for its proof.
    fn register(&self, identity: &Identity) -> Result<(), StoreError> {
        let id = identity.certificate_id();
        self.keep_credentials(&self.roles()?, id, identity.credentials())?;
        let home = self.layout.home(id);
        self.keep(&home.join(layout::IDENTITY), Guard::Readable, &records::render(IdentityRecord::of(identity)))?;
        self.point(layout::PENDING, id)?;
        // The token is spent.
        remove(self.disk, &home.join(layout::ISSUED))?;
        self.remove_staged_key()
    }

    /// The identity that counts as active: what the pointer names, or the previous one if that cannot be read.
    fn in_use<'a>(&self, roles: &'a Roles) -> Result<Option<&'a CertificateId>, StoreError> {
        for id in [&roles.active, &roles.previous].into_iter().flatten() {
            match self.identity(id) {
                Ok(_) => return Ok(Some(id)),
                Err(Trouble::Damage(..)) => {}
                Err(Trouble::Fatal(error)) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Notes whom `to` takes over from. It counts once `to` is active; until then what was noted of the active one does.
    fn note_takeover(&self, roles: &Roles, from: Option<&CertificateId>, to: &CertificateId) -> Result<(), StoreError> {
        let mut takeovers = self.takeovers().unwrap_or_default();
        takeovers.retain(|takeover| roles.active.as_ref() == Some(&takeover.to));
        takeovers.extend(from.map(|from| Takeover { to: to.clone(), from: from.clone() }));
        self.keep_takeovers(&takeovers)
    }

    /// Writes the pointer to the previous identity, where a kill came before the promotion did.
    fn finish_takeover(&self, roles: &Roles) -> Result<(), StoreError> {
        match &roles.previous {
            Some(previous) if roles.unconfirmed => self.point(layout::PREVIOUS, previous),
            Some(_) | None => Ok(()),
        }
    }

    fn keep_takeovers(&self, takeovers: &[Takeover]) -> Result<(), StoreError> {
        if takeovers.is_empty() {
            return self.remove(layout::UNCONFIRMED);
        }
        let path = self.layout.file(layout::UNCONFIRMED);
        self.keep(&path, Guard::Readable, &records::render_takeovers(takeovers))
    }

    /// Makes sure certificate and key are there, and writes neither again that is.
    fn keep_credentials(&self, roles: &Roles, id: &CertificateId, credentials: &Credentials) -> Result<(), StoreError> {
        make_directory(self.disk, &self.layout.home(id))?;
        let home = self.home(id).map_err(Trouble::error)?;
        let path = home.join(layout::CERTIFICATE);
        if usable(self.credentials(&home))? && self.holds(&path, Guard::Readable, credentials.certificate_pem())? {
            let locator = self.is_there(id, layout::KEY.locator)?;
            settle(self.disk, &home.join(if locator { layout::KEY.locator } else { layout::KEY.pem }))?;
            return settle(self.disk, &path);
        }
        if roles.is_in_use(id) && usable(self.identity(id))? {
            return Err(StoreError::Taken { path: home });
        }
        if roles.pending.as_ref() == Some(id) {
            // Neither the old nor the new while one file is of each.
            self.remove(layout::PENDING)?;
        }
        self.keep_key(&home, layout::KEY, credentials.private_key())?;
        self.keep(&path, Guard::Readable, credentials.certificate_pem())
    }

    /// Keeps a key, or where it is. Takes effect at once, whichever was there before: see [`KeyFiles`].
    fn keep_key(&self, directory: &Path, names: KeyFiles, key: &PrivateKey) -> Result<(), StoreError> {
        let (pem, locator) = (directory.join(names.pem), directory.join(names.locator));
        match (key.locator(), key.pem()) {
            (Some(text), _) => {
                self.keep(&locator, Guard::Readable, format!("{text}\n").as_bytes())?;
                remove(self.disk, &pem)
            }
            (None, content) => {
                self.keep(&pem, Guard::Secret, content.unwrap_or_default())?;
                remove(self.disk, &locator)
            }
        }
    }

    fn remove_staged_key(&self) -> Result<(), StoreError> {
        self.remove(layout::STAGED.pem)?;
        self.remove(layout::STAGED.locator)
    }

    fn point(&self, name: &str, id: &CertificateId) -> Result<(), StoreError> {
        self.keep(&self.layout.file(name), Guard::Readable, format!("{id}\n").as_bytes())
    }

    /// Makes sure a file has this content.
    fn keep(&self, path: &Path, guard: Guard, content: &[u8]) -> Result<(), StoreError> {
        if self.holds(path, guard, content)? { settle(self.disk, path) } else { put(self.disk, path, content) }
    }

    fn holds(&self, path: &Path, guard: Guard, content: &[u8]) -> Result<bool, StoreError> {
        match self.file(path, guard) {
            Ok(found) => Ok(found.as_deref() == Some(content)),
            Err(Trouble::Damage(..)) => Ok(false),
            Err(Trouble::Fatal(error)) => Err(error),
        }
    }

    fn remove(&self, name: &str) -> Result<(), StoreError> {
        remove(self.disk, &self.layout.file(name))
    }
}

/// Whether what was read is as it should be, as far as can be told without the token its key may be in.
fn usable<T>(read: Result<T, Trouble>) -> Result<bool, StoreError> {
    match read {
        Ok(_) | Err(Trouble::Damage(_, Fault::Key(_))) => Ok(true),
        Err(Trouble::Damage(..)) => Ok(false),
        Err(Trouble::Fatal(error)) => Err(error),
    }
}
