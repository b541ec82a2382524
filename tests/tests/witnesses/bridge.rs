//! A Mosquitto broker that bridges to the sandbox, set up as AWS's article *How to Bridge Mosquitto MQTT Broker to
//! AWS IoT* sets it up.

use std::fs;
use std::path::Path;

use aether_tests::aether::{Identity, Sandbox};
use aether_tests::foreign;
use aether_tests::program::{Program, free_port};

use crate::support::{SOON, publish};

/// The article's `bridge.conf` word for word, save for the line `address`, which it tells the reader to fill in,
/// and the three paths.
const BRIDGE_CONF: &str = "\
# =================================================================
# Bridges to AWS IOT
# =================================================================

# AWS IoT endpoint, use AWS CLI 'aws iot describe-endpoint'
connection awsiot
address {address}

# Specifying which topics are bridged
topic awsiot_to_localgateway in 1
topic localgateway_to_awsiot out 1
topic both_directions both 1

# Setting protocol version explicitly
bridge_protocol_version mqttv311
bridge_insecure false

# Bridge connection name and MQTT client Id,
# enabling the connection automatically when the broker starts.
cleansession true
clientid bridgeawsiot
start_type automatic
notifications false
log_type all

# =================================================================
# Certificate based SSL/TLS support
# -----------------------------------------------------------------
#Path to the rootCA
bridge_cafile {ca}

# Path to the PEM encoded client certificate
bridge_certfile {certificate}

# Path to the PEM encoded client private key
bridge_keyfile {key}
";

/// The broker's own configuration, which takes in the article's, as Debian's does.
///
/// A broker that is started by root changes to a user who may not read the test's folder, unless told otherwise.
const MOSQUITTO_CONF: &str = "\
listener {port} 127.0.0.1
allow_anonymous true
user root
include_dir {conf.d}
";

/// The policy that the article attaches to the bridge's certificate.
const POLICY: &str =
    r#"{"Version": "2012-10-17","Statement": [{"Effect": "Allow","Action": "iot:*","Resource": "*"}]}"#;

#[test]
fn messages_cross_the_bridge_of_the_article_in_both_directions() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = sandbox_with_a_bridge_identity(folder.path());
    let local = LocalBroker::bridged(folder.path(), &sandbox, &sandbox.claim());

    // Out: the article's own message, seen at the sandbox.
    let cloud = sandbox_subscriber(&sandbox);
    let message = r#"{"key": "helloFromLocalGateway"}"#;
    local.publish("localgateway_to_awsiot", message);
    cloud.wait_for_line("it at the sandbox", SOON, |line| line == format!("GOT localgateway_to_awsiot {message}"));
    local.publish("both_directions", "from the local gateway");
    cloud.wait_for_line("it at the sandbox", SOON, |line| line == "GOT both_directions from the local gateway");

    // In: seen at the local broker.
    let gateway = local.subscriber();
    for topic in ["awsiot_to_localgateway", "both_directions"] {
        let mut sender = publish(&sandbox, &sandbox.claim(), topic, topic, "from the cloud");
        assert!(sender.wait_for_exit(SOON).success(), "{}", sender.printed());
        gateway.wait_for_line("it at the local broker", SOON, |line| line == format!("GOT {topic} from the cloud"));
    }
}

/// A sandbox whose claim certificate has the article's policy.
fn sandbox_with_a_bridge_identity(folder: &Path) -> Sandbox {
    let directory = folder.join("sandbox");
    drop(Sandbox::up(&directory));
    fs::write(directory.join("policies/aether-claim.json"), POLICY).unwrap();
    Sandbox::up(&directory)
}

/// A subscriber at the sandbox of all that may come out of the bridge.
pub(crate) fn sandbox_subscriber(sandbox: &Sandbox) -> Program {
    let arguments = ["-i", "witness-observer", "-t", "#", "-F", "GOT %t %p"];
    let mut command =
        foreign::mosquitto("mosquitto_sub", foreign::Mqtt::V3_1_1, sandbox, &sandbox.observer(), arguments);
    let subscriber = Program::start(&mut command);
    subscriber.wait_for_line("SUBACK", SOON, |line| line.contains("received SUBACK"));
    subscriber
}

/// A Mosquitto broker of one gateway.
pub(crate) struct LocalBroker {
    port: String,
    program: Program,
}

impl LocalBroker {
    /// Starts it with the article's configuration, and waits until it and its bridge are connected.
    pub(crate) fn bridged(folder: &Path, sandbox: &Sandbox, identity: &Identity) -> Self {
        let filled_in = BRIDGE_CONF
            .replace("{address}", &format!("localhost:{}", sandbox.port()))
            .replace("{ca}", sandbox.ca().to_str().unwrap())
            .replace("{certificate}", identity.certificate.to_str().unwrap())
            .replace("{key}", identity.key.to_str().unwrap());
        let included = folder.join("conf.d");
        fs::create_dir(&included).unwrap();
        fs::write(included.join("bridge.conf"), filled_in).unwrap();
        let local = Self::including(folder, &included);
        // It says so of the bridge after it has subscribed there, and nothing of its own listening before.
        for topic in ["awsiot_to_localgateway", "both_directions"] {
            let subscribed = |line: &str| line.contains("sending SUBSCRIBE") && line.contains(topic);
            local.program.wait_for_line("the bridge's subscription", SOON, subscribed);
        }
        local.program.wait_until("its subscriptions' acknowledgements", SOON, || {
            let answers = local.program.printed().matches("Received SUBACK from local.bridgeawsiot").count();
            (answers >= 2).then_some(())
        });
        local
    }

    /// Starts it with every `*.conf` of the folder `included`.
    pub(crate) fn including(folder: &Path, included: &Path) -> Self {
        let port = free_port().to_string();
        let conf = folder.join("mosquitto.conf");
        let text = MOSQUITTO_CONF.replace("{port}", &port).replace("{conf.d}", included.to_str().unwrap());
        fs::write(&conf, text).unwrap();
        let program = Program::start(foreign::program("mosquitto").arg("-c").arg(&conf));
        Self { port, program }
    }

    /// The broker itself.
    pub(crate) fn program(&self) -> &Program {
        &self.program
    }

    /// Where it listens.
    pub(crate) fn port(&self) -> &str {
        &self.port
    }

    /// The article's way to publish at the local broker.
    pub(crate) fn publish(&self, topic: &str, message: &str) {
        let mut publisher = self.client("mosquitto_pub");
        publisher.args(["-d", "-t", topic, "-i", "clientid1", "-m", message]);
        let mut publisher = Program::start(&mut publisher);
        assert!(publisher.wait_for_exit(SOON).success(), "{}", publisher.printed());
    }

    pub(crate) fn subscriber(&self) -> Program {
        let mut command = foreign::program("stdbuf");
        command.args(["-oL", "mosquitto_sub", "-h", "localhost", "-p", &self.port, "-q", "1"]);
        command.args(["-d", "-t", "#", "-F", "GOT %t %p"]);
        let subscriber = Program::start(&mut command);
        subscriber.wait_for_line("SUBACK", SOON, |line| line.contains("received SUBACK"));
        subscriber
    }

    fn client(&self, name: &str) -> std::process::Command {
        let mut command = foreign::program(name);
        command.args(["-h", "localhost", "-p", &self.port, "-q", "1"]);
        command
    }
}
