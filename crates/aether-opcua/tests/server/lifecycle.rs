//! Starting, stopping, and what stops a start.

use std::{error::Error, time::Duration};

use aether_opcua::{OpcUaServer, StartError};
use tokio::{net::TcpStream, time::Instant};

use crate::support::{Client, PATIENCE, TEMPERATURE, eventually, plant};

#[tokio::test]
async fn a_port_in_use_is_named_with_its_setting() {
    let first = plant().server_at("opc.tcp://127.0.0.1:0").bind().await.unwrap();
    let url = first.url();
    let error = plant().server_at(&url).bind().await.unwrap_err();
    assert!(matches!(error, StartError::AddressInUse { .. }) && error.is_configuration());
    assert!(error.to_string().contains("`opc_ua_url`") && error.to_string().contains(&url), "{error}");
    assert!(error.source().is_some());
    drop(first);
    let again = async || plant().server_at(&url).bind().await.is_ok();
    let deadline = Instant::now() + PATIENCE;
    while !again().await {
        assert!(Instant::now() < deadline, "a server dropped frees its port");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn settings_that_cannot_be_used_are_named() {
    let check = async |server: aether_opcua::ServerBuilder, words: [&str; 2]| {
        let error = server.bind().await.unwrap_err();
        assert!(error.is_configuration());
        assert!(words.iter().all(|word| error.to_string().contains(word)), "{error}");
    };
    let at = |url: &str| plant().server_at(url);
    check(at("opc.tcp://192.0.2.77:0"), ["`opc_ua_url`", "192.0.2.77"]).await;
    check(at("opc.tcp://no-such-host.invalid:0"), ["`opc_ua_url`", "no-such-host.invalid"]).await;
    check(at("opc.tcp://127.0.0.1:0").device_id(""), ["`device_id`", "128"]).await;
    check(at("opc.tcp://127.0.0.1:0").namespace("plant"), ["`namespace`", "`plant`"]).await;
    check(at("opc.tcp://127.0.0.1:0").namespace("http://opcfoundation.org/UA/"), ["`namespace`", "URI"]).await;
    check(at("opc.tcp://127.0.0.1:0").device_id("Plant.Temperature"), ["`node_id`", "`device_id`"]).await;
}

#[tokio::test]
async fn sigils_are_served_by_one_server_only() {
    let plant = plant();
    let first = plant.server_at("opc.tcp://127.0.0.1:0").bind().await.unwrap();
    let second = plant.server_at("opc.tcp://127.0.0.1:0").bind().await.unwrap_err();
    assert!(matches!(second, StartError::SigilTaken(_)));
    assert!(second.source().unwrap().to_string().contains("Plant.Temperature"));
    drop(first);
}

#[tokio::test]
async fn nothing_is_served_before_the_start_and_nothing_after_the_stop() {
    let plant = plant();
    let bound = plant.server_at("opc.tcp://127.0.0.1:0").bind().await.unwrap();
    let (address, url) = (bound.local_addr(), bound.url());
    let waiting = tokio::spawn(async move { Client::connect(&url).await });
    assert!(!waiting.is_finished());
    let server = bound.start();
    let client = waiting.await.unwrap();
    assert!(!server.has_ended());
    client.read(TEMPERATURE).await;
    server.stop(PATIENCE).await;
    assert!(TcpStream::connect(address).await.is_err());
    eventually("the client knows", || client.events.is_finished()).await;
}

#[tokio::test]
async fn a_server_that_is_dropped_ends_at_once() {
    let plant = plant();
    let (server, url) = plant.serve().await;
    let client = Client::connect(&url).await;
    drop(server);
    eventually("the client knows", || client.events.is_finished()).await;
}

#[tokio::test]
async fn the_path_of_the_address_is_part_of_the_endpoint() {
    let plant = plant();
    let url = "opc.tcp://127.0.0.1:0/aether/plant".parse().unwrap();
    let bound = OpcUaServer::builder(url, plant.sigils.clone()).bind().await.unwrap();
    let url = bound.url();
    assert!(url.ends_with("/aether/plant"));
    let server = bound.start();
    let client = Client::connect(&url).await;
    assert!(client.read(TEMPERATURE).await.value.is_some());
    server.stop(Duration::from_secs(5)).await;
}
