//! Browse and TranslateBrowsePathsToNodeIds over the nodes of a [`Space`].

use opcua::{
    nodes::TypeTree,
    server::node_manager::{AddReferenceResult, BrowseNode, BrowsePathItem, NodeMetadata},
    types::{
        ExpandedNodeId, LocalizedText, NodeClass, NodeId, ObjectTypeId, QualifiedName, ReferenceDescription,
        ReferenceTypeId, RelativePathElement, StatusCode,
    },
};

use super::space::{NAMESPACE, Node, Reference, Space, Target, objects_folder};

/// Where BrowseNext goes on: the number of the next reference.
#[derive(Clone, Copy, Debug)]
struct Cursor(usize);

/// What a path leads to when it is followed on from a node.
type Step = (Reference, NodeId, QualifiedName);

impl Space {
    /// Adds the references of a node of ours, and of *Objects* the one to the device.
    pub(crate) fn browse(&self, request: &mut BrowseNode, types: &dyn TypeTree) {
        if *request.node_id() == objects_folder() {
            self.add(request, organizes_device(), types);
            return;
        }
        if request.node_id().namespace != NAMESPACE {
            return;
        }
        let Some(node) = self.find(request.node_id()) else {
            request.set_status(StatusCode::BadNodeIdUnknown);
            return;
        };
        let wanted = request.reference_type_id();
        if !wanted.is_null() && types.get(wanted) != Some(NodeClass::ReferenceType) {
            request.set_status(StatusCode::BadReferenceTypeIdInvalid);
            return;
        }
        request.set_status(StatusCode::Good);
        let first = request.continuation_point::<Cursor>().map_or(0, |cursor| cursor.0);
        for position in first.. {
            let Some(reference) = self.reference(node, position) else { break };
            if !self.add(request, reference, types) {
                request.set_next_continuation_point(Box::new(Cursor(position)));
                break;
            }
        }
    }

    /// Adds a reference that the request asks for; `false` where there is no room for it.
    fn add(&self, request: &mut BrowseNode, reference: Reference, types: &dyn TypeTree) -> bool {
        let allowed = if reference.forward { request.allows_forward() } else { request.allows_inverse() };
        !allowed || !matches!(request.add(types, self.describe(reference)), AddReferenceResult::Full(_))
    }

    fn describe(&self, reference: Reference) -> ReferenceDescription {
        let target = reference.target;
        let browse_name = self.target_name(target);
        ReferenceDescription {
            reference_type_id: reference.kind.into(),
            is_forward: reference.forward,
            node_id: self.target_id(target).into(),
            display_name: LocalizedText::from(browse_name.name.as_ref()),
            browse_name,
            node_class: match target {
                Target::Ours(node) => Self::node_class(node),
                Target::ObjectsFolder => NodeClass::Object,
                Target::ObjectType(..) => NodeClass::ObjectType,
                Target::VariableType(..) => NodeClass::VariableType,
            },
            type_definition: match target {
                Target::Ours(node) => self.target_id(self.type_definition(node)).into(),
                Target::ObjectsFolder => NodeId::from(ObjectTypeId::FolderType).into(),
                Target::ObjectType(..) | Target::VariableType(..) => ExpandedNodeId::null(),
            },
        }
    }

    /// Returns what a reference from elsewhere to a node of ours shows of it.
    pub(crate) fn metadata(&self, node: Node) -> NodeMetadata {
        let seen = self.describe(Reference::to(ReferenceTypeId::References, Target::Ours(node)));
        NodeMetadata {
            node_id: seen.node_id,
            type_definition: seen.type_definition,
            browse_name: seen.browse_name,
            display_name: seen.display_name,
            node_class: seen.node_class,
        }
    }

    fn target_id(&self, target: Target) -> NodeId {
        match target {
            Target::Ours(node) => self.node_id(node),
            Target::ObjectsFolder => objects_folder(),
            Target::ObjectType(id, _) => id.into(),
            Target::VariableType(id, _) => id.into(),
        }
    }

    fn target_name(&self, target: Target) -> QualifiedName {
        match target {
            Target::Ours(node) => self.browse_name(node),
            Target::ObjectsFolder => QualifiedName::new(0, "Objects"),
            Target::ObjectType(_, name) | Target::VariableType(_, name) => QualifiedName::new(0, name),
        }
    }

    /// Follows a path as far as it runs over nodes of ours; the library goes on from each node reached.
    pub(crate) fn translate(&self, path: &mut BrowsePathItem<'_>, manager: usize, types: &dyn TypeTree) {
        if let Some(name) = path.unmatched_browse_name() {
            let found = self.find(path.node_id()).is_some_and(|node| self.browse_name(node) == *name);
            if !found {
                return;
            }
            path.set_browse_name_matched(manager);
        }
        let mut reached = vec![path.node_id().clone()];
        for (done, element) in path.path().iter().enumerate() {
            let mut next = Vec::new();
            for node_id in &reached {
                for (_, target, _) in self.steps(node_id).filter(|step| follows(step, element, types)) {
                    path.add_element(target.clone(), done + 1, None);
                    next.push(target);
                }
            }
            reached = next;
        }
    }

    /// Returns the references of *Objects* that are ours, or those of a node of ours.
    fn steps(&self, node_id: &NodeId) -> impl Iterator<Item = Step> {
        let from_objects = (*node_id == objects_folder()).then(organizes_device);
        let node = self.find(node_id);
        let from_node = (0..).map_while(move |position| self.reference(node?, position));
        from_objects.into_iter().chain(from_node).map(|reference| {
            let (id, name) = (self.target_id(reference.target), self.target_name(reference.target));
            (reference, id, name)
        })
    }
}

fn organizes_device() -> Reference {
    Reference::to(ReferenceTypeId::Organizes, Target::Ours(Node::Device))
}

fn follows((reference, _, name): &Step, element: &RelativePathElement, types: &dyn TypeTree) -> bool {
    let kind = NodeId::from(reference.kind);
    let wanted = &element.reference_type_id;
    let right_kind =
        wanted.is_null() || kind == *wanted || (element.include_subtypes && types.is_subtype_of(&kind, wanted));
    right_kind && reference.forward != element.is_inverse && *name == element.target_name
}
