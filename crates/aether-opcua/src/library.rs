//! How the OPC UA library is set up: endpoints, limits, identity.

use std::{path::Path, sync::Arc};

use opcua::{
    crypto::SecurityPolicy,
    server::{ANONYMOUS_USER_TOKEN_ID, Limits, Server, ServerBuilder, ServerEndpoint, ServerHandle},
    types::{BuildInfo, MessageSecurityMode, UAString},
};
use tracing::subscriber::NoSubscriber;

use crate::{
    auth::Access,
    certificate::OwnCertificate,
    clients::ClientStore,
    error::StartError,
    nodes::{NAMESPACE, SigilNodes, Space, Watch},
    settings::{Anonymous, ClientCertificates, Security},
};

const PRODUCT_URI: &str = "urn:aether";
/// Where the library finds no directory and can make none: nothing is secured, so it needs none.
const NOWHERE: &str = "/dev/null";
/// The policies that are offered. Basic128Rsa15 and Basic256 rest on SHA-1 and are not.
const POLICIES: [SecurityPolicy; 3] =
    [SecurityPolicy::Basic256Sha256, SecurityPolicy::Aes128Sha256RsaOaep, SecurityPolicy::Aes256Sha256RsaPss];

/// Everything the library is told.
#[derive(Debug)]
pub(crate) struct Setup<'a> {
    pub(crate) application_name: &'a str,
    pub(crate) application_uri: &'a str,
    pub(crate) namespace: &'a str,
    /// As it stands in an address.
    pub(crate) host: &'a str,
    pub(crate) port: u16,
    /// Empty or with its slash.
    pub(crate) path: &'a str,
    pub(crate) security: Security,
    pub(crate) anonymous: Anonymous,
    pub(crate) client_certificates: ClientCertificates,
    /// Where a secured endpoint is served.
    pub(crate) secured: Option<(&'a OwnCertificate, &'a ClientStore)>,
}

impl Setup<'_> {
    /// Makes the library's server.
    pub(crate) fn build(&self, space: Arc<Space>, watch: Arc<Watch>) -> Result<(Server, ServerHandle), StartError> {
        let access = Arc::new(Access::new(self.anonymous));
        let (nodes_access, namespace) = (Arc::clone(&access), self.namespace.to_owned());
        let mut builder = ServerBuilder::new()
            .application_name(self.application_name)
            .application_uri(self.application_uri)
            .product_uri(PRODUCT_URI)
            .build_info(build_info())
            .host(self.host)
            .port(self.port)
            .discovery_urls(vec![format!("opc.tcp://{}:{}{}", self.host, self.port, self.path)])
            .trust_client_certs(self.client_certificates == ClientCertificates::Any)
            .with_authenticator(access)
            .with_node_manager(move |context| SigilNodes::new(space, watch, nodes_access, namespace, &context));
        set_limits(builder.limits_mut());
        // How often subscriptions are looked at: a notification is late by this at most.
        builder.config_mut().subscription_poll_interval_ms = 10;
        for (name, endpoint) in self.endpoints() {
            builder = builder.add_endpoint(name, endpoint);
        }
        let built = match self.secured {
            Some((own, clients)) => {
                builder.pki_dir(clients.root()).certificate_path(&own.certificate).private_key_path(&own.key).build()
            }
            // It complains of a missing certificate, which nothing here needs.
            None => {
                tracing::subscriber::with_default(NoSubscriber::new(), || builder.pki_dir(Path::new(NOWHERE)).build())
            }
        };
        let (server, handle) = built.map_err(|reason| StartError::Library { reason })?;
        if handle.get_namespace_index(self.namespace) != Some(NAMESPACE) {
            let (found, expected) = (self.namespace.to_owned(), "a URI that no other namespace of the server has");
            return Err(StartError::Setting { setting: "namespace", found, expected });
        }
        if self.secured.is_some() && (handle.info().server_certificate.is_none() || handle.info().server_pkey.is_none())
        {
            let reason = "it cannot read the server's certificate or key".to_owned();
            return Err(StartError::Library { reason });
        }
        Ok((server, handle))
    }

    fn endpoints(&self) -> Vec<(String, ServerEndpoint)> {
        let path = if self.path.is_empty() { "/" } else { self.path };
        let users = match self.anonymous {
            Anonymous::Off => vec![],
            Anonymous::Read | Anonymous::ReadWrite => vec![ANONYMOUS_USER_TOKEN_ID.to_owned()],
        };
        let endpoint = |policy: SecurityPolicy, mode: MessageSecurityMode| {
            (format!("{policy}-{mode}"), ServerEndpoint::new(path, policy, mode, &users))
        };
        let mut endpoints = Vec::new();
        if self.security.offers_none() {
            endpoints.push(endpoint(SecurityPolicy::None, MessageSecurityMode::None));
        }
        if self.security.offers_secured() {
            for policy in POLICIES {
                endpoints.push(endpoint(policy, MessageSecurityMode::SignAndEncrypt));
                endpoints.push(endpoint(policy, MessageSecurityMode::Sign));
            }
        }
        endpoints
    }
}

fn build_info() -> BuildInfo {
    BuildInfo {
        product_uri: UAString::from(PRODUCT_URI),
        manufacturer_name: UAString::from("Aether"),
        product_name: UAString::from("Aether"),
        software_version: UAString::from(env!("CARGO_PKG_VERSION")),
        ..BuildInfo::default()
    }
}

fn set_limits(limits: &mut Limits) {
    // The library's 1,000 would refuse a Read of 1,001 nodes, which its operation limits allow.
    limits.max_array_length = 100_000;
    // Room for 10,000 values or references in one answer.
    limits.max_message_size = 4 * 1024 * 1024;
    limits.max_chunk_count = 80;
    limits.max_string_length = 65_536;
    limits.max_byte_string_length = 1024 * 1024;
    // Sessions that were never activated count for up to a minute after their socket is gone.
    limits.max_sessions = 100;
    limits.max_browse_continuation_points = 100;
    let subscriptions = &mut limits.subscriptions;
    // Some clients keep ten publish requests waiting and warn when one is refused.
    subscriptions.max_publish_requests_per_subscription = 10;
    subscriptions.max_pending_publish_requests = 100;
    // 0 lets a client ask for every change; one that asks for an interval gets that interval.
    subscriptions.min_sampling_interval_ms = 0.0;
    subscriptions.min_publishing_interval_ms = 10.0;
    subscriptions.max_monitored_items_per_sub = 10_000;
    subscriptions.max_monitored_item_queue_size = 100;
    subscriptions.max_queued_notifications = 100;
}
