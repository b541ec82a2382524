//! The Sigils of one runtime: unique, in order, found by NodeId or by key in constant time.

use std::collections::HashMap;

use crate::{any::AnySigil, definition::SigilId, node_id::NodeId};

/// A set of Sigils in which no NodeId and no key occurs twice.
#[derive(Debug, Default)]
pub struct SigilSet {
    sigils: Vec<AnySigil>,
    by_node_id: HashMap<NodeId, usize>,
    by_id: HashMap<SigilId, usize>,
}

impl SigilSet {
    /// Collects Sigils, in the order given.
    ///
    /// # Errors
    ///
    /// Two of them have the same NodeId or the same key; the error names both.
    pub fn new(sigils: impl IntoIterator<Item = AnySigil>) -> Result<Self, DuplicateSigil> {
        let mut set = Self::default();
        for sigil in sigils {
            set.insert(sigil)?;
        }
        Ok(set)
    }

    /// Adds a Sigil behind those that are there.
    ///
    /// # Errors
    ///
    /// Its NodeId or key is taken; the error names both, and the set stays as it was.
    pub fn insert(&mut self, sigil: AnySigil) -> Result<(), DuplicateSigil> {
        let definition = sigil.definition();
        let earlier = self.by_node_id.get(definition.node_id()).or_else(|| self.by_id.get(definition.id()));
        if let Some(&earlier) = earlier {
            return Err(DuplicateSigil {
                sigil: definition.id().clone(),
                first: self.sigils[earlier].definition().node_id().clone(),
                second: definition.node_id().clone(),
            });
        }
        let index = self.sigils.len();
        self.by_node_id.insert(definition.node_id().clone(), index);
        self.by_id.insert(definition.id().clone(), index);
        self.sigils.push(sigil);
        Ok(())
    }

    /// Returns the Sigils in order.
    pub fn as_slice(&self) -> &[AnySigil] {
        &self.sigils
    }

    /// Returns the Sigil at this address.
    pub fn by_node_id(&self, node_id: &NodeId) -> Option<&AnySigil> {
        self.by_node_id.get(node_id).map(|&index| &self.sigils[index])
    }

    /// Returns where in [`as_slice`](Self::as_slice) the Sigil at this address stands.
    pub fn position(&self, node_id: &NodeId) -> Option<usize> {
        self.by_node_id.get(node_id).copied()
    }

    /// Returns the Sigil with this key.
    pub fn by_id(&self, id: &str) -> Option<&AnySigil> {
        self.by_id.get(id).map(|&index| &self.sigils[index])
    }
}

/// Two Sigils with the same key or NodeId.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("two sigils have the id `{sigil}`: `{first}` and `{second}`; each needs its own")]
pub struct DuplicateSigil {
    sigil: SigilId,
    first: NodeId,
    second: NodeId,
}
