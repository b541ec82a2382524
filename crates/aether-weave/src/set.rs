//! The Weaves of one runtime, each with a label of its own.

use std::collections::HashSet;

use crate::{
    run::RunningWeaves,
    weave::{Label, Weave},
};

/// A fixed set of Weaves in which no label occurs twice.
#[derive(Debug)]
#[must_use = "the Weaves run only once the set is started"]
pub struct WeaveSet {
    weaves: Vec<Weave>,
}

impl WeaveSet {
    /// Collects Weaves.
    ///
    /// # Errors
    ///
    /// Two of them have the same label.
    pub fn new(weaves: impl IntoIterator<Item = Weave>) -> Result<Self, DuplicateLabel> {
        let weaves: Vec<_> = weaves.into_iter().collect();
        let mut labels = HashSet::new();
        for (position, weave) in weaves.iter().enumerate() {
            if !labels.insert(weave.label()) {
                let first = weaves.iter().position(|w| w.label() == weave.label()).unwrap_or_default();
                return Err(DuplicateLabel { label: weave.label().clone(), first: first + 1, second: position + 1 });
            }
        }
        Ok(Self { weaves })
    }

    /// Starts every Weave in a task of its own on the current tokio runtime.
    ///
    /// # Panics
    ///
    /// Called outside a tokio runtime.
    pub fn start(self) -> RunningWeaves {
        RunningWeaves::start(self.weaves)
    }
}

/// Two Weaves with the same label.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("weaves {first} and {second} both have the label `{label}`; each needs its own")]
pub struct DuplicateLabel {
    label: Label,
    first: usize,
    second: usize,
}
