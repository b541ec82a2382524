//! What can go wrong before and while a server runs.

use std::{io, path::PathBuf};

use aether_sigil::{AlreadyAttached, NodeId, SigilId, ValueType};

/// Why a server could not start. Nothing was served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Another program listens on the port, or an earlier run of this one.
    #[error("setting `opc_ua_url`: the port of {value} is in use; choose another or stop the program that holds it")]
    AddressInUse {
        /// The address as configured.
        value: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The address cannot be listened on; expected is an address or name of this machine.
    #[error(
        "setting `opc_ua_url`: cannot listen on {value}; expected an address or name of this machine and a port this program may use"
    )]
    Bind {
        /// The address as configured.
        value: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A Sigil has a namespace index other than 2, the one that is served.
    #[error("sigil `{sigil}` setting `node_id`: found {found}, expected namespace index 2, as in ns=2;s={sigil}")]
    WrongNamespace {
        /// The Sigil.
        sigil: SigilId,
        /// Its NodeId.
        found: NodeId,
    },
    /// A Sigil has the NodeId of a node that the server makes itself.
    #[error("sigil `{sigil}` setting `node_id`: {found} is {taken_by}; choose another NodeId")]
    NodeIdTaken {
        /// The Sigil.
        sigil: SigilId,
        /// Its NodeId.
        found: NodeId,
        /// The node that has it already.
        taken_by: &'static str,
    },
    /// A Sigil holds a type that this crate cannot serve yet.
    #[error("sigil `{sigil}`: its type {found} cannot be served over OPC UA yet")]
    ValueType {
        /// The Sigil.
        sigil: SigilId,
        /// Its type.
        found: ValueType,
    },
    /// A Sigil is served by another server.
    #[error("a sigil cannot be served")]
    SigilTaken(#[from] AlreadyAttached),
    /// A setting has a value that cannot be used.
    #[error("setting `{setting}`: found `{found}`, expected {expected}")]
    Setting {
        /// The setting.
        setting: &'static str,
        /// Its value.
        found: String,
        /// What it must be.
        expected: &'static str,
    },
    /// Secured endpoints are asked for without a place for the certificate.
    #[error(
        "setting `pki_dir`: not given, expected a directory for the server's certificate, since secured endpoints are served"
    )]
    NoPkiDir,
    /// The server's own certificate or key cannot be used.
    #[error("{path}: {found}; {fix}", path = path.display())]
    Certificate {
        /// The file or directory.
        path: PathBuf,
        /// What is wrong with it.
        found: String,
        /// What to do.
        fix: &'static str,
        /// What the system said, where it said something.
        #[source]
        source: Option<io::Error>,
    },
    /// The system gave no thread or no event loop.
    #[error("could not start the thread that serves OPC UA")]
    Thread(#[source] io::Error),
    /// The OPC UA library refused the settings that this crate gave it: a fault of this crate.
    #[error("the OPC UA library refused its settings: {reason}")]
    Library {
        /// What it said.
        reason: String,
    },
}

impl StartError {
    /// Whether the configuration has to change before another start can succeed.
    pub const fn is_configuration(&self) -> bool {
        match self {
            Self::AddressInUse { .. }
            | Self::Bind { .. }
            | Self::WrongNamespace { .. }
            | Self::NodeIdTaken { .. }
            | Self::ValueType { .. }
            | Self::SigilTaken(_)
            | Self::Setting { .. }
            | Self::NoPkiDir
            | Self::Certificate { .. } => true,
            Self::Thread(_) | Self::Library { .. } => false,
        }
    }
}

/// Why a running server ended by itself. Final: a new server has to be made.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The OPC UA library gave up.
    #[error("the OPC UA server gave up: {reason}")]
    Failed {
        /// What it said.
        reason: String,
    },
    /// The thread that serves OPC UA panicked.
    #[error("the thread that serves OPC UA panicked")]
    Panicked,
}
