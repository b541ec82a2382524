//! What an anonymous client may do, after the settings.

use aether_opcua::{Anonymous, Security};
use opcua::types::{AttributeId, StatusCode, Variant};

use crate::support::{Client, Dial, PATIENCE, TEMPERATURE, endpoints, plant};

#[tokio::test]
async fn a_read_only_client_reads_and_subscribes_and_is_told_that_it_may_not_write() {
    let plant = plant();
    let bound = plant.server_at("opc.tcp://127.0.0.1:0").anonymous(Anonymous::Read).bind().await.unwrap();
    assert!(!bound.is_open());
    let url = bound.url();
    let server = bound.start();
    let client = Client::connect(&url).await;
    assert_eq!(client.read(TEMPERATURE).await.value, Some(Variant::Double(25.0)));
    assert_eq!(client.write(TEMPERATURE, 1.0).await, StatusCode::BadUserAccessDenied);
    assert_eq!(client.write(TEMPERATURE, "wrong type").await, StatusCode::BadUserAccessDenied);
    assert_eq!(client.write("ns=2;i=7", "x").await, StatusCode::BadNotWritable, "that comes first");
    let level = client.read_attribute(TEMPERATURE, AttributeId::UserAccessLevel).await.value;
    assert_eq!(level, Some(Variant::Byte(1)));
    assert_eq!(plant.events.take().len(), 1, "refused writes make none");
    server.stop(PATIENCE).await;
}

#[tokio::test]
async fn without_anonymous_access_nobody_gets_in() {
    let plant = plant();
    let bound = plant.server_at("opc.tcp://127.0.0.1:0").anonymous(Anonymous::Off).bind().await.unwrap();
    let url = bound.url();
    let server = bound.start();
    let offered = endpoints(&url).await;
    assert!(offered.iter().all(|e| e.user_identity_tokens.as_ref().is_none_or(Vec::is_empty)));
    assert!(Client::dial(&url, Dial::OPEN).await.is_none());
    server.stop(PATIENCE).await;
}

#[tokio::test]
async fn loopback_is_open_by_default_and_says_so() {
    let bound = plant().server_at("opc.tcp://localhost:0").bind().await.unwrap();
    assert!(bound.is_open() && bound.url().starts_with("opc.tcp://localhost:"));
    let closed = plant().server_at("opc.tcp://127.0.0.1:0").security(Security::None).anonymous(Anonymous::Read);
    assert!(!closed.bind().await.unwrap().is_open());
}
