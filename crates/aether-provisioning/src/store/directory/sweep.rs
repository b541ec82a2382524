//! Clears away what a kill left and what was replaced.

use std::path::{Path, PathBuf};

use super::super::{Fault, StoreError};
use super::files::{Files, Trouble};
use super::layout;
use super::write::{failed, remove, remove_directory};
use crate::CertificateId;

impl Files<'_> {
    /// Removes keys and tokens that nothing points at, and files that were never finished. What is damaged stays.
    ///
    /// Nothing depends on it: what cannot be removed now is removed later.
    pub(super) fn sweep(&self) {
        if let Err(error) = self.try_sweep() {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "could not clear the identity store of leftovers"
            );
        }
    }

    fn try_sweep(&self) -> Result<(), StoreError> {
        self.clear_unfinished(self.layout.root())?;
        if self.disk.entry(&self.layout.probe()).is_ok_and(|entry| entry.is_some()) {
            remove(self.disk, &self.layout.probe())?;
        }
        self.clear_notes().map_err(Trouble::error)?;
        let named = self.named().map_err(Trouble::error)?;
        let identities = self.layout.identities();
        if self.disk.entry(&identities).is_ok_and(|entry| entry.is_none()) {
            return Ok(());
        }
        for name in self.disk.names(&identities).map_err(|e| failed("read", &identities, e))? {
            let Ok(id) = name.parse::<CertificateId>() else { continue };
            let home = self.layout.home(&id);
            if named.contains(&id) {
                self.clear_unfinished(&home)?;
            } else if let Some((path, fault)) = self.damage_of(&id)? {
                tracing::warn!(
                    path = %path.display(), %fault,
                    "an identity that is not in use is damaged and was left in place, to be removed by hand: {}",
                    home.display()
                );
            } else {
                remove_directory(self.disk, &home)?;
            }
        }
        Ok(())
    }

    /// Removes what was noted of a change of the active identity and no longer counts, or never came to.
    fn clear_notes(&self) -> Result<(), Trouble> {
        let active = self.pointer(layout::ACTIVE)?;
        if active.is_some() && self.pointer(layout::PREVIOUS)? == active {
            remove(self.disk, &self.layout.file(layout::PREVIOUS))?;
        }
        let takeovers = self.takeovers()?;
        if !takeovers.is_empty() && !takeovers.iter().any(|takeover| Some(&takeover.to) == active.as_ref()) {
            remove(self.disk, &self.layout.file(layout::UNCONFIRMED))?;
        }
        Ok(())
    }

    /// Every certificate id that anything points at. An error if it cannot be told.
    fn named(&self) -> Result<Vec<CertificateId>, Trouble> {
        let mut named = Vec::new();
        for name in [layout::ACTIVE, layout::PREVIOUS, layout::PENDING] {
            named.extend(self.pointer(name)?);
        }
        let active = self.pointer(layout::ACTIVE)?;
        let takeovers = self.takeovers()?.into_iter().filter(|takeover| Some(&takeover.to) == active.as_ref());
        named.extend(takeovers.map(|takeover| takeover.from));
        Ok(named)
    }

    /// What is wrong with an identity nothing points at; `None` if it is sound, or never was complete.
    fn damage_of(&self, id: &CertificateId) -> Result<Option<(PathBuf, Fault)>, StoreError> {
        let home = match self.home(id) {
            Ok(home) => home,
            Err(Trouble::Damage(path, fault)) => return Ok(Some((path, fault))),
            Err(Trouble::Fatal(error)) => return Err(error),
        };
        let registered = self.is_there(id, layout::IDENTITY)?;
        let recorded = registered || self.is_there(id, layout::ISSUED)?;
        let key = self.is_there(id, layout::KEY.pem)? || self.is_there(id, layout::KEY.locator)?;
        if !recorded || !key || !self.is_there(id, layout::CERTIFICATE)? {
            return Ok(None);
        }
        let read = if registered { self.identity(id).map(drop) } else { self.issued(id).map(drop) };
        match read {
            Ok(()) => Ok(None),
            Err(Trouble::Damage(path, fault)) => Ok(Some((path, fault))),
            Err(Trouble::Fatal(StoreError::Mode { .. } | StoreError::Owner { .. })) => {
                Ok(Some((home, Fault::Unreadable("open to others, or another user's".to_owned()))))
            }
            Err(Trouble::Fatal(error)) => Err(error),
        }
    }

    fn clear_unfinished(&self, directory: &Path) -> Result<(), StoreError> {
        let names = self.disk.names(directory).map_err(|e| failed("read", directory, e))?;
        for name in names.iter().filter(|name| layout::is_unfinished(name)) {
            remove(self.disk, &directory.join(name))?;
        }
        Ok(())
    }
}
