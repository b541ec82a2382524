//! What a runtime reports while it comes up.

use std::{fmt, sync::Arc};

use tokio::sync::broadcast;

/// A step on the way to a connected device, in the order in which they happen.
///
/// The plant side ([`OpcUaListening`](Self::OpcUaListening)) and the cloud side go their own pace.
/// A start with a stored identity skips the three steps of provisioning.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stage {
    /// The OPC UA server takes clients.
    OpcUaListening {
        /// What a client on this machine dials.
        url: String,
    },
    /// The broker accepted the claim certificate.
    ClaimConnected,
    /// The service issued a certificate, and it is stored.
    CertificateIssued {
        /// The certificate's id.
        certificate_id: String,
    },
    /// The template made the Thing, and its name is stored.
    ThingRegistered {
        /// The Thing.
        thing_name: String,
    },
    /// The broker accepted the device's own certificate: events flow.
    DeviceConnected {
        /// The Thing.
        thing_name: String,
    },
}

impl Stage {
    /// Returns the stable name of the stage, for scripts.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::OpcUaListening { .. } => "opcua-listening",
            Self::ClaimConnected => "claim-connected",
            Self::CertificateIssued { .. } => "certificate-issued",
            Self::ThingRegistered { .. } => "thing-registered",
            Self::DeviceConnected { .. } => "device-connected",
        }
    }

    /// Returns what the stage is about (the URL, the certificate id, the Thing), where there is one.
    pub fn detail(&self) -> Option<&str> {
        match self {
            Self::OpcUaListening { url } => Some(url),
            Self::ClaimConnected => None,
            Self::CertificateIssued { certificate_id } => Some(certificate_id),
            Self::ThingRegistered { thing_name } | Self::DeviceConnected { thing_name } => Some(thing_name),
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.detail() {
            Some(detail) => write!(f, "{}: {detail}", self.name()),
            None => f.write_str(self.name()),
        }
    }
}

/// Who hears of the stages.
#[derive(Clone)]
pub(crate) struct StageSink(Arc<dyn Fn(Stage) + Send + Sync>);

impl StageSink {
    pub(crate) fn new(sink: impl Fn(Stage) + Send + Sync + 'static) -> Self {
        Self(Arc::new(sink))
    }

    /// This one, which tells everyone who listens to `told` as well.
    pub(crate) fn telling(self, told: broadcast::Sender<Stage>) -> Self {
        Self::new(move |stage| {
            // Nobody may listen.
            let _ = told.send(stage.clone());
            (self.0)(stage);
        })
    }

    pub(crate) fn report(&self, stage: Stage) {
        tracing::debug!(stage = stage.name(), detail = stage.detail(), "stage reached");
        (self.0)(stage);
    }
}

impl Default for StageSink {
    fn default() -> Self {
        Self::new(|_| {})
    }
}

impl fmt::Debug for StageSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StageSink")
    }
}
