//! What the client library's errors mean to a caller of ours.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rumqttc::mqttbytes;
use rumqttc::{ConnectReturnCode, ConnectionError, StateError, TlsError};
use rustls::AlertDescription;

use crate::credentials::HandshakeFailure;
use crate::{ConnectError, ConnectOptions, EndReason, SessionEnded, SignError};

/// Why the connection was not made.
pub(super) fn connect_error(error: ConnectionError, options: &ConnectOptions) -> ConnectError {
    let endpoint = options.endpoint().to_string();
    match error {
        ConnectionError::MqttState(StateError::ConnectionAborted) => ConnectError::Closed { endpoint },
        ConnectionError::MqttState(
            StateError::Io(error) | StateError::Deserialization(mqttbytes::Error::Io(error)),
        )
        | ConnectionError::Tls(TlsError::Io(error)) => stream_error(error, endpoint),
        ConnectionError::Tls(error) => ConnectError::Tls { endpoint, source: Box::new(error) },
        ConnectionError::Io(error) => ConnectError::Io { endpoint, source: Box::new(error) },
        ConnectionError::NetworkTimeout | ConnectionError::FlushTimeout => {
            ConnectError::Timeout { endpoint, within: options.connect_limit() }
        }
        ConnectionError::ConnectionRefused(code) => ConnectError::Refused { endpoint, return_code: return_code(code) },
        error @ (ConnectionError::MqttState(_) | ConnectionError::NotConnAck(_) | ConnectionError::RequestsDone) => {
            ConnectError::Protocol { endpoint, source: Box::new(error) }
        }
    }
}

/// Why a session that had been accepted ended.
pub(super) fn session_ended(error: ConnectionError, ack_timeout: Duration) -> SessionEnded {
    match error {
        ConnectionError::MqttState(StateError::ConnectionAborted) => SessionEnded::new(EndReason::ClosedByPeer),
        ConnectionError::MqttState(StateError::AwaitPingResp) => SessionEnded::new(EndReason::KeepAlive),
        ConnectionError::MqttState(StateError::CollisionTimeout) => {
            SessionEnded::new(EndReason::AckTimeout { after: ack_timeout })
        }
        ConnectionError::MqttState(
            StateError::Io(error) | StateError::Deserialization(mqttbytes::Error::Io(error)),
        )
        | ConnectionError::Tls(TlsError::Io(error))
        | ConnectionError::Io(error) => {
            let reason = match (alert_in(&error), is_close(&error)) {
                (Some(alert), _) => EndReason::TlsAlert { alert: name(alert) },
                (None, true) => EndReason::ClosedByPeer,
                (None, false) => EndReason::Io,
            };
            SessionEnded::new(reason).caused_by(error)
        }
        error @ (ConnectionError::NetworkTimeout | ConnectionError::FlushTimeout | ConnectionError::Tls(_)) => {
            SessionEnded::new(EndReason::Io).caused_by(error)
        }
        error @ (ConnectionError::MqttState(_)
        | ConnectionError::ConnectionRefused(_)
        | ConnectionError::NotConnAck(_)
        | ConnectionError::RequestsDone) => SessionEnded::new(EndReason::Protocol).caused_by(error),
    }
}

/// An error of the encrypted stream: in the TLS handshake, or (in TLS 1.3, for a refused client certificate) at the
/// first read after it.
fn stream_error(error: io::Error, endpoint: String) -> ConnectError {
    if let Some(source) = sign_error_in(&error) {
        return ConnectError::Sign { endpoint, source };
    }
    match alert_in(&error) {
        Some(alert) if concerns_our_certificate(alert) => {
            ConnectError::CertificateRefused { endpoint, alert: name(alert) }
        }
        Some(_) => ConnectError::Tls { endpoint, source: Box::new(error) },
        None if tls_error_in(&error).is_some() => ConnectError::Tls { endpoint, source: Box::new(error) },
        None if is_close(&error) => ConnectError::Closed { endpoint },
        None => ConnectError::Io { endpoint, source: Box::new(error) },
    }
}

fn tls_error_in(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref().and_then(|inner| inner.downcast_ref())
}

/// What our own key said, if it did not sign.
fn sign_error_in(error: &io::Error) -> Option<Arc<SignError>> {
    match tls_error_in(error) {
        Some(rustls::Error::Other(other)) => {
            other.0.downcast_ref::<HandshakeFailure>().map(|failure| Arc::clone(&failure.0))
        }
        _ => None,
    }
}

fn alert_in(error: &io::Error) -> Option<AlertDescription> {
    match tls_error_in(error) {
        Some(&rustls::Error::AlertReceived(alert)) => Some(alert),
        _ => None,
    }
}

/// Whether the alert is one that a server sends about a client's certificate (RFC 8446, sections 4.4.2.4 and 6.2).
fn concerns_our_certificate(alert: AlertDescription) -> bool {
    [
        AlertDescription::NoCertificate,
        AlertDescription::BadCertificate,
        AlertDescription::UnsupportedCertificate,
        AlertDescription::CertificateRevoked,
        AlertDescription::CertificateExpired,
        AlertDescription::CertificateUnknown,
        AlertDescription::UnknownCA,
        AlertDescription::AccessDenied,
        AlertDescription::DecryptError,
        AlertDescription::CertificateRequired,
    ]
    .contains(&alert)
}

/// Whether the other side simply went away. Brokers seldom bother with a TLS close_notify.
fn is_close(error: &io::Error) -> bool {
    [
        io::ErrorKind::UnexpectedEof,
        io::ErrorKind::ConnectionReset,
        io::ErrorKind::ConnectionAborted,
        io::ErrorKind::BrokenPipe,
    ]
    .contains(&error.kind())
}

/// The alert's name as RFC 8446 writes it: `UnknownCA` becomes `unknown_ca`.
fn name(alert: AlertDescription) -> String {
    let mut name = String::new();
    let mut after_small = false;
    for c in format!("{alert:?}").chars() {
        if c.is_ascii_uppercase() && after_small {
            name.push('_');
        }
        after_small = c.is_ascii_lowercase();
        name.push(c.to_ascii_lowercase());
    }
    name
}

fn return_code(code: ConnectReturnCode) -> u8 {
    match code {
        ConnectReturnCode::Success => 0,
        ConnectReturnCode::RefusedProtocolVersion => 1,
        ConnectReturnCode::BadClientId => 2,
        ConnectReturnCode::ServiceUnavailable => 3,
        ConnectReturnCode::BadUserNamePassword => 4,
        ConnectReturnCode::NotAuthorized => 5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_are_named_as_in_the_standard() {
        assert_eq!(name(AlertDescription::UnknownCA), "unknown_ca");
        assert_eq!(name(AlertDescription::CertificateRequired), "certificate_required");
        assert_eq!(name(AlertDescription::NoApplicationProtocol), "no_application_protocol");
    }

    #[test]
    fn what_ends_a_session_is_told_apart() {
        let io = |kind| ConnectionError::Io(io::Error::from(kind));
        let alert = rustls::Error::AlertReceived(AlertDescription::CertificateRevoked);
        let after = Duration::from_secs(30);
        for (error, expected) in [
            (ConnectionError::MqttState(StateError::AwaitPingResp), EndReason::KeepAlive),
            (ConnectionError::MqttState(StateError::CollisionTimeout), EndReason::AckTimeout { after }),
            (ConnectionError::MqttState(StateError::Unsolicited(7)), EndReason::Protocol),
            (io(io::ErrorKind::ConnectionReset), EndReason::ClosedByPeer),
            (io(io::ErrorKind::NetworkUnreachable), EndReason::Io),
            (ConnectionError::FlushTimeout, EndReason::Io),
            (
                ConnectionError::Io(io::Error::other(alert)),
                EndReason::TlsAlert { alert: "certificate_revoked".to_owned() },
            ),
        ] {
            assert_eq!(session_ended(error, after).reason(), &expected);
        }
    }
}
