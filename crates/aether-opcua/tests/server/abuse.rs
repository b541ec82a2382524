//! Clients that do not behave.

use std::time::Duration;

use aether_sigil::{AnySigil, Value};
use opcua::types::{ExtensionObject, ReadValueId, StatusCode, TimestampsToReturn};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::{Instant, timeout},
};

use crate::support::{Client, PATIENCE, TEMPERATURE, eventually, node, plant, plant_with};

/// Hello with buffers of 64 kB and no other limit, Part 6, section 7.1.2.3.
fn hello(url: &str) -> Vec<u8> {
    let mut body = Vec::new();
    for number in [0_u32, 65_536, 65_536, 0, 0, url.len() as u32] {
        body.extend(number.to_le_bytes());
    }
    body.extend(url.as_bytes());
    let mut message = b"HELF".to_vec();
    message.extend((8 + body.len() as u32).to_le_bytes());
    message.extend(body);
    message
}

#[tokio::test]
async fn other_protocols_and_noise_on_the_port_leave_the_server_at_work() {
    let plant = plant();
    let (server, url) = plant.serve().await;
    let client = Client::connect(&url).await;
    let address = url.trim_start_matches("opc.tcp://");
    let mut noise = 0x2545_F491_u32;
    let mut random = || {
        noise ^= noise << 13;
        noise ^= noise >> 17;
        noise ^= noise << 5;
        noise.to_le_bytes()[1]
    };
    let mut hostile: Vec<Vec<u8>> = vec![
        b"GET / HTTP/1.1\r\nHost: plant\r\n\r\n".to_vec(),
        vec![0; 100_000],
        vec![0xFF; 100_000],
        b"HELF\xFF\xFF\xFF\xFF".to_vec(),
        b"OPNF\x08\x00\x00\x00".to_vec(),
    ];
    hostile.extend((0..20).map(|_| (0..4096).map(|_| random()).collect()));
    hostile.extend((0..20).map(|_| hello(&url).into_iter().chain((0..4096).map(|_| random())).collect()));
    for bytes in hostile {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // The server may hang up before it has taken all.
        let _ = stream.write_all(&bytes).await;
        let _ = stream.shutdown().await;
        let mut answer = Vec::new();
        let _ = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("hung up");
    }
    assert_eq!(client.write(TEMPERATURE, 31.5).await, StatusCode::Good);
    Client::connect(&url).await;
    server.stop(PATIENCE).await;
}

/// Connects a client through a pipe that can be clogged: the client's side is no longer read.
async fn clogged(url: &str) -> (Client, tokio::sync::watch::Sender<bool>) {
    let server = url.trim_start_matches("opc.tcp://").to_owned();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let through = format!("opc.tcp://{}", listener.local_addr().unwrap());
    let (clog, clogged) = tokio::sync::watch::channel(false);
    tokio::spawn(async move {
        let (client, _) = listener.accept().await.unwrap();
        let server = TcpStream::connect(server).await.unwrap();
        let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
            (client.into_split(), server.into_split());
        let requests = async { tokio::io::copy(&mut from_client, &mut to_server).await };
        let answers = async {
            let mut buffer = vec![0; 65_536];
            loop {
                if *clogged.borrow() {
                    std::future::pending::<()>().await;
                }
                let n = from_server.read(&mut buffer).await.unwrap();
                if n == 0 || to_client.write_all(&buffer[..n]).await.is_err() {
                    return;
                }
            }
        };
        let _ = tokio::join!(requests, answers);
    });
    (Client::connect(&through).await, clog)
}

#[tokio::test]
async fn a_client_that_does_not_read_its_socket_cannot_hold_up_the_stop() {
    let long = AnySigil::builder("ns=2;s=Long", Value::String("x".repeat(60_000).into())).build().unwrap();
    let plant = plant_with([long]);
    let (server, url) = plant.serve().await;
    let (client, clog) = clogged(&url).await;
    let subscribed = client.subscribe(TEMPERATURE, ExtensionObject::null()).await;
    eventually("the first value", || subscribed.received.numbers().len() == 1).await;
    clog.send(true).unwrap();
    // Ask for far more than sockets hold, so that the server has to wait for this client.
    let mut flood = JoinSet::new();
    for _ in 0..30 {
        let session = client.session.clone();
        let asked = vec![ReadValueId::new_value(node("ns=2;s=Long")); 50];
        flood.spawn(async move { session.read(&asked, TimestampsToReturn::Both, 0.0).await });
    }
    let answered = || plant.events.count() >= 30 * 50;
    eventually("the server has read it all", answered).await;
    let witness = Client::connect(&url).await;
    for _ in 0..50 {
        assert_eq!(witness.read(TEMPERATURE).await.status, Some(StatusCode::Good), "others are served meanwhile");
    }
    let started = Instant::now();
    server.stop(Duration::from_millis(500)).await;
    let took = started.elapsed();
    assert!((Duration::from_millis(400)..Duration::from_secs(3)).contains(&took), "held up and let go: {took:?}");
    assert!(TcpStream::connect(url.trim_start_matches("opc.tcp://")).await.is_err());
}
