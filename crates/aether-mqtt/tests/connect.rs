//! Connecting over real TLS: who is trusted, who is refused, and how each failure is told apart.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod support;

use std::time::Duration;

use aether_mqtt::{ConnectError, ConnectOptions, Connector, Credentials, Endpoint, RumqttConnector, ServerRoots};
use rumqttc::{ConnAck, ConnectReturnCode, Packet};
use rustls::CertificateError;
use support::certificates::{self, Authority};
use support::verifier::AnyClient;
use support::{BOTH_VERSIONS, Broker, soon};

async fn failure(options: ConnectOptions) -> ConnectError {
    soon(RumqttConnector::default().connect(&options)).await.err().expect("no connection")
}

/// The failure of a connect, while the broker does what it can to accept it.
async fn failure_at(broker: &Broker, options: ConnectOptions) -> ConnectError {
    let accepting = async {
        if let Ok(mut peer) = broker.accept().await {
            // Reads on, so that what it has sent is not lost in a reset connection.
            while peer.packet().await.is_some() {}
        }
    };
    let (error, ()) = tokio::join!(failure(options), accepting);
    error
}

#[tokio::test]
async fn the_connect_says_who_we_are_and_asks_for_a_clean_session() {
    let broker = Broker::start().await;
    let options = broker.options().keep_alive(Duration::from_secs(77));
    let connector = RumqttConnector::default();
    let (session, (peer, connect)) = soon(async { tokio::join!(connector.connect(&options), broker.welcome()) }).await;
    session.unwrap();

    assert_eq!((connect.client_id.as_str(), connect.keep_alive), ("device-1", 77));
    assert!(connect.clean_session && connect.login.is_none() && connect.last_will.is_none());
    let (_, tls) = peer.stream.get_ref();
    assert_eq!(tls.server_name(), Some("localhost"));
    assert_eq!(tls.alpn_protocol(), None);
    let shown = tls.peer_certificates().unwrap()[0].to_vec();
    assert_eq!(shown, options.credentials().certificate_der());
}

#[tokio::test]
async fn an_x509_v1_client_certificate_is_presented_in_both_versions_of_tls() {
    let (certificate, key) = certificates::v1_pair("AetherClaimCert");
    for version in BOTH_VERSIONS {
        let broker = Broker::with(&[version], AnyClient::accepted()).await;
        let credentials = Credentials::from_pem(certificate.as_bytes(), key.as_bytes()).unwrap();
        let options = broker.options_with(credentials);
        let (_session, peer) = broker.session(&options).await;
        let shown = peer.stream.get_ref().1.peer_certificates().unwrap()[0].to_vec();
        assert_eq!(shown, options.credentials().certificate_der());
    }
}

#[tokio::test]
async fn a_refused_client_certificate_is_told_apart_in_both_versions_of_tls() {
    let refusals = [
        (CertificateError::Revoked, "certificate_revoked"),
        (CertificateError::UnknownIssuer, "unknown_ca"),
        (CertificateError::Expired, "certificate_expired"),
    ];
    for version in BOTH_VERSIONS {
        for (refusal, expected) in &refusals {
            let broker = Broker::with(&[version], AnyClient::refused(refusal.clone())).await;
            // The refusal is followed by the end of the connection; leaves the client's bytes unread until it is gone.
            let accepting = async {
                let stream = broker.accept_tcp().await;
                broker.refuse(stream).await;
            };
            let (error, ()) = tokio::join!(failure(broker.options()), accepting);
            let ConnectError::CertificateRefused { alert, .. } = &error else {
                panic!("{version:?}: {error:?}");
            };
            assert_eq!(alert, expected, "{version:?}");
            assert!(error.is_retryable(), "the cloud may yet activate it");
        }
    }
}

#[tokio::test]
async fn a_broker_with_another_name_is_not_trusted() {
    let broker = Broker::start().await;
    let endpoint = Endpoint::new("127.0.0.1", broker.endpoint().port()).unwrap();
    let options = ConnectOptions::new(endpoint, "device-1".parse().unwrap(), certificates::client("device-1"))
        .roots(broker.roots());
    let error = failure_at(&broker, options).await;
    assert!(matches!(&error, ConnectError::Tls { .. }), "{error:?}");
    assert!(chain(&error).contains("not valid for name"), "{}", chain(&error));
}

#[tokio::test]
async fn a_broker_under_an_unknown_root_is_not_trusted() {
    let broker = Broker::start().await;
    let stranger = ServerRoots::from_pem(Authority::new().pem().as_bytes()).unwrap();
    let error = failure_at(&broker, broker.options().roots(stranger)).await;
    assert!(matches!(&error, ConnectError::Tls { .. }), "{error:?}");
    let error = failure_at(&broker, broker.options().roots(ServerRoots::mozilla())).await;
    assert!(chain(&error).contains("UnknownIssuer"), "{}", chain(&error));
}

#[tokio::test]
async fn a_broker_that_says_nothing_costs_no_more_than_the_timeout() {
    let broker = Broker::start().await;
    let within = Duration::from_millis(50);
    let (error, _stream) = tokio::join!(failure(broker.options().connect_timeout(within)), broker.accept_tcp());
    assert!(matches!(&error, ConnectError::Timeout { within: found, .. } if *found == within), "{error:?}");
    assert!(error.is_retryable());
}

#[tokio::test]
async fn a_connack_that_refuses_is_told_with_its_code() {
    for (code, number, retryable) in [
        (ConnectReturnCode::BadClientId, 2, false),
        (ConnectReturnCode::ServiceUnavailable, 3, true),
        (ConnectReturnCode::NotAuthorized, 5, true),
    ] {
        let broker = Broker::start().await;
        let refusing = async {
            let mut peer = broker.accept().await.unwrap();
            peer.packet().await;
            peer.send(Packet::ConnAck(ConnAck::new(code, false))).await;
        };
        let (error, ()) = tokio::join!(failure(broker.options()), refusing);
        assert!(matches!(&error, ConnectError::Refused { return_code, .. } if *return_code == number), "{error:?}");
        assert_eq!(error.is_retryable(), retryable);
    }
}

#[tokio::test]
async fn a_hang_up_before_the_connack_is_a_closed_connection() {
    let broker = Broker::start().await;
    let hanging_up = async {
        let mut peer = broker.accept().await.unwrap();
        peer.packet().await;
    };
    let (error, ()) = tokio::join!(failure(broker.options()), hanging_up);
    assert!(matches!(&error, ConnectError::Closed { .. }), "{error:?}");
}

#[tokio::test]
async fn an_answer_that_is_not_a_connack_is_a_broken_protocol() {
    let broker = Broker::start().await;
    let answering = async {
        let mut peer = broker.accept().await.unwrap();
        peer.packet().await;
        peer.send(Packet::PingResp).await;
        peer
    };
    let (error, _peer) = tokio::join!(failure(broker.options()), answering);
    assert!(matches!(&error, ConnectError::Protocol { .. }), "{error:?}");
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_an_io_error() {
    let options = Broker::start().await.options();
    let error = failure(options).await;
    assert!(matches!(&error, ConnectError::Io { .. }), "{error:?}");
    assert!(error.is_retryable());
}

#[tokio::test]
async fn a_setting_out_of_range_is_named_before_anything_is_sent() {
    let options = Broker::start().await.options().keep_alive(Duration::from_secs(4));
    let error = failure(options).await;
    assert!(!error.is_retryable());
    assert!(chain(&error).ends_with("keep_alive of 4s is out of range, expected 5s to 1200s"), "{}", chain(&error));
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text = format!("{text}: {source}");
        next = source.source();
    }
    text
}
