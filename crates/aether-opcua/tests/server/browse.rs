//! Browsing and looking up paths.

use opcua::types::{
    AttributeId, BrowseDescription, BrowseDirection, BrowsePath, BrowseResult, DataTypeId, LocalizedText, NodeClass,
    NodeClassMask, NodeId, ObjectId, QualifiedName, ReferenceTypeId, RelativePath, RelativePathElement, StatusCode,
    VariableTypeId, Variant,
};

use crate::support::{Client, PATIENCE, TEMPERATURE, node, plant, plant_with};

fn everything(node_id: NodeId, direction: BrowseDirection) -> BrowseDescription {
    BrowseDescription {
        node_id,
        browse_direction: direction,
        reference_type_id: ReferenceTypeId::References.into(),
        include_subtypes: true,
        node_class_mask: NodeClassMask::empty().bits(),
        result_mask: 63,
    }
}

async fn browse(client: &Client, asked: BrowseDescription) -> BrowseResult {
    client.session.browse(&[asked], 0, None).await.unwrap().remove(0)
}

/// Kind, direction and target of each reference.
fn seen(result: &BrowseResult) -> Vec<(NodeId, bool, NodeId)> {
    let references = result.references.iter().flatten();
    references.map(|r| (r.reference_type_id.clone(), r.is_forward, r.node_id.node_id.clone())).collect()
}

#[tokio::test]
async fn the_way_from_objects_to_a_sigil_and_back_is_browsed() {
    let (server, url) = plant().serve().await;
    let client = Client::connect(&url).await;
    let kind = |kind: ReferenceTypeId| NodeId::from(kind);

    let objects = browse(&client, everything(ObjectId::ObjectsFolder.into(), BrowseDirection::Forward)).await;
    assert!(seen(&objects).contains(&(kind(ReferenceTypeId::Organizes), true, node("ns=2;s=aether"))));
    let inverse = browse(&client, everything(ObjectId::ObjectsFolder.into(), BrowseDirection::Inverse)).await;
    assert!(!seen(&inverse).iter().any(|(_, _, target)| target.namespace == 2));

    let device = browse(&client, everything(node("ns=2;s=aether"), BrowseDirection::Forward)).await;
    let sigils: Vec<_> = device.references.iter().flatten().filter(|r| r.node_class == NodeClass::Variable).collect();
    assert_eq!(sigils.len(), 3);
    assert_eq!(sigils[0].node_id.node_id, node(TEMPERATURE));
    assert_eq!(sigils[0].browse_name, QualifiedName::new(2, "Plant.Temperature"));
    assert_eq!(sigils[0].type_definition.node_id, NodeId::from(VariableTypeId::AnalogItemType));

    let temperature = browse(&client, everything(node(TEMPERATURE), BrowseDirection::Both)).await;
    assert_eq!(
        seen(&temperature),
        [
            (kind(ReferenceTypeId::HasTypeDefinition), true, VariableTypeId::AnalogItemType.into()),
            (kind(ReferenceTypeId::HasComponent), false, node("ns=2;s=aether")),
            (kind(ReferenceTypeId::HasProperty), true, node("ns=2;s=Plant.Temperature#EURange")),
        ]
    );
    let device = browse(&client, everything(node("ns=2;s=aether"), BrowseDirection::Inverse)).await;
    assert_eq!(seen(&device), [(kind(ReferenceTypeId::Organizes), false, ObjectId::ObjectsFolder.into())]);
    server.stop(PATIENCE).await;
}

#[tokio::test]
async fn filters_and_unknown_nodes_are_answered_as_the_standard_says() {
    let (server, url) = plant().serve().await;
    let client = Client::connect(&url).await;
    let asked = |kind: ReferenceTypeId, subtypes: bool| BrowseDescription {
        reference_type_id: kind.into(),
        include_subtypes: subtypes,
        ..everything(node(TEMPERATURE), BrowseDirection::Both)
    };
    let count = async |asked| browse(&client, asked).await.references.unwrap_or_default().len();
    assert_eq!(count(asked(ReferenceTypeId::HierarchicalReferences, true)).await, 2);
    assert_eq!(count(asked(ReferenceTypeId::HierarchicalReferences, false)).await, 0);
    assert_eq!(count(asked(ReferenceTypeId::HasProperty, false)).await, 1);

    let mut wrong = asked(ReferenceTypeId::HasProperty, false);
    wrong.reference_type_id = ObjectId::ObjectsFolder.into();
    assert_eq!(browse(&client, wrong).await.status_code, StatusCode::BadReferenceTypeIdInvalid);
    let unknown = everything(node("ns=2;s=nobody"), BrowseDirection::Both);
    assert_eq!(browse(&client, unknown).await.status_code, StatusCode::BadNodeIdUnknown);
    server.stop(PATIENCE).await;
}

#[tokio::test]
async fn many_sigils_are_browsed_piece_by_piece_each_once() {
    let more = (0..250).map(|n| aether_sigil::Sigil::builder(&format!("ns=2;s=Many.{n}"), n).build().unwrap().into());
    let (server, url) = plant_with(more).serve().await;
    let client = Client::connect(&url).await;
    let asked = BrowseDescription {
        reference_type_id: ReferenceTypeId::HasComponent.into(),
        ..everything(node("ns=2;s=aether"), BrowseDirection::Forward)
    };
    let mut result = client.session.browse(&[asked], 100, None).await.unwrap().remove(0);
    let mut pieces = vec![];
    let mut names = vec![];
    loop {
        let references = result.references.clone().unwrap();
        pieces.push(references.len());
        names.extend(references.into_iter().map(|r| r.browse_name.name.to_string()));
        if result.continuation_point.is_null_or_empty() {
            break;
        }
        result = client.session.browse_next(false, &[result.continuation_point]).await.unwrap().remove(0);
    }
    assert_eq!(pieces, [100, 100, 53]);
    let expected = ["Plant.Temperature", "Plant.Setpoint", "7"].map(str::to_owned).into_iter();
    assert!(names.into_iter().eq(expected.chain((0..250).map(|n| format!("Many.{n}")))));
    server.stop(PATIENCE).await;
}

fn path(from: NodeId, names: &[(u16, &str)]) -> BrowsePath {
    let element = |&(namespace, name): &(u16, &str)| RelativePathElement {
        reference_type_id: ReferenceTypeId::HierarchicalReferences.into(),
        is_inverse: false,
        include_subtypes: true,
        target_name: QualifiedName::new(namespace, name),
    };
    let elements = Some(names.iter().map(element).collect());
    BrowsePath { starting_node: from, relative_path: RelativePath { elements } }
}

#[tokio::test]
async fn paths_from_one_start_are_all_found_in_one_request() {
    let (server, url) = plant().serve().await;
    let client = Client::connect(&url).await;
    let objects = || NodeId::from(ObjectId::ObjectsFolder);
    let mut backwards = path(node(TEMPERATURE), &[(2, "aether"), (0, "Objects"), (0, "Server")]);
    for element in &mut backwards.relative_path.elements.as_mut().unwrap()[..2] {
        element.is_inverse = true;
    }
    let paths = [
        path(objects(), &[(2, "aether"), (2, "Plant.Temperature")]),
        path(objects(), &[(2, "aether"), (2, "7")]),
        path(ObjectId::RootFolder.into(), &[(0, "Objects"), (2, "aether"), (2, "Plant.Temperature"), (0, "EURange")]),
        path(node(TEMPERATURE), &[(0, "EURange")]),
        path(objects(), &[(0, "aether"), (2, "7")]),
        backwards,
    ];
    let found = client.session.translate_browse_paths_to_node_ids(&paths).await.unwrap();
    let targets = |n: usize| -> Vec<NodeId> {
        found[n].targets.iter().flatten().map(|target| target.target_id.node_id.clone()).collect()
    };
    assert_eq!(targets(0), [node(TEMPERATURE)]);
    assert_eq!(targets(1), [node("ns=2;i=7")]);
    assert_eq!(targets(2), [node("ns=2;s=Plant.Temperature#EURange")]);
    assert_eq!(targets(3), targets(2));
    assert_eq!((targets(4), found[4].status_code), (vec![], StatusCode::BadNoMatch));
    assert_eq!(targets(5), [NodeId::from(ObjectId::Server)]);
    server.stop(PATIENCE).await;
}

#[tokio::test]
async fn attributes_come_from_the_definition() {
    let (server, url) = plant().serve().await;
    let client = Client::connect(&url).await;
    let read = async |attribute| client.read_attribute(TEMPERATURE, attribute).await.value.unwrap();
    assert_eq!(read(AttributeId::NodeId).await, Variant::from(node(TEMPERATURE)));
    assert_eq!(read(AttributeId::NodeClass).await, Variant::Int32(NodeClass::Variable as i32));
    assert_eq!(read(AttributeId::DisplayName).await, Variant::from(LocalizedText::from("Plant.Temperature")));
    assert_eq!(read(AttributeId::Description).await, Variant::from(LocalizedText::from("Process temperature value.")));
    assert_eq!(read(AttributeId::DataType).await, Variant::from(NodeId::from(DataTypeId::Double)));
    assert_eq!(read(AttributeId::ValueRank).await, Variant::Int32(-1));
    assert_eq!(read(AttributeId::Historizing).await, Variant::Boolean(false));
    let missing = client.read_attribute(TEMPERATURE, AttributeId::Executable).await;
    assert_eq!(missing.status, Some(StatusCode::BadAttributeIdInvalid));
    let device = client.read_attribute("ns=2;s=aether", AttributeId::Value).await;
    assert_eq!(device.status, Some(StatusCode::BadAttributeIdInvalid));
    server.stop(PATIENCE).await;
}
