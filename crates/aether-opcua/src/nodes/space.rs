//! What stands where in the address space, computed from the Sigils' definitions when asked.
//!
//! ```text
//!  Objects ──Organizes──▶ device ──HasComponent──▶ Sigil ──HasProperty──▶ EURange
//! ```

use std::sync::Arc;

use aether_sigil::{AnySigil, Identifier, NodeId as SigilNodeId, SigilSet};
use opcua::{
    nodes::AccessLevel,
    types::{
        AttributeId, DataTypeId, ExtensionObject, LocalizedText, NodeClass, NodeId, ObjectId, ObjectTypeId,
        QualifiedName, Range, ReferenceTypeId, StatusCode, UAString, VariableTypeId, Variant,
    },
};

use crate::{
    error::StartError,
    value::{data_type, from_node_id, is_servable, to_f64, to_node_id},
};

/// The index that the Sigils' namespace has in the server's namespace table: 0 is OPC UA's, 1 the server's own.
pub(crate) const NAMESPACE: u16 = 2;

const EU_RANGE: &str = "EURange";
const EU_RANGE_SUFFIX: &str = "#EURange";
/// ValueRank of a scalar (Part 3, section 5.6.2).
const SCALAR: i32 = -1;

/// One node of ours; numbers are positions in the set of Sigils.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    /// The object that groups the Sigils.
    Device,
    /// A Sigil.
    Sigil(usize),
    /// The EURange property of a Sigil with both bounds.
    EuRange(usize),
}

/// The end of a reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// A node of ours.
    Ours(Node),
    /// The standard folder *Objects*.
    ObjectsFolder,
    /// A standard type of objects.
    ObjectType(ObjectTypeId, &'static str),
    /// A standard type of variables.
    VariableType(VariableTypeId, &'static str),
}

/// A reference from a node, seen from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reference {
    pub(crate) kind: ReferenceTypeId,
    pub(crate) forward: bool,
    pub(crate) target: Target,
}

impl Reference {
    pub(crate) const fn to(kind: ReferenceTypeId, target: Target) -> Self {
        Self { kind, forward: true, target }
    }

    const fn from(kind: ReferenceTypeId, target: Target) -> Self {
        Self { kind, forward: false, target }
    }
}

/// The nodes of one server.
#[derive(Debug)]
pub(crate) struct Space {
    sigils: Arc<SigilSet>,
    device_id: String,
}

impl Space {
    /// Checks that every Sigil can be served beside the nodes that the server makes.
    pub(crate) fn new(sigils: Arc<SigilSet>, device_id: String) -> Result<Self, StartError> {
        let space = Self { sigils, device_id };
        for (position, sigil) in space.sigils.as_slice().iter().enumerate() {
            space.check(position, sigil)?;
        }
        Ok(space)
    }

    fn check(&self, position: usize, sigil: &AnySigil) -> Result<(), StartError> {
        let definition = sigil.definition();
        if definition.node_id().namespace() != NAMESPACE {
            let (sigil, found) = (sigil.id().clone(), definition.node_id().clone());
            return Err(StartError::WrongNamespace { sigil, found });
        }
        if !is_servable(definition.value_type()) {
            return Err(StartError::ValueType { sigil: sigil.id().clone(), found: definition.value_type() });
        }
        let taken = |other: &str| {
            let node_id = SigilNodeId::new(NAMESPACE, Identifier::String(other.into())).ok()?;
            self.sigils.by_node_id(&node_id)
        };
        if position == 0
            && let Some(sigil) = taken(&self.device_id)
        {
            return Err(node_id_taken(sigil, "the device's own, after setting `device_id`"));
        }
        if self.range(position).is_some()
            && let Some(sigil) = taken(&eu_range_id(sigil))
        {
            return Err(node_id_taken(sigil, "that of another sigil's EURange"));
        }
        Ok(())
    }

    /// Returns the Sigils in order.
    pub(crate) fn sigils(&self) -> &[AnySigil] {
        self.sigils.as_slice()
    }

    /// Returns the Sigil at this position.
    pub(crate) fn sigil(&self, position: usize) -> &AnySigil {
        &self.sigils.as_slice()[position]
    }

    /// Returns the node with this NodeId.
    pub(crate) fn find(&self, node_id: &NodeId) -> Option<Node> {
        if node_id.namespace != NAMESPACE {
            return None;
        }
        let ours = from_node_id(node_id)?;
        if let Some(position) = self.sigils.position(&ours) {
            return Some(Node::Sigil(position));
        }
        match ours.identifier() {
            Identifier::String(text) if **text == *self.device_id => Some(Node::Device),
            Identifier::String(text) => {
                let owner = self.sigils.by_id(text.strip_suffix(EU_RANGE_SUFFIX)?)?;
                let position = self.sigils.position(owner.definition().node_id())?;
                self.range(position).map(|_| Node::EuRange(position))
            }
            Identifier::Numeric(_) | Identifier::Guid(_) | Identifier::Opaque(_) => None,
        }
    }

    /// Returns the NodeId of a node.
    pub(crate) fn node_id(&self, node: Node) -> NodeId {
        match node {
            Node::Device => NodeId::new(NAMESPACE, UAString::from(self.device_id.as_str())),
            Node::Sigil(position) => to_node_id(self.sigil(position).definition().node_id()),
            Node::EuRange(position) => NodeId::new(NAMESPACE, UAString::from(eu_range_id(self.sigil(position)))),
        }
    }

    /// Returns the BrowseName of a node.
    pub(crate) fn browse_name(&self, node: Node) -> QualifiedName {
        match node {
            Node::Device => QualifiedName::new(NAMESPACE, self.device_id.as_str()),
            Node::Sigil(position) => QualifiedName::new(NAMESPACE, self.sigil(position).id().as_str()),
            Node::EuRange(_) => QualifiedName::new(0, EU_RANGE),
        }
    }

    pub(crate) const fn node_class(node: Node) -> NodeClass {
        match node {
            Node::Device => NodeClass::Object,
            Node::Sigil(_) | Node::EuRange(_) => NodeClass::Variable,
        }
    }

    /// Returns the type that a node is of.
    pub(crate) fn type_definition(&self, node: Node) -> Target {
        match node {
            Node::Device => Target::ObjectType(ObjectTypeId::BaseObjectType, "BaseObjectType"),
            Node::Sigil(position) if self.range(position).is_some() => {
                Target::VariableType(VariableTypeId::AnalogItemType, "AnalogItemType")
            }
            Node::Sigil(_) => Target::VariableType(VariableTypeId::BaseDataVariableType, "BaseDataVariableType"),
            Node::EuRange(_) => Target::VariableType(VariableTypeId::PropertyType, "PropertyType"),
        }
    }

    /// Returns the reference number `position` of a node, `None` past the last: a cursor is enough to browse on.
    pub(crate) fn reference(&self, node: Node, position: usize) -> Option<Reference> {
        use ReferenceTypeId::{HasComponent, HasProperty, HasTypeDefinition, Organizes};
        if position == 0 {
            return Some(Reference::to(HasTypeDefinition, self.type_definition(node)));
        }
        match (node, position) {
            (Node::Device, 1) => Some(Reference::from(Organizes, Target::ObjectsFolder)),
            (Node::Device, n) if n - 2 < self.sigils.as_slice().len() => {
                Some(Reference::to(HasComponent, Target::Ours(Node::Sigil(n - 2))))
            }
            (Node::Sigil(_), 1) => Some(Reference::from(HasComponent, Target::Ours(Node::Device))),
            (Node::Sigil(sigil), 2) if self.range(sigil).is_some() => {
                Some(Reference::to(HasProperty, Target::Ours(Node::EuRange(sigil))))
            }
            (Node::EuRange(sigil), 1) => Some(Reference::from(HasProperty, Target::Ours(Node::Sigil(sigil)))),
            _ => None,
        }
    }

    /// Returns an attribute of a node, for a user who may write or may not. The Value of a Sigil is
    /// not among them.
    ///
    /// Follows Part 3, sections 5.5.1 and 5.6.2.
    pub(crate) fn attribute(&self, node: Node, attribute: AttributeId, may_write: bool) -> Result<Variant, StatusCode> {
        let value = match attribute {
            AttributeId::NodeId => Some(Variant::from(self.node_id(node))),
            AttributeId::NodeClass => Some(Variant::Int32(Self::node_class(node) as i32)),
            AttributeId::BrowseName => Some(Variant::from(self.browse_name(node))),
            AttributeId::DisplayName => Some(Variant::from(LocalizedText::from(self.browse_name(node).name.as_ref()))),
            AttributeId::Description => Some(Variant::from(self.description(node))),
            AttributeId::WriteMask | AttributeId::UserWriteMask => Some(Variant::UInt32(0)),
            AttributeId::EventNotifier => (node == Node::Device).then_some(Variant::Byte(0)),
            AttributeId::Value => match node {
                Node::EuRange(position) => self
                    .range(position)
                    .map(|(low, high)| Variant::from(ExtensionObject::from_message(Range { low, high }))),
                Node::Device | Node::Sigil(_) => None,
            },
            AttributeId::DataType => self.data_type(node).map(|t| Variant::from(NodeId::from(t))),
            AttributeId::ValueRank => (node != Node::Device).then_some(Variant::Int32(SCALAR)),
            AttributeId::AccessLevel => self.access_level(node, true).map(|level| Variant::Byte(level.bits())),
            AttributeId::UserAccessLevel => self.access_level(node, may_write).map(|level| Variant::Byte(level.bits())),
            // Changes are pushed as they happen: 0 means continuous.
            AttributeId::MinimumSamplingInterval => (node != Node::Device).then_some(Variant::Double(0.0)),
            AttributeId::Historizing => (node != Node::Device).then_some(Variant::Boolean(false)),
            AttributeId::IsAbstract
            | AttributeId::Symmetric
            | AttributeId::InverseName
            | AttributeId::ContainsNoLoops
            | AttributeId::ArrayDimensions
            | AttributeId::Executable
            | AttributeId::UserExecutable
            | AttributeId::DataTypeDefinition
            | AttributeId::RolePermissions
            | AttributeId::UserRolePermissions
            | AttributeId::AccessRestrictions
            | AttributeId::AccessLevelEx => None,
        };
        value.ok_or(StatusCode::BadAttributeIdInvalid)
    }

    fn description(&self, node: Node) -> LocalizedText {
        match node {
            Node::Sigil(position) => {
                self.sigil(position).definition().description().map_or_else(LocalizedText::null, LocalizedText::from)
            }
            Node::Device | Node::EuRange(_) => LocalizedText::null(),
        }
    }

    fn data_type(&self, node: Node) -> Option<DataTypeId> {
        match node {
            Node::Device => None,
            Node::Sigil(position) => data_type(self.sigil(position).definition().value_type()),
            Node::EuRange(_) => Some(DataTypeId::Range),
        }
    }

    fn access_level(&self, node: Node, may_write: bool) -> Option<AccessLevel> {
        match node {
            Node::Device => None,
            Node::Sigil(position) if may_write && self.sigil(position).definition().writable() => {
                Some(AccessLevel::CURRENT_READ | AccessLevel::CURRENT_WRITE | AccessLevel::TIMESTAMP_WRITE)
            }
            Node::Sigil(_) | Node::EuRange(_) => Some(AccessLevel::CURRENT_READ),
        }
    }

    /// Returns both bounds of a Sigil, where it has them and they are numbers.
    fn range(&self, position: usize) -> Option<(f64, f64)> {
        let definition = self.sigil(position).definition();
        Some((to_f64(definition.minimum_value()?)?, to_f64(definition.maximum_value()?)?))
    }
}

/// Returns the NodeId of the standard folder *Objects*.
pub(crate) fn objects_folder() -> NodeId {
    ObjectId::ObjectsFolder.into()
}

fn eu_range_id(sigil: &AnySigil) -> String {
    format!("{}{EU_RANGE_SUFFIX}", sigil.id())
}

fn node_id_taken(sigil: &AnySigil, taken_by: &'static str) -> StartError {
    let found = sigil.definition().node_id().clone();
    StartError::NodeIdTaken { sigil: sigil.id().clone(), found, taken_by }
}

#[cfg(test)]
mod tests {
    use aether_sigil::Sigil;

    use super::*;

    fn space(sigils: Vec<AnySigil>) -> Result<Space, StartError> {
        Space::new(Arc::new(SigilSet::new(sigils).unwrap()), "aether".to_owned())
    }

    fn plain(node_id: &str) -> AnySigil {
        Sigil::builder(node_id, 1.0).build().unwrap().into()
    }

    fn ranged(node_id: &str) -> AnySigil {
        Sigil::builder(node_id, 1.0).minimum_value(0.0).maximum_value(9.5).build().unwrap().into()
    }

    #[test]
    fn every_node_is_found_by_its_own_node_id() {
        let space = space(vec![plain("ns=2;s=a"), ranged("ns=2;i=7"), plain("ns=2;b=AAH/")]).unwrap();
        for node in [Node::Device, Node::Sigil(0), Node::Sigil(1), Node::Sigil(2), Node::EuRange(1)] {
            assert_eq!(space.find(&space.node_id(node)), Some(node));
        }
        for unknown in ["ns=2;s=b", "ns=2;s=a#EURange", "ns=2;i=8", "ns=1;s=a", "i=85"] {
            assert_eq!(space.find(&unknown.parse().unwrap()), None, "{unknown}");
        }
    }

    #[test]
    fn references_lead_there_and_back() {
        let space = space(vec![plain("ns=2;s=a"), ranged("ns=2;s=b")]).unwrap();
        for node in [Node::Device, Node::Sigil(0), Node::Sigil(1), Node::EuRange(1)] {
            for position in 0.. {
                let Some(there) = space.reference(node, position) else { break };
                let Target::Ours(target) = there.target else { continue };
                let back = Reference { kind: there.kind, forward: !there.forward, target: Target::Ours(node) };
                assert!((0..9).any(|p| space.reference(target, p) == Some(back)), "{node:?} {there:?}");
            }
        }
        assert_eq!(space.reference(Node::Device, 4), None);
    }

    #[test]
    fn the_users_access_level_tells_what_the_user_may_do() {
        let fixed = Sigil::builder("ns=2;s=fixed", 1.0).writable(false).build().unwrap().into();
        let space = space(vec![plain("ns=2;s=a"), fixed]).unwrap();
        let level = |node, attribute, may_write| space.attribute(node, attribute, may_write).unwrap();
        assert_eq!(level(Node::Sigil(0), AttributeId::AccessLevel, false), Variant::Byte(1 + 2 + 64));
        assert_eq!(level(Node::Sigil(0), AttributeId::UserAccessLevel, true), Variant::Byte(1 + 2 + 64));
        assert_eq!(level(Node::Sigil(0), AttributeId::UserAccessLevel, false), Variant::Byte(1));
        assert_eq!(level(Node::Sigil(1), AttributeId::AccessLevel, true), Variant::Byte(1));
    }

    #[test]
    fn a_sigil_that_cannot_be_served_is_named() {
        let error = space(vec![plain("ns=3;s=a")]).unwrap_err().to_string();
        assert_eq!(error, "sigil `a` setting `node_id`: found ns=3;s=a, expected namespace index 2, as in ns=2;s=a");
        let error = space(vec![plain("ns=2;s=aether")]).unwrap_err().to_string();
        assert!(error.contains("`aether`") && error.contains("`device_id`"), "{error}");
        let error = space(vec![ranged("ns=2;s=a"), plain("ns=2;s=a#EURange")]).unwrap_err().to_string();
        assert!(error.contains("`a#EURange`"), "{error}");
    }
}
