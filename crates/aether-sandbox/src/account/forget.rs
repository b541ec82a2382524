//! Begins again: what devices have left in the account is forgotten.

use super::{AccountError, Change, Tx};
use crate::CertificateKind;

impl Tx<'_> {
    /// Deletes all Things, the certificates of devices and short-lived claims, whatever their status.
    /// How many Things and certificates there were.
    pub(crate) fn forget_devices(&mut self) -> Result<(usize, usize), AccountError> {
        let things: Vec<_> = self.tables.things.keys().cloned().collect();
        let certificates: Vec<_> = self.tables.certificates.values().cloned().collect();
        for name in &things {
            self.put(Change::ThingGone(name.clone()))?;
        }
        let mut gone = 0;
        for row in certificates {
            if row.kind == CertificateKind::Device || row.deleted_at.is_some() {
                self.put(Change::CertificateGone(row.id.clone()))?;
                gone += 1;
            } else if !row.things.is_empty() {
                self.edit_certificate(&row.id, |row| row.things.clear())?;
            }
        }
        Ok((things.len(), gone))
    }
}
