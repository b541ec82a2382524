//! A `bridge` section of `mosquitto.conf`.
//!
//! Follows mosquitto.conf(5) and AWS's article *How to Bridge Mosquitto MQTT Broker to AWS IoT*.

use super::{Export, ExportError, IdentityFiles, plain};

/// TLS on this port is MQTT by its ALPN name (AWS IoT Core Developer Guide, "Device communication protocols").
const SHARED_PORT: u16 = 443;

/// Where Debian and most others keep the public roots, in the form a `capath` has to have.
const SYSTEM_ROOTS: &str = "/etc/ssl/certs";

pub(super) fn render(export: &Export<'_>, files: &IdentityFiles) -> Result<String, ExportError> {
    let (identity, endpoint) = (export.identity, export.endpoint);
    let (thing, certificate_id) = (identity.thing_name(), identity.certificate_id());
    let expires = crate::time::rfc3339(identity.credentials().not_after());
    let (certificate, key) = (plain(&files.certificate)?, plain(&files.private_key)?);
    // Mosquitto has no roots of its own.
    let roots = match export.root_ca {
        Some(path) => format!("bridge_cafile {}", plain(path)?),
        None => format!("bridge_capath {SYSTEM_ROOTS}"),
    };
    let alpn = if endpoint.port() == SHARED_PORT { "bridge_alpn x-amzn-mqtt-ca\n" } else { "" };
    Ok(format!(
        "\
# The Thing {thing}, certificate {certificate_id}, which expires at {expires}.
# Export it again after a rotation. The user Mosquitto runs as has to be able to read the files below. Nothing else can be
# connected as this Thing meanwhile: its name is the client id.
connection aether-{thing}
address {endpoint}
remote_clientid {thing}
topic {thing} out 1

# What AWS IoT Core takes: MQTT 3.1.1 without Mosquitto's marks of a bridge.
bridge_protocol_version mqttv311
try_private false
notifications false
bridge_attempt_unsubscribe false
cleansession true
start_type automatic

# The identity, and who vouches for the endpoint.
{roots}
{alpn}bridge_insecure false
bridge_certfile {certificate}
bridge_keyfile {key}
"
    ))
}
