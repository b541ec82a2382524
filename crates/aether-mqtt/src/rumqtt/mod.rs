//! The connector over TLS and TCP, on `rumqttc`.

use async_trait::async_trait;

use crate::{ConnectError, ConnectOptions, Connector, Session};

/// Makes connections over mutual TLS.
#[derive(Clone, Debug, Default)]
pub struct RumqttConnector;

#[async_trait]
impl Connector for RumqttConnector {
    async fn connect(&self, options: &ConnectOptions) -> Result<Box<dyn Session>, ConnectError> {
        options.check().map_err(ConnectError::Settings)?;
        Err(ConnectError::Closed { endpoint: options.endpoint().to_string() })
    }
}
