//! The node manager: what the OPC UA library asks about Sigils, answered from the Sigils themselves.

mod browse;
mod space;
mod watch;

use std::{sync::Arc, time::Duration};

use aether_sigil::Origin;
use async_trait::async_trait;
use opcua::{
    nodes::DefaultTypeTree,
    server::{
        CreateMonitoredItem,
        diagnostics::NamespaceMetadata,
        node_manager::{
            BrowseNode, BrowsePathItem, ExternalReferenceRequest, MonitoredItemRef, MonitoredItemUpdateRef,
            NodeManager, ParsedReadValueId, ParsedWriteValue, ReadNode, RequestContext, ServerContext, WriteNode,
        },
    },
    types::{AttributeId, DataEncoding, DataValue, DateTime, MonitoringMode, NodeId, StatusCode, TimestampsToReturn},
};

use self::space::Node;
pub(crate) use self::{
    space::{NAMESPACE, Space},
    watch::Watch,
};
use crate::{
    auth::Access,
    value::{from_date_time, from_variant, keep_timestamps, to_data_value},
};

/// The sampling interval of pushed changes, in milliseconds: less than the library can measure, and not
/// 0, which it would take for no wish.
const PUSHED: f64 = 0.000_1;

/// Longest time after which a value held back is told again; a client may ask for centuries.
const LONGEST_PACE: Duration = Duration::from_secs(24 * 60 * 60);

/// Longest name of a client that events carry, in characters: the client chooses it.
const MAX_ACTOR: usize = 256;

/// Serves the Sigils to the OPC UA library; holds no value of its own.
#[derive(Debug)]
pub(crate) struct SigilNodes {
    space: Arc<Space>,
    watch: Arc<Watch>,
    access: Arc<Access>,
    namespace: String,
}

impl SigilNodes {
    /// Enters `namespace` in the server's table; whether it got the index expected is for the caller to check.
    pub(crate) fn new(
        space: Arc<Space>,
        watch: Arc<Watch>,
        access: Arc<Access>,
        namespace: String,
        context: &ServerContext,
    ) -> Self {
        context.type_tree.write().namespaces_mut().add_namespace(&namespace);
        Self { space, watch, access, namespace }
    }

    fn read_one(&self, asked: &ParsedReadValueId, may_write: bool, origin: &Origin) -> Result<DataValue, StatusCode> {
        let node = self.space.find(&asked.node_id).ok_or(StatusCode::BadNodeIdUnknown)?;
        check_how_asked(asked)?;
        if let (Node::Sigil(position), AttributeId::Value) = (node, asked.attribute_id) {
            return Ok(to_data_value(&self.space.sigil(position).read_from(origin)));
        }
        self.attribute(node, asked.attribute_id, may_write)
    }

    fn attribute(&self, node: Node, attribute: AttributeId, may_write: bool) -> Result<DataValue, StatusCode> {
        let value = self.space.attribute(node, attribute, may_write)?;
        let server_timestamp = Some(DateTime::now());
        Ok(DataValue { value: Some(value), status: Some(StatusCode::Good), server_timestamp, ..DataValue::null() })
    }

    /// Follows Part 4, section 5.11.4; the order of the checks is what a client may rely on.
    fn write_one(&self, asked: &ParsedWriteValue, may_write: bool, origin: &Origin) -> Result<(), StatusCode> {
        let node = self.space.find(&asked.node_id).ok_or(StatusCode::BadNodeIdUnknown)?;
        let (Node::Sigil(position), AttributeId::Value) = (node, asked.attribute_id) else {
            if asked.attribute_id != AttributeId::Value || node == Node::Device {
                self.space.attribute(node, asked.attribute_id, may_write)?;
            }
            return Err(StatusCode::BadNotWritable);
        };
        let sigil = self.space.sigil(position);
        if !sigil.definition().writable() {
            return Err(StatusCode::BadNotWritable);
        }
        if !may_write {
            return Err(StatusCode::BadUserAccessDenied);
        }
        if !asked.index_range.is_none() {
            return Err(StatusCode::BadIndexRangeNoData);
        }
        // Whether a value is good is for the Sigil to say.
        if asked.value.status.is_some_and(|status| status != StatusCode::Good) {
            return Err(StatusCode::BadWriteNotSupported);
        }
        let value = asked.value.value.as_ref().and_then(from_variant).ok_or(StatusCode::BadTypeMismatch)?;
        let source_timestamp = asked.value.source_timestamp.as_ref().filter(|t| !t.is_null()).map(from_date_time);
        sigil
            .write_from(value, source_timestamp, origin)
            .map_err(|refused| StatusCode::from(refused.status_code().bits()))
    }

    /// Whether the session of this request may write, and who it is for the events.
    fn session(&self, context: &RequestContext) -> (bool, Origin) {
        let user = context.user_token();
        let name = if user.is_anonymous() {
            let session = context.session().read();
            let client = session.application_description();
            let name = client.application_name.text.as_ref();
            if name.is_empty() { client.application_uri.as_ref() } else { name }.chars().take(MAX_ACTOR).collect()
        } else {
            user.0.clone()
        };
        let actor = (!name.is_empty()).then(|| name.into());
        (self.access.may_write(user), Origin::opc_ua(actor))
    }
}

/// Refuses what only makes sense for arrays and structures. A range within a String would let the
/// library cut a character in two, which ends in a panic.
fn check_how_asked(asked: &ParsedReadValueId) -> Result<(), StatusCode> {
    if !asked.index_range.is_none() {
        return Err(StatusCode::BadIndexRangeNoData);
    }
    match (&asked.data_encoding, asked.attribute_id) {
        (DataEncoding::Binary, _) => Ok(()),
        (_, AttributeId::Value) => Err(StatusCode::BadDataEncodingUnsupported),
        _ => Err(StatusCode::BadDataEncodingInvalid),
    }
}

#[async_trait]
impl NodeManager for SigilNodes {
    fn owns_node(&self, id: &NodeId) -> bool {
        id.namespace == NAMESPACE
    }

    fn name(&self) -> &str {
        "sigils"
    }

    fn namespaces_for_user(&self, _context: &RequestContext) -> Vec<NamespaceMetadata> {
        vec![NamespaceMetadata {
            namespace_uri: self.namespace.clone(),
            namespace_index: NAMESPACE,
            is_namespace_subset: Some(false),
            ..NamespaceMetadata::default()
        }]
    }

    async fn init(&self, _types: &mut DefaultTypeTree, _context: ServerContext) {}

    async fn resolve_external_references(
        &self,
        _context: &RequestContext,
        items: &mut [&mut ExternalReferenceRequest],
    ) {
        for item in items {
            if let Some(node) = self.space.find(item.node_id()) {
                item.set(self.space.metadata(node));
            }
        }
    }

    async fn read(
        &self,
        context: &RequestContext,
        _max_age: f64,
        timestamps: TimestampsToReturn,
        nodes: &mut [&mut ReadNode],
    ) -> Result<(), StatusCode> {
        let (may_write, origin) = self.session(context);
        for node in nodes {
            match self.read_one(node.node(), may_write, &origin) {
                Ok(value) => node.set_result(keep_timestamps(value, timestamps)),
                Err(status) => node.set_error(status),
            }
        }
        Ok(())
    }

    async fn write(&self, context: &RequestContext, nodes: &mut [&mut WriteNode]) -> Result<(), StatusCode> {
        let (may_write, origin) = self.session(context);
        for node in nodes {
            let status = self.write_one(node.value(), may_write, &origin).err().unwrap_or(StatusCode::Good);
            node.set_status(status);
        }
        Ok(())
    }

    async fn browse(&self, context: &RequestContext, nodes: &mut [BrowseNode]) -> Result<(), StatusCode> {
        let types = context.get_type_tree_for_user();
        for node in nodes {
            self.space.browse(node, types.get());
        }
        Ok(())
    }

    async fn translate_browse_paths_to_node_ids(
        &self,
        context: &RequestContext,
        paths: &mut [&mut BrowsePathItem],
    ) -> Result<(), StatusCode> {
        let types = context.get_type_tree_for_user();
        for path in paths {
            self.space.translate(path, context.current_node_manager_index, types.get());
        }
        Ok(())
    }

    async fn create_monitored_items(
        &self,
        context: &RequestContext,
        items: &mut [&mut CreateMonitoredItem],
    ) -> Result<(), StatusCode> {
        let (may_write, _) = self.session(context);
        for item in items {
            let asked = item.item_to_monitor();
            let first = match (self.space.find(&asked.node_id), check_how_asked(asked)) {
                (None, _) => Err(StatusCode::BadNodeIdUnknown),
                (_, Err(status)) => Err(status),
                (Some(Node::Sigil(position)), Ok(())) if asked.attribute_id == AttributeId::Value => {
                    // Changes are pushed, not sampled: whatever interval was asked for, the answer is
                    // the shortest. The library would hold values back that come sooner.
                    if item.sampling_interval() > 0.0 {
                        item.revise_sampling_interval(PUSHED);
                    }
                    Ok(self.watch.add(&self.space, position, item.handle()))
                }
                // Never changes while the server runs.
                (Some(node), Ok(())) => self.attribute(node, asked.attribute_id, may_write),
            };
            match first {
                Ok(value) => {
                    item.set_initial_value(value);
                    item.set_status(StatusCode::Good);
                }
                Err(status) => item.set_status(status),
            }
        }
        Ok(())
    }

    async fn modify_monitored_items(&self, _context: &RequestContext, items: &[&MonitoredItemUpdateRef]) {
        for item in items.iter().filter(|item| item.attribute() == AttributeId::Value) {
            if let Some(Node::Sigil(position)) = self.space.find(item.node_id()) {
                // The library gives no way to revise the interval here. A negative one stands for the
                // publishing interval, at which it looks by itself.
                let millis = item.update().revised_sampling_interval.max(0.0);
                let pace = Duration::try_from_secs_f64(millis / 1000.0).unwrap_or(LONGEST_PACE).min(LONGEST_PACE);
                self.watch.set_pace(position, item.handle(), pace);
            }
        }
    }

    async fn set_monitoring_mode(&self, context: &RequestContext, mode: MonitoringMode, items: &[&MonitoredItemRef]) {
        if mode != MonitoringMode::Disabled {
            for (position, item) in self.values(items) {
                self.watch.refresh(context.subscriptions(), position, item.handle());
            }
        }
    }

    async fn delete_monitored_items(&self, _context: &RequestContext, items: &[&MonitoredItemRef]) {
        for (position, item) in self.values(items) {
            self.watch.remove(position, item.handle());
        }
    }
}

impl SigilNodes {
    /// Returns those items that are on values of Sigils.
    fn values<'a>(&self, items: &'a [&MonitoredItemRef]) -> impl Iterator<Item = (usize, &'a MonitoredItemRef)> {
        items.iter().filter_map(|item| match self.space.find(item.node_id()) {
            Some(Node::Sigil(position)) if item.attribute() == AttributeId::Value => Some((position, *item)),
            _ => None,
        })
    }
}
