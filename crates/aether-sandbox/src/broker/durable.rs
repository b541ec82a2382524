//! State that is kept as a journal of its changes, compacted when that has grown.

use std::cell::RefCell;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::StartError;
use crate::journal::Journal;

/// Length up to which a journal is never compacted, in bytes.
const MIN_COMPACT: u64 = 4 * 1024 * 1024;

/// What a journal adds up to.
pub(super) trait Sum: Default {
    type Change: Serialize + DeserializeOwned;

    /// Carries out a change. An error means the journal is damaged.
    fn apply(&mut self, change: Self::Change) -> Result<(), String>;

    /// The fewest changes that lead to this state.
    fn sum(&self) -> Vec<Self::Change>;
}

/// A state in memory with its journal on disk.
#[derive(Debug)]
pub(super) struct Durable<S: Sum> {
    state: S,
    journal: Journal<S::Change>,
    compact_at: u64,
}

impl<S: Sum> Durable<S> {
    pub(super) fn open(path: &Path) -> Result<Self, StartError> {
        let state = RefCell::new(S::default());
        let apply = |changes: Vec<S::Change>| {
            let mut state = state.borrow_mut();
            changes.into_iter().try_for_each(|change| state.apply(change))
        };
        let sum = || state.borrow().sum().into_iter().map(|change| vec![change]).collect();
        let journal = Journal::open(path, apply, sum)?;
        let compact_at = next_compaction(journal.length());
        Ok(Self { state: state.into_inner(), journal, compact_at })
    }

    /// Reads it from the disk again.
    pub(super) fn reopen(&mut self) -> Result<(), StartError> {
        let path = self.journal.path().to_owned();
        *self = Self::open(&path)?;
        Ok(())
    }

    pub(super) fn state(&self) -> &S {
        &self.state
    }

    /// Carries out a change and journals it. A disk that fails is logged: the broker goes on, and
    /// forgets the change at the next start.
    pub(super) fn record(&mut self, change: S::Change) {
        let failed = |error: &std::io::Error, path: &Path| {
            tracing::error!(error = error as &dyn std::error::Error, path = %path.display(), "could not write");
        };
        if let Err(error) = self.journal.append(std::slice::from_ref(&change)) {
            failed(&error, self.journal.path());
        }
        if let Err(cause) = self.state.apply(change) {
            tracing::error!(cause, "a change of the broker's state does not apply");
        }
        if self.journal.length() > self.compact_at {
            let sum = self.state.sum().into_iter().map(|change| vec![change]).collect();
            match Journal::replace(self.journal.path(), sum) {
                Ok(journal) => self.journal = journal,
                Err(error) => failed(&error, self.journal.path()),
            }
            self.compact_at = next_compaction(self.journal.length());
        }
    }
}

fn next_compaction(length: u64) -> u64 {
    length.saturating_mul(2).max(MIN_COMPACT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default)]
    struct Last(Option<String>);

    impl Sum for Last {
        type Change = String;

        fn apply(&mut self, change: String) -> Result<(), String> {
            self.0 = Some(change);
            Ok(())
        }

        fn sum(&self) -> Vec<String> {
            self.0.iter().cloned().collect()
        }
    }

    #[test]
    fn a_journal_that_has_grown_is_replaced_by_its_sum() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("last.jsonl");
        let mut durable = Durable::<Last>::open(&path).unwrap();
        let long = "x".repeat(1024 * 1024);
        for number in 0..9 {
            durable.record(format!("{number}{long}"));
            assert!(std::fs::metadata(&path).unwrap().len() < 2 * MIN_COMPACT);
        }
        durable.record("end".to_owned());
        drop(durable);
        assert_eq!(Durable::<Last>::open(&path).unwrap().state().0.as_deref(), Some("end"));
    }
}
