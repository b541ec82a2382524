//! What an export says, and how it lies on disk.

use std::collections::BTreeMap;
use std::sync::Arc;

use aether_mqtt::{Credentials, KeyAlgorithm, PrivateKey, SignError, SignatureScheme, Signer, testing};

use super::*;

fn identity() -> Identity {
    let configuration = BTreeMap::from([("line".to_owned(), "7".to_owned())]);
    let credentials = testing::credentials("AWS IoT Certificate");
    Identity::new("line7-press3".parse().unwrap(), "5d0c0e6f".parse().unwrap(), credentials, configuration)
}

fn endpoint(port: u16) -> Endpoint {
    Endpoint::new("a1b2c3-ats.iot.eu-west-1.amazonaws.com", port).unwrap()
}

fn files() -> IdentityFiles {
    IdentityFiles::new("/var/lib/aether/certificate.pem", "/var/lib/aether/private.key")
}

#[test]
fn the_device_client_gets_what_it_writes_itself_after_provisioning() {
    let (identity, endpoint) = (identity(), endpoint(8883));
    let text = Export::new(&identity, &endpoint).render(ExportFormat::DeviceClient, &files()).unwrap();
    let found: serde_json::Value = serde_json::from_str(&text).unwrap();
    let expected = serde_json::json!({ "runtime-config": {
        "completed-fp": true,
        "cert": "/var/lib/aether/certificate.pem",
        "key": "/var/lib/aether/private.key",
        "thing-name": "line7-press3",
        "device-config": { "line": "7" },
    } });
    assert_eq!(found, expected);
}

#[test]
fn a_bridge_connects_as_the_thing_and_publishes_to_its_topic_alone() {
    let (identity, endpoint) = (identity(), endpoint(8883));
    let export = Export::new(&identity, &endpoint).root_ca(Path::new("/etc/aether/roots of ours.pem"));
    let text = export.render(ExportFormat::Mosquitto, &files()).unwrap();
    let settings: Vec<&str> = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    for expected in [
        "connection aether-line7-press3",
        "address a1b2c3-ats.iot.eu-west-1.amazonaws.com:8883",
        "remote_clientid line7-press3",
        "topic line7-press3 out 1",
        "bridge_protocol_version mqttv311",
        "notifications false",
        "bridge_cafile /etc/aether/roots of ours.pem",
        "bridge_certfile /var/lib/aether/certificate.pem",
        "bridge_keyfile /var/lib/aether/private.key",
    ] {
        assert!(settings.contains(&expected), "{expected} in {text}");
    }
    assert_eq!(settings.iter().filter(|line| line.starts_with("topic ")).count(), 1, "{text}");
    assert!(!text.contains("bridge_alpn"), "{text}");
}

#[test]
fn without_a_root_file_the_system_vouches_and_port_443_is_told_by_alpn() {
    let (identity, endpoint) = (identity(), endpoint(443));
    let text = Export::new(&identity, &endpoint).render(ExportFormat::Mosquitto, &files()).unwrap();
    assert!(text.contains("\nbridge_capath /etc/ssl/certs\n"), "{text}");
    assert!(text.contains("\nbridge_alpn x-amzn-mqtt-ca\n"), "{text}");
    assert!(!text.contains("bridge_cafile"), "{text}");
}

#[test]
fn no_path_can_add_a_line_of_its_own() {
    let (identity, endpoint) = (identity(), endpoint(8883));
    for hostile in ["/keys\nlog_dest none", "keys/private.key", "/keys\r", "/keys "] {
        let files = IdentityFiles::new("/certificate.pem", hostile);
        for format in [ExportFormat::DeviceClient, ExportFormat::Mosquitto] {
            let error = Export::new(&identity, &endpoint).render(format, &files).unwrap_err();
            assert!(matches!(error, ExportError::Path { .. }), "{hostile:?}: {error}");
            assert!(!error.to_string().contains('\n'), "{error}");
        }
    }
}

#[test]
fn formats_are_called_by_their_names() {
    for format in [ExportFormat::DeviceClient, ExportFormat::Mosquitto] {
        assert_eq!(format.to_string().parse(), Ok(format));
    }
    let error = "greengrass".parse::<ExportFormat>().unwrap_err();
    assert_eq!(error.to_string(), "found `greengrass`, expected device-client or mosquitto");
}

#[derive(Debug)]
struct InToken(PrivateKey);

impl Signer for InToken {
    fn algorithm(&self) -> KeyAlgorithm {
        self.0.algorithm()
    }

    fn public_key_der(&self) -> &[u8] {
        self.0.public_key_der()
    }

    fn sign(&self, scheme: SignatureScheme, message: &[u8]) -> Result<Vec<u8>, SignError> {
        self.0.sign(scheme, message)
    }

    fn locator(&self) -> &str {
        "pkcs11:token=press3;object=device"
    }
}

#[test]
fn a_key_that_stays_in_its_token_is_no_file() {
    let soft = identity();
    let key = PrivateKey::from_signer(Arc::new(InToken(soft.credentials().private_key().clone())));
    let credentials = Credentials::new(soft.credentials().certificate_pem(), key).unwrap();
    let identity =
        Identity::new(soft.thing_name().clone(), soft.certificate_id().clone(), credentials, BTreeMap::new());
    let directory = tempfile::tempdir().unwrap();
    let endpoint = endpoint(8883);
    let export = Export::new(&identity, &endpoint);
    for format in [ExportFormat::DeviceClient, ExportFormat::Mosquitto] {
        let out = directory.path().join(format.as_str());
        let error = export.write_to(format, &out).unwrap_err();
        assert!(error.to_string().contains("pkcs11:token=press3;object=device"), "{error}");
        assert!(!out.exists(), "nothing is written");
    }
}

#[cfg(unix)]
mod on_disk {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn files_have_the_modes_that_the_device_client_insists_on() {
        let directory = tempfile::tempdir().unwrap();
        let out = directory.path().join("home/.aws-iot-device-client");
        let (identity, endpoint) = (identity(), endpoint(8883));
        let export = Export::new(&identity, &endpoint);
        for _ in 0..2 {
            let written = export.write_to(ExportFormat::DeviceClient, &out).unwrap();
            assert_eq!(mode(&out), 0o745);
            assert_eq!(mode(&out.join("keys")), 0o700);
            assert_eq!(mode(&written.configuration), 0o640);
            assert_eq!(mode(&written.files.certificate), 0o644);
            assert_eq!(mode(&written.files.private_key), 0o600);
            let text = fs::read_to_string(&written.configuration).unwrap();
            assert_eq!(text, export.render(ExportFormat::DeviceClient, &written.files).unwrap());
            let key = fs::read(&written.files.private_key).unwrap();
            assert_eq!(Some(&key[..]), identity.credentials().private_key().pem());
            assert_eq!(fs::read(&written.files.certificate).unwrap(), identity.credentials().certificate_pem());
        }
    }

    #[test]
    fn a_key_is_not_put_where_others_may_replace_it() {
        let directory = tempfile::tempdir().unwrap();
        let (identity, endpoint) = (identity(), endpoint(8883));
        let export = Export::new(&identity, &endpoint);
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o775)).unwrap();
        let error = export.write_to(ExportFormat::Mosquitto, directory.path()).unwrap_err();
        assert!(error.to_string().contains("has mode 0775, expected 0700"), "{error}");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);

        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let written = export.write_to(ExportFormat::Mosquitto, directory.path()).unwrap();
        assert_eq!(mode(&written.files.private_key), 0o600);
        assert_eq!(mode(&written.configuration), 0o644);
    }
}
