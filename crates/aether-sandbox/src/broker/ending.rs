//! Why connections end.

use std::borrow::Cow;

use super::packet::reason;
use super::wire::Overrun;

/// Why a connection ended, in the words of AWS's lifecycle events (sheet, 4.9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EndReason {
    /// The client said goodbye.
    ClientInitiated,
    /// The client broke the protocol or a limit.
    ClientError,
    /// The client did something no policy allows.
    AuthError,
    /// The network connection broke.
    ConnectionLost,
    /// Another connection took over the client id.
    DuplicateClientId,
    /// Nothing was heard for one and a half keep-alives.
    KeepAliveTimeout,
    /// The sandbox shuts down.
    ShutDown,
    /// The sandbox cut it without a word, as a broken network would.
    Cut,
    /// Its certificate is no longer active.
    Deactivated,
    /// Its certificate is no longer valid.
    Expired,
    /// Somebody asked over the control plane.
    ApiInitiated,
}

impl EndReason {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::ClientInitiated => "CLIENT_INITIATED_DISCONNECT",
            Self::ClientError => "CLIENT_ERROR",
            Self::AuthError => "AUTH_ERROR",
            Self::ConnectionLost => "CONNECTION_LOST",
            Self::DuplicateClientId => "DUPLICATE_CLIENTID",
            Self::KeepAliveTimeout => "MQTT_KEEP_ALIVE_TIMEOUT",
            Self::ShutDown | Self::Cut | Self::Deactivated | Self::Expired => "SERVER_INITIATED_DISCONNECT",
            Self::ApiInitiated => "API_INITIATED_DISCONNECT",
        }
    }

    /// What the decision log says beside the word, where the reason is the sandbox's own.
    pub(super) fn detail(self) -> Option<&'static str> {
        match self {
            Self::Deactivated => Some("certificate is no longer active"),
            Self::Expired => Some("certificate has expired"),
            Self::ClientInitiated
            | Self::ClientError
            | Self::AuthError
            | Self::ConnectionLost
            | Self::DuplicateClientId
            | Self::KeepAliveTimeout
            | Self::ShutDown
            | Self::Cut
            | Self::ApiInitiated => None,
        }
    }

    /// What an MQTT 5 client is told, where it can be told (sheet, 4.8).
    pub(super) fn code(self) -> Option<u8> {
        match self {
            Self::ClientInitiated | Self::ConnectionLost | Self::Cut => None,
            Self::ClientError => Some(reason::PROTOCOL),
            Self::AuthError => Some(reason::NOT_AUTHORIZED),
            Self::DuplicateClientId => Some(reason::TAKEN_OVER),
            Self::KeepAliveTimeout => Some(reason::KEEP_ALIVE),
            Self::ShutDown => Some(reason::SHUTTING_DOWN),
            Self::Deactivated | Self::Expired | Self::ApiInitiated => Some(reason::ADMINISTRATIVE),
        }
    }

    /// Whether what is on its way still reaches the client.
    pub(super) fn drains(self) -> bool {
        !matches!(self, Self::ShutDown | Self::Cut | Self::Deactivated | Self::Expired)
    }
}

/// Why a session ends.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    pub(super) reason: EndReason,
    pub(super) detail: Cow<'static, str>,
    /// The reason code for an MQTT 5 client.
    pub(super) code: Option<u8>,
    /// The client's goodbye asks for its last will.
    pub(super) with_will: bool,
}

impl Fault {
    pub(super) fn new(reason: EndReason, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { reason, detail: detail.into(), code: reason.code(), with_will: reason != EndReason::ClientInitiated }
    }

    pub(super) fn client(code: u8, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { code: Some(code), ..Self::new(EndReason::ClientError, detail) }
    }
}

impl From<Overrun> for Fault {
    fn from(_: Overrun) -> Self {
        Self::client(reason::QUOTA, "does not read what it is sent")
    }
}
