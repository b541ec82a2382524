//! Sigils served over OPC UA.

mod auth;
mod builder;
mod certificate;
mod changes;
mod clients;
mod error;
mod host;
mod library;
mod nodes;
mod running;
mod settings;
mod url;
mod value;

pub use builder::{BoundServer, OpcUaServer, ServerBuilder};
pub use error::{ServeError, StartError};
pub use running::RunningServer;
pub use settings::{Anonymous, ClientCertificates, Security, UnknownChoice};
pub use url::{InvalidOpcUaUrl, OpcUaUrl};
