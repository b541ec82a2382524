//! A sandbox for clients that come and go in a hurry, and a certificate that may do everything.

use std::fs;
use std::path::Path;

use aether_tests::aether::{Identity, Sandbox, aether};
use aether_tests::boto3::Boto3;
use aether_tests::foreign::{self, Mqtt};
use aether_tests::program::Program;
use tempfile::TempDir;

use crate::support::{ANYTHING, SOON, certificate};

/// AWS takes one CONNECT a second of a client id, and one retained message a second on a topic.
const IN_A_HURRY: &str = "\
device_keys = \"ec-p256\"

[limits]
connects_per_second = 1000
retained_per_second = 1000
";

/// A running sandbox.
pub(crate) struct Ground {
    pub(crate) sandbox: Sandbox,
    /// A certificate that may do everything.
    pub(crate) identity: Identity,
    folder: TempDir,
}

impl Ground {
    #[track_caller]
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("sandbox.toml");
        fs::write(&config, IN_A_HURRY).unwrap();
        let sandbox = Sandbox::up_with(folder.path().join("sandbox"), &config);
        let identity = certificate(&mut Boto3::start(&sandbox), folder.path(), "anything", Some(ANYTHING));
        Self { sandbox, identity, folder }
    }

    /// Where the certificates of a test may lie.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts one of Mosquitto's clients.
    #[track_caller]
    pub(crate) fn start(&self, name: &str, mqtt: Mqtt, identity: &Identity, arguments: &[&str]) -> Program {
        Program::start(&mut foreign::mosquitto(name, mqtt, &self.sandbox, identity, arguments))
    }

    /// A subscriber that has its SUBACK.
    #[track_caller]
    pub(crate) fn mosquitto_sub(&self, mqtt: Mqtt, arguments: &[&str]) -> Program {
        self.subscriber(mqtt, &self.identity, arguments)
    }

    /// As [`mosquitto_sub`](Self::mosquitto_sub), with the operator's certificate.
    #[track_caller]
    pub(crate) fn observe(&self, arguments: &[&str]) -> Program {
        self.subscriber(Mqtt::V3_1_1, &self.sandbox.observer(), arguments)
    }

    /// A subscriber of the events that tell who comes and goes under this client id: `TOPIC EVENT` a line.
    #[track_caller]
    pub(crate) fn presence(&self, client_id: &str) -> Program {
        let filter = format!("$aws/events/presence/+/{client_id}");
        self.observe(&["-i", &format!("presence-of-{client_id}"), "-t", &filter, "-F", "%t %p"])
    }

    #[track_caller]
    fn subscriber(&self, mqtt: Mqtt, identity: &Identity, arguments: &[&str]) -> Program {
        let subscriber = self.start("mosquitto_sub", mqtt, identity, arguments);
        subscriber.wait_for_line("SUBACK", SOON, |line| line.contains("received SUBACK"));
        subscriber
    }

    /// Publishes with QoS 1 and waits for the PUBACK.
    #[track_caller]
    pub(crate) fn mosquitto_pub(&self, arguments: &[&str]) {
        let arguments = [&["-i", "publisher"], arguments].concat();
        let mut publisher = self.start("mosquitto_pub", Mqtt::V3_1_1, &self.identity, &arguments);
        assert!(publisher.wait_for_exit(SOON).success(), "{}", publisher.printed());
    }

    #[track_caller]
    pub(crate) fn publish(&self, topic: &str, message: &str) {
        self.mosquitto_pub(&["-t", topic, "-m", message]);
    }

    /// Moves the sandbox's clock: `61m`.
    #[track_caller]
    pub(crate) fn advance(&self, by: &str) {
        let mut advance = aether(["sandbox", "advance", by, "--dir"]);
        let mut advance = Program::start(advance.arg(self.sandbox.directory()));
        assert!(advance.wait_for_exit(SOON).success(), "{}", advance.printed());
    }
}
