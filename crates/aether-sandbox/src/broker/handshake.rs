//! The TLS handshake of a connection, and what it makes known.

use std::sync::Arc;

use rustls::server::Acceptor;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use super::Broker;
use super::client::Witness;
use super::limits::HANDSHAKE_TIMEOUT;
use crate::account::AccountError;
use crate::trust::{Arrival, Arrived, ClientVerifier, Greeting, Identity, Outcome};
use crate::{AuditDecision, AuditEvent, AuditRecord};

/// Does the handshake. A client that is refused shows in the decision log, with the reason.
pub(super) async fn handshake(
    broker: &Arc<Broker>,
    socket: TcpStream,
    witness: &Witness,
) -> Option<(TlsStream<TcpStream>, Identity)> {
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(error = &error as &dyn std::error::Error, "could not set no-delay");
    }
    let mut shown = None;
    let outcome = match timeout(HANDSHAKE_TIMEOUT, shake(broker, socket, &mut shown)).await {
        Ok(outcome) => outcome,
        Err(_) => Err("TLS handshake not done in time".to_owned()),
    };
    let arrival = shown.as_ref().and_then(|verifier| verifier.arrival());
    let refused = |reason: String| {
        let note = witness.note(AuditEvent::TlsHandshake, AuditDecision::Denied);
        let certificate_id = shown.as_ref().and_then(|verifier| verifier.certificate().cloned());
        let certificate_kind = shown.as_ref().and_then(|verifier| verifier.identity()).map(|identity| identity.kind);
        witness.log.record(AuditRecord { certificate_id, certificate_kind, reason: Some(reason), ..note });
    };
    let stream = match outcome {
        Ok(stream) => Some(stream),
        Err(reason) => {
            refused(reason);
            None
        }
    };
    if let Some(arrival) = arrival {
        arrive(broker, witness, arrival).await?;
    }
    let identity = shown.as_ref().and_then(|verifier| verifier.identity()).cloned();
    stream.zip(identity)
}

/// Does what a certificate that was shown gives rise to; `None` if that went wrong.
async fn arrive(broker: &Broker, witness: &Witness, arrival: Arrival) -> Option<()> {
    let (ca, certificate) = (arrival.ca.clone(), arrival.certificate.clone());
    let trust = Arc::clone(&broker.trust);
    let arrived = spawn_blocking(move || trust.arrive(arrival)).await;
    let record = |event, decision, reason: String| {
        let note = witness.note(event, decision);
        let certificate_id = Some(certificate.clone());
        witness.log.record(AuditRecord { certificate_id, reason: Some(reason), ..note });
    };
    let Arrived { new, outcome } = match arrived {
        Ok(Ok(arrived)) => arrived,
        Ok(Err(cause)) => {
            record(AuditEvent::RegisterCertificate, AuditDecision::Denied, in_words(&cause));
            return None;
        }
        Err(failed) => {
            tracing::error!(error = &failed as &dyn std::error::Error, "registration of a certificate broke off");
            return None;
        }
    };
    if new {
        record(AuditEvent::RegisterCertificate, AuditDecision::Allowed, format!("signed by CA certificate {ca}"));
    }
    match outcome {
        Outcome::Settled => {}
        Outcome::Announce { topic, payload } => broker.publish_system(&topic, payload),
        Outcome::Provisioned { thing } => {
            let words = thing.map_or_else(|| "no Thing".to_owned(), |thing| format!("Thing {thing}"));
            record(AuditEvent::JustInTimeProvisioning, AuditDecision::Allowed, words);
        }
        Outcome::NotProvisioned(reason) => {
            record(AuditEvent::JustInTimeProvisioning, AuditDecision::Denied, reason);
        }
    }
    Some(())
}

/// The handshake itself; `shown` is set once it comes to certificates. The error is the reason.
async fn shake(
    broker: &Arc<Broker>,
    socket: TcpStream,
    shown: &mut Option<Arc<ClientVerifier>>,
) -> Result<TlsStream<TcpStream>, String> {
    let start = LazyConfigAcceptor::new(Acceptor::default(), socket).await.map_err(|error| error.to_string())?;
    let greeting = broker.tls.greet(&start.client_hello());
    let greeting: Greeting = match greeting {
        Ok(greeting) => greeting,
        Err(refusal) => {
            let mut socket = start.io;
            // The client is refused either way; whether it hears why is up to the network.
            let _ = socket.write_all(&refusal.alert()).await;
            let _ = socket.shutdown().await;
            return Err(refusal.to_string());
        }
    };
    if broker.trust.is_stale() {
        let trust = Arc::clone(&broker.trust);
        spawn_blocking(move || trust.refresh()).await.map_err(|failed| failed.to_string())?;
    }
    let verifier = Arc::new(ClientVerifier::new(Arc::clone(&broker.trust), greeting.sni));
    *shown = Some(Arc::clone(&verifier));
    let config = broker.tls.config(Arc::clone(&verifier), greeting).map_err(|error| error.to_string())?;
    match start.into_stream(config).await {
        Ok(stream) => Ok(stream),
        Err(error) => Err(verifier.refused().map_or_else(|| why(&error), |refused| refused.to_string())),
    }
}

/// Why a handshake failed, where it was not the certificate.
fn why(error: &std::io::Error) -> String {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
    match cause {
        // A client keeps back a certificate whose key fits none of the schemes it is asked for.
        Some(rustls::Error::NoCertificatesPresented) => {
            "client sent no certificate, or has none with a key that is taken: RSA, ECDSA on P-256 or P-384".to_owned()
        }
        Some(_) | None => error.to_string(),
    }
}

/// An error with its cause, on one line.
fn in_words(cause: &AccountError) -> String {
    match std::error::Error::source(cause) {
        Some(source) => format!("{cause}: {source}"),
        None => cause.to_string(),
    }
}
