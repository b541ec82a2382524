//! The registry's memory: what the files say, in the shape look-ups need.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::disk_form::StoredCertificate;
use super::{CertificateRecord, ThingRecord};
use crate::CertificateId;

/// Certificates and Things, with the ownership tokens as an index.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) certificates: BTreeMap<CertificateId, (StoredCertificate, CertificateRecord)>,
    pub(super) things: BTreeMap<String, ThingRecord>,
    pub(super) by_token: HashMap<String, CertificateId>,
}

impl State {
    pub(super) fn keep(&mut self, stored: StoredCertificate, record: CertificateRecord) {
        self.forget_token(&record.id);
        if let Some(ownership) = &stored.ownership {
            self.by_token.insert(ownership.token_sha256.clone(), record.id.clone());
        }
        self.certificates.insert(record.id.clone(), (stored, record));
    }

    pub(super) fn forget(&mut self, id: &CertificateId) {
        self.forget_token(id);
        self.certificates.remove(id);
    }

    fn forget_token(&mut self, id: &CertificateId) {
        let known = self.certificates.get(id).and_then(|(stored, _)| stored.ownership.as_ref());
        if let Some(ownership) = known {
            self.by_token.remove(&ownership.token_sha256);
        }
    }

    /// The pending certificates whose token has expired, each with its file in `folder`.
    pub(super) fn expired(&self, folder: &Path, now: SystemTime) -> Vec<(CertificateId, PathBuf)> {
        self.by_token
            .values()
            .filter_map(|id| self.certificates.get(id))
            .filter(|(stored, _)| stored.is_expired(now))
            .map(|(stored, record)| (record.id.clone(), stored.path(folder)))
            .collect()
    }
}
