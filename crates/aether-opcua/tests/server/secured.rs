//! Secured endpoints and the server's certificate.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, sync::Arc};

use aether_opcua::{ClientCertificates, Security, StartError};
use opcua::{
    crypto::{SecurityPolicy, X509},
    types::{MessageSecurityMode, StatusCode, Variant},
};
use tempfile::tempdir;

use crate::support::{Client, Dial, PATIENCE, TEMPERATURE, endpoints, eventually, plant};

const SECURED: Dial = Dial { policy: SecurityPolicy::Basic256Sha256, mode: MessageSecurityMode::SignAndEncrypt };

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn an_address_that_others_reach_is_secured_and_read_only_by_default() {
    let pki = tempdir().unwrap();
    let plant = plant();
    let bound = plant.server_at("opc.tcp://0.0.0.0:0").pki_dir(pki.path()).bind().await.unwrap();
    assert!(!bound.is_open() && !bound.url().contains("0.0.0.0"), "{}", bound.url());
    let url = format!("opc.tcp://127.0.0.1:{}", bound.local_addr().port());
    let advertised = bound.url();
    let server = bound.start();

    let offered = endpoints(&url).await;
    assert_eq!(offered.len(), 6);
    for endpoint in &offered {
        assert_ne!(endpoint.security_mode, MessageSecurityMode::None);
        assert_eq!(endpoint.endpoint_url.as_ref().trim_end_matches('/'), advertised);
        let certificate = X509::from_byte_string(&endpoint.server_certificate).unwrap();
        certificate.is_application_uri_valid(endpoint.server.application_uri.as_ref()).unwrap();
        certificate.is_hostname_valid("localhost").unwrap();
        certificate.is_hostname_valid("127.0.0.1").unwrap();
    }
    assert!(Client::dial(&url, Dial::OPEN).await.is_none(), "policy None is not served");

    for policy in
        [SecurityPolicy::Basic256Sha256, SecurityPolicy::Aes128Sha256RsaOaep, SecurityPolicy::Aes256Sha256RsaPss]
    {
        let client = Client::dial(&url, Dial { policy, mode: MessageSecurityMode::SignAndEncrypt }).await.unwrap();
        assert_eq!(client.read(TEMPERATURE).await.value, Some(Variant::Double(25.0)));
        assert_eq!(client.write(TEMPERATURE, 1.0).await, StatusCode::BadUserAccessDenied);
    }
    let trusted_of_any = pki.path().join("any/trusted");
    eventually("no stranger's certificate is kept", || fs::read_dir(&trusted_of_any).unwrap().count() == 0).await;
    assert!(!pki.path().join("trusted").exists());
    server.stop(PATIENCE).await;
}

#[tokio::test]
async fn the_key_is_made_once_and_for_nobody_else_to_read() {
    let pki = tempdir().unwrap();
    let dir = pki.path().join("state/pki");
    let bind = async || {
        let server = plant().server_at("opc.tcp://127.0.0.1:0").security(Security::Both).pki_dir(&dir);
        server.bind().await.unwrap();
    };
    bind().await;
    let (key, certificate) = (dir.join("private/private.pem"), dir.join("own/cert.der"));
    assert_eq!((mode(&key), mode(key.parent().unwrap()), mode(&dir)), (0o600, 0o700, 0o700));
    let before = (fs::read(&key).unwrap(), fs::read(&certificate).unwrap());
    bind().await;
    assert_eq!((fs::read(&key).unwrap(), fs::read(&certificate).unwrap()), before);
    fs::remove_file(&certificate).unwrap();
    bind().await;
    assert_eq!(fs::read(&key).unwrap(), before.0, "a new certificate for the same key");
}

#[tokio::test]
async fn without_secured_endpoints_nothing_is_written() {
    let pki = tempdir().unwrap();
    let bound = plant().server_at("opc.tcp://127.0.0.1:0").pki_dir(pki.path()).bind().await.unwrap();
    let url = bound.url();
    let server = bound.start();
    Client::connect(&url).await;
    assert_eq!(fs::read_dir(pki.path()).unwrap().count(), 0);
    server.stop(PATIENCE).await;
}

#[tokio::test]
async fn only_trusted_clients_get_in_where_that_is_set() {
    let pki = tempdir().unwrap();
    let plant = plant();
    let server = plant.server_at("opc.tcp://127.0.0.1:0").security(Security::Secured).pki_dir(pki.path());
    let bound = server.client_certificates(ClientCertificates::Trusted).bind().await.unwrap();
    let url = bound.url();
    let server = bound.start();
    let client = Arc::new(tempdir().unwrap());
    assert!(Client::dial_as(Arc::clone(&client), &url, SECURED).await.is_none());
    let rejected: Vec<_> =
        fs::read_dir(pki.path().join("rejected")).unwrap().map(|file| file.unwrap().path()).collect();
    assert_eq!(rejected.len(), 1, "for somebody to look at");
    let trusted = pki.path().join("trusted").join(rejected[0].file_name().unwrap());
    fs::rename(&rejected[0], trusted).unwrap();
    let client = Client::dial_as(client, &url, SECURED).await.expect("trusted now");
    assert_eq!(client.read(TEMPERATURE).await.value, Some(Variant::Double(25.0)));
    server.stop(PATIENCE).await;
}

#[tokio::test]
async fn trouble_with_the_certificate_stops_the_start_and_says_what_to_do() {
    let pki = tempdir().unwrap();
    let start = async || {
        let server = plant().server_at("opc.tcp://127.0.0.1:0").security(Security::Secured).pki_dir(pki.path());
        server.bind().await.map(|_| ())
    };
    let no_place = plant().server_at("opc.tcp://127.0.0.1:0").security(Security::Secured).bind().await.unwrap_err();
    assert!(matches!(no_place, StartError::NoPkiDir) && no_place.is_configuration());

    start().await.unwrap();
    let (key, certificate) = (pki.path().join("private/private.pem"), pki.path().join("own/cert.der"));
    let check = |error: StartError, path: &Path, found: &str| {
        let text = error.to_string();
        assert!(error.is_configuration());
        assert!(text.contains(&path.display().to_string()) && text.contains(found), "{text}");
    };
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    check(start().await.unwrap_err(), &key, "mode 0644");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();

    let other = tempdir().unwrap();
    let foreign = plant().server_at("opc.tcp://127.0.0.1:0").security(Security::Secured).pki_dir(other.path());
    foreign.bind().await.unwrap();
    let own = fs::read(&certificate).unwrap();
    fs::copy(other.path().join("own/cert.der"), &certificate).unwrap();
    check(start().await.unwrap_err(), &certificate, "another key");
    fs::write(&certificate, "no certificate").unwrap();
    check(start().await.unwrap_err(), &certificate, "no X.509 certificate");
    fs::write(&certificate, own).unwrap();

    fs::write(&key, "no key").unwrap();
    check(start().await.unwrap_err(), &key, "no RSA key");
    fs::remove_file(&key).unwrap();
    check(start().await.unwrap_err(), &key, "missing");
}

#[tokio::test]
async fn a_device_with_another_id_gets_another_certificate() {
    let pki = tempdir().unwrap();
    let certificate = async |device: &str| {
        let server = plant().server_at("opc.tcp://127.0.0.1:0").security(Security::Secured).pki_dir(pki.path());
        server.device_id(device).bind().await.unwrap();
        X509::from_der(&fs::read(pki.path().join("own/cert.der")).unwrap()).unwrap()
    };
    let first = certificate("press 3").await;
    let second = certificate("press 4").await;
    assert_ne!(first.thumbprint(), second.thumbprint());
    assert_eq!(second.thumbprint(), certificate("press 4").await.thumbprint());
    assert_eq!(second.common_name().unwrap(), "CN=press 4");
}
