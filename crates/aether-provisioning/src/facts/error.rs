//! Why a fact could not be collected.

use std::fmt;
use std::path::{Path, PathBuf};

use super::Fact;

/// A fact that this machine does not have, or does not tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FactError {
    fact: Fact,
    looked: Vec<Looked>,
    remedy: &'static str,
}

/// A place that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Looked {
    pub(super) path: PathBuf,
    /// Why nothing there was of use.
    pub(super) why: String,
}

impl FactError {
    pub(super) fn new(fact: Fact, looked: Vec<Looked>, remedy: &'static str) -> Self {
        Self { fact, looked, remedy }
    }

    /// The fact asked for.
    #[must_use]
    pub fn fact(&self) -> &Fact {
        &self.fact
    }

    /// The places looked at, in order.
    pub fn places(&self) -> impl Iterator<Item = &Path> {
        self.looked.iter().map(|one| one.path.as_path())
    }
}

impl fmt::Display for FactError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "this machine gives no {}: looked at ", self.fact)?;
        for (n, Looked { path, why }) in self.looked.iter().enumerate() {
            let separator = if n == 0 { "" } else { ", " };
            write!(f, "{separator}{} ({why})", path.display())?;
        }
        write!(f, "; {}", self.remedy)
    }
}

impl std::error::Error for FactError {}
