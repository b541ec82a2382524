//! Sigils served over OPC UA.

mod builder;
mod error;
mod running;
mod settings;
mod url;

pub use builder::{BoundServer, OpcUaServer, ServerBuilder};
pub use error::{ServeError, StartError};
pub use running::RunningServer;
pub use settings::{Anonymous, ClientCertificates, Security, UnknownChoice};
pub use url::{InvalidOpcUaUrl, OpcUaUrl};
