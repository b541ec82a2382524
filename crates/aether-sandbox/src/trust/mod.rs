//! Whom the sandbox lets through the TLS handshake, and as what.
//!
//! ```text
//!  ClientHello ──▶ hello (ALPN, SNI) ──▶ judge (read-only) ──▶ proof of the key ──▶ identity
//!                       │ alert                 │ alert              │
//!                                                         pending: alert, then arrival:
//!                                                     registered, announced or provisioned
//! ```
//!
//! Nothing is written while a handshake is under way: what it makes known is registered after it, and
//! only if the client has proven that it holds the key.

mod arrival;
mod hello;
mod jitp;
mod judge;
mod verifier;

use std::sync::Arc;
use std::time::SystemTime;

pub(crate) use arrival::{Arrival, Arrived, Outcome};
pub(crate) use hello::{ALPN_MQTT, Greeting, Refusal as HelloRefusal};
pub use hello::{AlpnRule, SniRule};
pub(crate) use judge::{Judged, Refused};
pub(crate) use verifier::ClientVerifier;

use crate::account::Account;
use crate::ca::CaFolder;
use crate::pki::CertificateFacts;
use crate::{CertificateId, CertificateKind};

/// A client certificate the handshake accepted.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) certificate: CertificateId,
    pub(crate) kind: CertificateKind,
    /// What the certificate says of itself.
    pub(crate) facts: Arc<CertificateFacts>,
    /// The first moment the certificate is no longer valid at.
    pub(crate) end: SystemTime,
}

/// Everything that makes a client certificate known.
#[derive(Debug)]
pub(crate) struct Trust {
    account: Arc<Account>,
    folder: CaFolder,
}

impl Trust {
    pub(crate) fn new(account: Arc<Account>, folder: CaFolder) -> Self {
        Self { account, folder }
    }

    /// Whether the folder of customer CAs has to be read again.
    pub(crate) fn is_stale(&self) -> bool {
        self.folder.is_stale()
    }

    /// Takes in what has changed in the folder of customer CAs. Blocks.
    pub(crate) fn refresh(&self) {
        self.folder.refresh(&self.account);
    }
}
