//! The account as the parts of the sandbox share it: snapshots to read, transactions to change.

use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use aether_iot_policy::Arns;

use super::{AccountError, Change, Millis, Tables, Tx};
use crate::clock::Clock;
use crate::journal::Journal;
use crate::{CertificateId, CertificateStatus, StartError};

/// The journal is replaced by its sum when it has grown by this much, and to four times its size.
const COMPACT_AFTER: u64 = 8 * 1024 * 1024;

/// Region and account: what every resource name begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) region: Box<str>,
    pub(crate) account_id: Box<str>,
}

impl Place {
    /// The resource name of `tail`, which begins with its kind: `thing/press-3`.
    pub(crate) fn arn(&self, tail: fmt::Arguments<'_>) -> String {
        format!("arn:{}:iot:{}:{}:{tail}", self.partition(), self.region, self.account_id)
    }

    /// The part of AWS a Region belongs to, as [`Arns::new`] tells it.
    pub(super) fn partition(&self) -> &'static str {
        match &*self.region {
            china if china.starts_with("cn-") => "aws-cn",
            gov if gov.starts_with("us-gov-") => "aws-us-gov",
            _ => "aws",
        }
    }
}

/// Called with a certificate that must not stay connected.
type Withdraw = Box<dyn Fn(&CertificateId) + Send + Sync>;

/// The registry of one sandbox.
pub(crate) struct Account {
    place: Place,
    arns: Arns,
    clock: Clock,
    tables: RwLock<Arc<Tables>>,
    generation: AtomicU64,
    writer: Mutex<Writer>,
    withdraw: OnceLock<Withdraw>,
}

#[derive(Debug)]
struct Writer {
    journal: Journal<Change>,
    /// Length of the journal after it was last replaced by its sum.
    compacted: u64,
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account").field("place", &self.place).finish_non_exhaustive()
    }
}

impl Account {
    /// Opens the journal, or begins one. Blocks.
    pub(crate) fn open(path: &Path, place: Place, clock: Clock) -> Result<Self, StartError> {
        let arns = Arns::new(&place.region, &place.account_id).map_err(|cause| StartError::Setting {
            name: "`region` and `account_id`",
            found: format!("{:?} and {:?}", place.region, place.account_id),
            expected: format!("those of an AWS account: {cause}"),
        })?;
        let tables = std::cell::RefCell::new(Tables::default());
        let journal = Journal::open(
            path,
            |changes| changes.into_iter().try_for_each(|change| tables.borrow_mut().apply(change)),
            || tables.borrow().sum(),
        )?;
        let compacted = journal.length();
        Ok(Self {
            place,
            arns,
            clock,
            tables: RwLock::new(Arc::new(tables.into_inner())),
            generation: AtomicU64::new(0),
            writer: Mutex::new(Writer { journal, compacted }),
            withdraw: OnceLock::new(),
        })
    }

    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// Makes the resource names policies are asked with.
    pub(crate) fn arns(&self) -> &Arns {
        &self.arns
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The present state. It does not change under the reader's eyes.
    pub(crate) fn read(&self) -> Arc<Tables> {
        Arc::clone(&self.tables.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// A number that grows with every change, for those who keep something worked out of the tables.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Says whom to tell about certificates that are no longer active or no longer there. Once.
    pub(crate) fn on_withdrawn(&self, tell: impl Fn(&CertificateId) + Send + Sync + 'static) {
        // A second caller would be a mistake of this crate's; the first one stays.
        let _ = self.withdraw.set(Box::new(tell));
    }

    /// Makes a transaction: all of it or, on an error, nothing. Blocks for a write to the journal.
    ///
    /// Certificates that have ended by now are deleted first, so nothing ever finds them.
    pub(crate) fn change<T>(
        &self,
        make: impl FnOnce(&mut Tx<'_>) -> Result<T, AccountError>,
    ) -> Result<T, AccountError> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Millis::from(self.clock.now());
        let mut tx = Tx { tables: (*self.read()).clone(), now, place: &self.place, changes: Vec::new() };
        tx.delete_ended()?;
        let housekeeping = (tx.tables.clone(), tx.changes.len());
        let made = make(&mut tx);
        if made.is_err() {
            tx.tables = housekeeping.0;
            tx.changes.truncate(housekeeping.1);
        }
        let Tx { tables, changes, .. } = tx;
        if !changes.is_empty() {
            let path = writer.journal.path().to_owned();
            writer.journal.append(&changes).map_err(|source| AccountError::Io { path, source })?;
            let (before, tables) = (self.read(), Arc::new(tables));
            *self.tables.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&tables);
            self.generation.fetch_add(1, Ordering::AcqRel);
            writer.compact(&tables);
            drop(writer);
            self.tell_withdrawn(&before, &changes);
        }
        made
    }

    /// Takes up a state of before; the journal goes on without knowing.
    #[cfg(feature = "__fuzz")]
    pub(crate) fn put_back(&self, tables: &Arc<Tables>) {
        *self.tables.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(tables);
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// Only a certificate that was active can be connected: a fleet that provisions makes many that
    /// were not, and whoever is told looks through all connections.
    fn tell_withdrawn(&self, before: &Tables, changes: &[Change]) {
        let Some(tell) = self.withdraw.get() else { return };
        let was_active = |id| before.certificates.get(id).is_some_and(|row| row.status == CertificateStatus::Active);
        for change in changes {
            match change {
                Change::Certificate(row) if row.status != CertificateStatus::Active && was_active(&row.id) => {
                    tell(&row.id);
                }
                Change::CertificateGone(id) if was_active(id) => tell(id),
                Change::Settings(_)
                | Change::Certificate(_)
                | Change::CertificateGone(_)
                | Change::Ca(_)
                | Change::CaGone(_)
                | Change::Policy(_)
                | Change::PolicyGone(_)
                | Change::Thing(_)
                | Change::ThingGone(_)
                | Change::ThingType(_)
                | Change::ThingTypeGone(_)
                | Change::Group(_)
                | Change::GroupGone(_)
                | Change::BillingGroup(_)
                | Change::BillingGroupGone(_)
                | Change::Template(_)
                | Change::TemplateGone(_) => {}
            }
        }
    }
}

impl Writer {
    fn compact(&mut self, tables: &Tables) {
        let length = self.journal.length();
        if length < self.compacted.saturating_mul(4) || length - self.compacted < COMPACT_AFTER {
            return;
        }
        match Journal::replace(self.journal.path(), tables.sum()) {
            Ok(journal) => {
                self.compacted = journal.length();
                self.journal = journal;
            }
            // The long journal is as good as the short one; the next change tries again.
            Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "could not shorten the journal"),
        }
    }
}
