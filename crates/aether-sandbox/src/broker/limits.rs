//! The limits of AWS IoT Core the broker keeps to (reference sheet, section 4), and our own bounds.

use std::time::Duration;

/// Longest client id, in bytes (sheet, 4.2).
pub(super) const MAX_CLIENT_ID: usize = 128;
/// Longest topic or filter, in bytes (sheet, 4.4).
pub(super) const MAX_TOPIC: usize = 256;
/// Most slashes in a topic or filter (sheet, 4.4).
pub(super) const MAX_SLASHES: usize = 7;
/// Most filters in one SUBSCRIBE (sheet, 4.4).
pub(super) const MAX_FILTERS: usize = 8;
/// Most subscriptions of one connection (sheet, 4.4).
pub(super) const MAX_SUBSCRIPTIONS: usize = 50;
/// Longest payload, in bytes (sheet, 4.5).
pub(super) const MAX_PAYLOAD: usize = 128 * 1024;
/// Most QoS 1 deliveries a client may leave unacknowledged (sheet, 4.3).
pub(super) const MAX_IN_FLIGHT: usize = 100;
/// Keep-alive of a client that asks for none, and the longest one (sheet, 4.7).
pub(super) const MAX_KEEP_ALIVE: Duration = Duration::from_secs(1200);

/// Longest MQTT packet after its fixed header: a full payload, a full topic, and a CONNECT's fields.
pub(super) const MAX_PACKET: u32 = 128 * 1024 + 4 * 1024;
/// Deliveries that wait behind the unacknowledged ones; more are dropped and counted.
pub(super) const MAX_QUEUED: usize = 1000;
/// Payload bytes that wait behind the unacknowledged ones; more are dropped and counted.
pub(super) const MAX_QUEUED_BYTES: usize = 8 * 1024 * 1024;
/// Bytes that wait for a client to read them; more close its connection.
pub(super) const MAX_UNSENT: usize = 1024 * 1024;
/// Provisioning requests of one connection that may be under way at once.
pub(super) const MAX_REQUESTS: usize = 4;
/// Connections at once; more wait to be accepted.
pub(super) const MAX_CONNECTIONS: usize = 10_000;
/// Time for the TLS handshake, and again for CONNECT.
pub(super) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for one write to a client.
pub(super) const WRITE_TIMEOUT: Duration = Duration::from_secs(20);
/// Time for what is already decided to reach a client that is being closed.
pub(super) const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);
