//! A small plant, a server for it, and a client.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use aether_opcua::{OpcUaServer, RunningServer, ServerBuilder};
use aether_sigil::{AnySigil, EventSink, Operation, Sigil, SigilEvent, SigilSet};
use opcua::{
    client::{ClientBuilder, DataChangeCallback, IdentityToken, Session},
    crypto::SecurityPolicy,
    types::{
        AttributeId, DataValue, EndpointDescription, ExtensionObject, MessageSecurityMode, MonitoredItemCreateRequest,
        MonitoringMode, MonitoringParameters, NodeId, ReadValueId, StatusCode, TimestampsToReturn, UserTokenPolicy,
        Variant, WriteValue,
    },
};
use tempfile::TempDir;
use tokio::task::JoinHandle;

/// Longest wait for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) const TEMPERATURE: &str = "ns=2;s=Plant.Temperature";

/// One event as the tests compare it.
pub(crate) type Recorded = (Operation, String, Option<String>);

/// Keeps every event.
#[derive(Debug, Default)]
pub(crate) struct Recorder(Mutex<Vec<SigilEvent>>);

impl Recorder {
    pub(crate) fn take(&self) -> Vec<Recorded> {
        let events = std::mem::take(&mut *self.0.lock().unwrap());
        events
            .into_iter()
            .map(|e| (e.operation, e.sigil.id().to_string(), e.origin.actor().map(str::to_owned)))
            .collect()
    }

    pub(crate) fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

impl EventSink for Recorder {
    fn accept(&self, event: SigilEvent) {
        self.0.lock().unwrap().push(event);
    }
}

pub(crate) struct Plant {
    pub(crate) sigils: Arc<SigilSet>,
    pub(crate) temperature: Sigil<f64>,
    pub(crate) events: Arc<Recorder>,
}

/// A temperature from -50 to 150, a setpoint without bounds, a serial number that nobody outside may
/// write, and whatever else the test brings.
pub(crate) fn plant_with(more: impl IntoIterator<Item = AnySigil>) -> Plant {
    let temperature = Sigil::builder(TEMPERATURE, 25.0)
        .description("Process temperature value.")
        .minimum_value(-50.0)
        .maximum_value(150.0)
        .build()
        .unwrap();
    let setpoint = Sigil::builder("ns=2;s=Plant.Setpoint", 20_i32).build().unwrap();
    let serial = Sigil::builder("ns=2;i=7", "P3-00017".to_owned()).writable(false).build().unwrap();
    let fixed: [AnySigil; 3] = [(&temperature).into(), setpoint.into(), serial.into()];
    let sigils = Arc::new(SigilSet::new(fixed.into_iter().chain(more)).unwrap());
    let events = Arc::new(Recorder::default());
    for sigil in sigils.as_slice() {
        sigil.attach_sink(events.clone()).unwrap();
    }
    Plant { sigils, temperature, events }
}

pub(crate) fn plant() -> Plant {
    plant_with([])
}

impl Plant {
    pub(crate) fn server_at(&self, url: &str) -> ServerBuilder {
        OpcUaServer::builder(url.parse().unwrap(), Arc::clone(&self.sigils))
    }

    /// Serves on a free loopback port with the defaults there; returns the address too.
    pub(crate) async fn serve(&self) -> (RunningServer, String) {
        let bound = self.server_at("opc.tcp://127.0.0.1:0").bind().await.unwrap();
        let url = bound.url();
        (bound.start(), url)
    }
}

/// A connected client; its directory holds its certificate.
pub(crate) struct Client {
    pub(crate) session: Arc<Session>,
    pub(crate) events: JoinHandle<StatusCode>,
    _pki: Arc<TempDir>,
}

/// How a client connects.
pub(crate) struct Dial {
    pub(crate) policy: SecurityPolicy,
    pub(crate) mode: MessageSecurityMode,
}

impl Dial {
    pub(crate) const OPEN: Self = Self { policy: SecurityPolicy::None, mode: MessageSecurityMode::None };
}

/// Makes a client that tries once and does not reconnect, with a certificate where it needs one.
fn client_builder(pki: &TempDir, policy: SecurityPolicy) -> ClientBuilder {
    ClientBuilder::new()
        .application_name("test client")
        .application_uri("urn:test:client")
        .product_uri("urn:test")
        .pki_dir(pki.path())
        .create_sample_keypair(policy != SecurityPolicy::None)
        .max_array_length(10_000)
        .max_message_size(4 * 1024 * 1024)
        .max_chunk_count(100)
        .trust_server_certs(true)
        .verify_server_certs(false)
        .session_retry_limit(0)
        .request_timeout(Duration::from_secs(10))
}

impl Client {
    pub(crate) async fn connect(url: &str) -> Self {
        Self::dial(url, Dial::OPEN).await.expect("a session")
    }

    /// Connects as a client that was never there; `None` where the server refuses.
    pub(crate) async fn dial(url: &str, how: Dial) -> Option<Self> {
        Self::dial_as(Arc::new(tempfile::tempdir().unwrap()), url, how).await
    }

    /// Connects as the client whose certificate is in `pki`; `None` where the server refuses.
    pub(crate) async fn dial_as(pki: Arc<TempDir>, url: &str, how: Dial) -> Option<Self> {
        let client = client_builder(&pki, how.policy).client().unwrap();
        let endpoint = if how.policy == SecurityPolicy::None {
            EndpointDescription::from((url, how.policy.to_str(), how.mode, UserTokenPolicy::anonymous()))
        } else {
            let mut endpoints = endpoints(url).await.into_iter();
            let mut endpoint = endpoints
                .find(|e| e.security_policy_uri.as_ref() == how.policy.to_uri() && e.security_mode == how.mode)?;
            // Tests dial the address that they know, whatever is advertised.
            endpoint.endpoint_url = url.into();
            endpoint
        };
        let builder = client.session_builder().user_identity_token(IdentityToken::Anonymous);
        let builder = builder.connect_to_endpoint_directly(endpoint).unwrap();
        let (session, events) = builder.build(client.certificate_store().clone()).unwrap();
        let mut events = events.spawn();
        let settled = async {
            tokio::select! {
                connected = session.wait_for_connection() => connected,
                _ = &mut events => false,
            }
        };
        let connected = tokio::time::timeout(PATIENCE, settled).await.expect("connected or refused");
        connected.then_some(Self { session, events, _pki: pki })
    }

    pub(crate) async fn read_attribute(&self, node_id: &str, attribute: AttributeId) -> DataValue {
        let asked = ReadValueId { node_id: node(node_id), attribute_id: attribute as u32, ..Default::default() };
        self.read_value_id(asked, TimestampsToReturn::Both).await
    }

    pub(crate) async fn read_value_id(&self, asked: ReadValueId, timestamps: TimestampsToReturn) -> DataValue {
        self.session.read(&[asked], timestamps, 0.0).await.unwrap().remove(0)
    }

    pub(crate) async fn read(&self, node_id: &str) -> DataValue {
        self.read_attribute(node_id, AttributeId::Value).await
    }

    pub(crate) async fn write(&self, node_id: &str, value: impl Into<Variant>) -> StatusCode {
        self.write_value(node_id, DataValue::value_only(value.into())).await
    }

    pub(crate) async fn write_value(&self, node_id: &str, value: DataValue) -> StatusCode {
        let attribute_id = AttributeId::Value as u32;
        let write = WriteValue { node_id: node(node_id), attribute_id, value, ..Default::default() };
        self.session.write(&[write]).await.unwrap().remove(0)
    }

    /// Subscribes to one value, every change wanted; returns what arrives.
    pub(crate) async fn subscribe(&self, node_id: &str, filter: ExtensionObject) -> Subscribed {
        let received = Received::default();
        let subscription = self.subscription(&received).await;
        let created = self.monitor(subscription, node_id, MonitoringMode::Reporting, filter).await;
        assert_eq!(created.1, StatusCode::Good);
        Subscribed { received, subscription }
    }

    pub(crate) async fn subscription(&self, received: &Received) -> u32 {
        let received = received.clone();
        let callback = DataChangeCallback::new(move |value, _| received.0.lock().unwrap().push(value));
        self.session.create_subscription(Duration::from_millis(20), 600, 20, 0, 0, true, callback).await.unwrap()
    }

    pub(crate) async fn monitor(
        &self,
        subscription: u32,
        node_id: &str,
        mode: MonitoringMode,
        filter: ExtensionObject,
    ) -> (u32, StatusCode) {
        self.monitor_every(0.0, subscription, node_id, mode, filter).await
    }

    /// As [`monitor`](Self::monitor), with this sampling interval in milliseconds.
    pub(crate) async fn monitor_every(
        &self,
        sampling_interval: f64,
        subscription: u32,
        node_id: &str,
        mode: MonitoringMode,
        filter: ExtensionObject,
    ) -> (u32, StatusCode) {
        let requested_parameters = MonitoringParameters {
            sampling_interval,
            queue_size: 100,
            discard_oldest: true,
            filter,
            ..Default::default()
        };
        let item_to_monitor =
            ReadValueId { node_id: node(node_id), attribute_id: AttributeId::Value as u32, ..Default::default() };
        let request = MonitoredItemCreateRequest { item_to_monitor, monitoring_mode: mode, requested_parameters };
        let created =
            self.session.create_monitored_items(subscription, TimestampsToReturn::Both, vec![request]).await.unwrap();
        (created[0].result.monitored_item_id, created[0].result.status_code)
    }
}

/// Returns what the server says that it offers.
pub(crate) async fn endpoints(url: &str) -> Vec<EndpointDescription> {
    let pki = tempfile::tempdir().unwrap();
    let client = client_builder(&pki, SecurityPolicy::None).client().unwrap();
    client.get_server_endpoints_from_url(url).await.unwrap()
}

/// Values that notifications brought.
#[derive(Clone, Default)]
pub(crate) struct Received(Arc<Mutex<Vec<DataValue>>>);

impl Received {
    pub(crate) fn all(&self) -> Vec<DataValue> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn numbers(&self) -> Vec<f64> {
        self.all().into_iter().filter_map(|v| v.value?.as_f64()).collect()
    }
}

pub(crate) struct Subscribed {
    pub(crate) received: Received,
    pub(crate) subscription: u32,
}

pub(crate) fn node(node_id: &str) -> NodeId {
    node_id.parse().unwrap()
}

/// Waits until `condition` holds.
#[track_caller]
pub(crate) fn eventually(what: &'static str, condition: impl Fn() -> bool) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    async move {
        let mut looks = tokio::time::interval(Duration::from_millis(2));
        let holds = async {
            while !condition() {
                looks.tick().await;
            }
        };
        let outcome = tokio::time::timeout(PATIENCE, holds).await;
        assert!(outcome.is_ok(), "not in time: {what} ({caller})");
    }
}
