//! The connector over TLS and TCP, on `rumqttc`, with the guards its losses ask for.
//!
//! One client and one event loop per connection, so that nothing of an earlier connection is ever sent again; the
//! poll loop in a task of its own, ended at the first error, because the library would reconnect at once.

mod classify;
mod flight;
mod session;
mod tls;
mod worker;

use std::sync::Arc;

use async_trait::async_trait;
use rumqttc::{AsyncClient, EventLoop, MqttOptions, NetworkOptions, TlsConfiguration, Transport};
use tokio::sync::mpsc;

use crate::{ConnectError, ConnectOptions, Connector, MAX_PAYLOAD, MAX_UNACKNOWLEDGED, Session, Topic};
use session::{RumqttSession, Shared};
use worker::Worker;

/// Subscribes that may be under way beside a full window of publishes, and one disconnect.
const SUBSCRIBE_PLACES: usize = 7;
/// Places in the client library's channel and packet ids in its circle: whatever is handed over finds one.
const REQUEST_PLACES: usize = MAX_UNACKNOWLEDGED + SUBSCRIBE_PLACES + 1;
/// Incoming messages that may wait for [`Session::next`]. Twice what AWS leaves unacknowledged.
const INCOMING_PLACES: usize = 256;
/// A payload of the largest size with topic, packet id and header around it.
const MAX_PACKET: usize = MAX_PAYLOAD + Topic::MAX_LEN * 4 + 64;

/// Makes connections over mutual TLS, with MQTT 3.1.1.
///
/// A connection runs in a task of its own and ends with its session. Needs a Tokio runtime with I/O and time.
#[derive(Clone, Debug, Default)]
pub struct RumqttConnector {
    _private: (),
}

#[async_trait]
impl Connector for RumqttConnector {
    async fn connect(&self, options: &ConnectOptions) -> Result<Box<dyn Session>, ConnectError> {
        options.check().map_err(ConnectError::Settings)?;
        let limit = options.connect_limit();
        let (client, eventloop) = tokio::time::timeout(limit, open(options))
            .await
            .map_err(|_| ConnectError::Timeout { endpoint: options.endpoint().to_string(), within: limit })??;
        tracing::debug!(endpoint = %options.endpoint(), client_id = %options.client_id(), "mqtt session opened");

        let shared = Arc::new(Shared::new(client));
        let (sender, receiver) = mpsc::channel(INCOMING_PLACES);
        let worker = Worker { shared: Arc::clone(&shared), incoming: sender, ack_timeout: options.ack_limit() };
        tokio::spawn(worker.run(eventloop));
        Ok(Box::new(RumqttSession::new(shared, receiver, SUBSCRIBE_PLACES)))
    }
}

/// Connects up to the CONNACK.
async fn open(options: &ConnectOptions) -> Result<(AsyncClient, EventLoop), ConnectError> {
    let (host, port) = (options.endpoint().host(), options.endpoint().port());
    // The library resolves again; asked here first, because its error would not tell a name from a network.
    let _addresses = tokio::net::lookup_host((host, port))
        .await
        .map_err(|e| ConnectError::Dns { host: host.into(), source: Box::new(e) })?;

    let config = tls::client_config(options)
        .map_err(|e| ConnectError::Tls { endpoint: options.endpoint().to_string(), source: Box::new(e) })?;
    let mut mqtt = MqttOptions::new(options.client_id().as_str(), host, port);
    mqtt.set_transport(Transport::Tls(TlsConfiguration::Rustls(Arc::new(config))))
        .set_clean_session(true)
        .set_keep_alive(options.keep_alive_interval())
        .set_inflight(u16::try_from(REQUEST_PLACES).unwrap_or(u16::MAX))
        .set_max_packet_size(MAX_PACKET, MAX_PACKET);
    let mut network = NetworkOptions::new();
    network.set_tcp_nodelay(true);
    // Whole seconds, and also the library's limit for one flush; the exact limit is kept around this function.
    network.set_connection_timeout(options.connect_limit().as_secs() + 1);

    let (client, mut eventloop) = AsyncClient::new(mqtt, REQUEST_PLACES);
    eventloop.set_network_options(network);
    // The first event of an event loop is the CONNACK.
    eventloop.poll().await.map_err(|e| classify::connect_error(e, options))?;
    Ok((client, eventloop))
}
