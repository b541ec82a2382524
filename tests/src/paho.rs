//! paho-mqtt, told from a test what to do: connect, subscribe, publish, wait for a message, in this order or another.

use serde_json::{Value, json};

use crate::aether::{Identity, Sandbox};
use crate::dialogue::Dialogue;
use crate::foreign::{self, Mqtt};

/// A running Python with paho-mqtt and cbor2, and the connections it has made.
#[derive(Debug)]
pub struct Paho {
    script: Dialogue,
}

/// How to connect.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "put together by tests")]
pub struct Connect<'a> {
    /// The version of the protocol.
    pub mqtt: Mqtt,
    /// The MQTT client id.
    pub client_id: &'a str,
    /// The certificate and its key.
    pub identity: &'a Identity,
    /// Whether an earlier session is to be forgotten.
    pub clean: bool,
    /// Seconds the session is to outlive the connection; of MQTT 5 only.
    pub expiry: Option<u32>,
}

/// How a message is read and written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "what the script knows")]
pub enum Payload {
    /// As a text, under `payload`.
    Text,
    /// By cbor2, under `cbor`.
    Cbor,
}

impl Paho {
    /// Starts it; every connection goes to `sandbox`.
    ///
    /// # Panics
    ///
    /// When it cannot be started, or is not installed.
    #[must_use]
    #[track_caller]
    pub fn start(sandbox: &Sandbox) -> Self {
        let mut command = foreign::paho_python("paho_client.py");
        command.arg("--port").arg(sandbox.port().to_string()).arg("--ca").arg(sandbox.ca());
        Self { script: Dialogue::start(&mut command) }
    }

    /// Connects and gives what CONNACK said, `session_present` and `reason`, or `hung_up` where none came.
    ///
    /// The connection is called `name` from now on; another one of the client id keeps its own name.
    ///
    /// # Panics
    ///
    /// When neither comes in time.
    #[track_caller]
    pub fn connect(&mut self, name: &str, how: &Connect<'_>) -> Value {
        self.script.ask(&json!({
            "do": "connect", "name": name, "mqtt": how.mqtt.for_scripts(), "client": how.client_id,
            "clean": how.clean, "expiry": how.expiry,
            "certificate": how.identity.certificate, "key": how.identity.key,
        }))
    }

    /// Subscribes with QoS 1 and gives the code of the SUBACK.
    ///
    /// # Panics
    ///
    /// When none comes in time.
    #[track_caller]
    pub fn subscribe(&mut self, name: &str, filter: &str) -> Value {
        self.script.ask(&json!({"do": "subscribe", "name": name, "filter": filter}))["granted"].take()
    }

    /// Publishes with QoS 1 and gives the reason in the PUBACK: 0 with MQTT 3.1.1, whose PUBACK has none.
    ///
    /// # Panics
    ///
    /// When no PUBACK comes in time.
    #[track_caller]
    pub fn publish(&mut self, name: &str, topic: &str, text: &str) -> Value {
        self.script.ask(&json!({"do": "publish", "name": name, "topic": topic, "payload": text}))["reason"].take()
    }

    /// As [`publish`](Self::publish), a value that cbor2 writes.
    ///
    /// # Panics
    ///
    /// When no PUBACK comes in time.
    #[track_caller]
    pub fn publish_cbor(&mut self, name: &str, topic: &str, value: &Value) -> Value {
        self.script.ask(&json!({"do": "publish", "name": name, "topic": topic, "cbor": value}))["reason"].take()
    }

    /// Waits for the next message: `topic`, `qos`, `retain`, `duplicate`, and `payload` or `cbor`.
    ///
    /// # Panics
    ///
    /// When none comes in time, or cbor2 cannot read it.
    #[track_caller]
    pub fn next(&mut self, name: &str, payload: Payload) -> Value {
        let payload = match payload {
            Payload::Text => "text",
            Payload::Cbor => "cbor",
        };
        self.script.ask(&json!({"do": "next", "name": name, "as": payload}))
    }

    /// Waits until the connection is lost: `by_server` where a DISCONNECT said so, and its `reason`.
    ///
    /// # Panics
    ///
    /// When it is not lost in time.
    #[track_caller]
    pub fn wait_until_lost(&mut self, name: &str) -> Value {
        self.script.ask(&json!({"do": "wait_until_lost", "name": name}))
    }

    /// Says DISCONNECT and waits for the end of the connection.
    ///
    /// # Panics
    ///
    /// When it does not end in time.
    #[track_caller]
    pub fn disconnect(&mut self, name: &str) {
        self.script.ask(&json!({"do": "disconnect", "name": name}));
    }
}
