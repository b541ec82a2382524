//! Why a client is not let in, and what it is told.

use bytes::BytesMut;

use super::packet::{Outgoing, Version, reason};
use crate::access::Verdict;

/// Return codes of MQTT 3.1.1 (section 3.2.2.3).
const UNACCEPTABLE_VERSION: u8 = 1;
const IDENTIFIER_REJECTED: u8 = 2;
const UNAVAILABLE: u8 = 3;
const BAD_USER_NAME: u8 = 4;
const NOT_AUTHORIZED: u8 = 5;

/// Why a connection ends before it began. Some refusals have an answer, some just close.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) reason: String,
    pub(super) verdict: Option<Verdict>,
    /// Lifecycle events tell of it.
    pub(super) forbidden: bool,
    /// The codes of CONNACK, for MQTT 3.1.1 and 5.
    codes: (Option<u8>, Option<u8>),
}

impl Refusal {
    pub(super) fn silent(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), verdict: None, forbidden: false, codes: (None, None) }
    }

    /// AWS closes on an MQTT 3.1.1 client without a CONNACK in most cases.
    pub(super) fn five(code: u8, reason: impl Into<String>) -> Self {
        Self { codes: (None, Some(code)), ..Self::silent(reason) }
    }

    pub(super) fn identifier(reason: &str) -> Self {
        Self { codes: (Some(IDENTIFIER_REJECTED), Some(reason::BAD_CLIENT_ID)), ..Self::silent(reason) }
    }

    /// MQTT 3.1, which AWS does not speak; MQTT 5 has no such thing.
    pub(super) fn version(reason: &str) -> Self {
        Self { codes: (Some(UNACCEPTABLE_VERSION), None), ..Self::silent(reason) }
    }

    /// What a fault script says, in the words of both versions.
    pub(super) fn scripted(code: u16) -> Self {
        let three = match code {
            0x85 => IDENTIFIER_REJECTED,
            0x86 => BAD_USER_NAME,
            0x87 => NOT_AUTHORIZED,
            _ => UNAVAILABLE,
        };
        let five = u8::try_from(code).unwrap_or(reason::NOT_AUTHORIZED);
        Self { codes: (Some(three), Some(five)), ..Self::silent("fault script") }
    }

    /// What no policy allows, or no certificate (sheet, 3.6).
    pub(super) fn forbidden(reason: impl Into<String>, verdict: Option<Verdict>) -> Self {
        Self { verdict, forbidden: true, ..Self::five(reason::NOT_AUTHORIZED, reason) }
    }

    /// The CONNACK, if there is one.
    pub(super) fn answer(&self, version: Option<Version>) -> Option<BytesMut> {
        let version = version?;
        let code = match version {
            Version::V3 => self.codes.0,
            Version::V5 => self.codes.1,
        };
        let mut answer = BytesMut::new();
        version.encode(&Outgoing::Refuse(code?), &mut answer);
        Some(answer)
    }
}
