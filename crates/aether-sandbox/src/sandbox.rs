//! A running sandbox.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinHandle, spawn_blocking};
use tokio_util::sync::CancellationToken;

use crate::account::{Account, AccountError};
use crate::admin::{ControlFile, url};
use crate::broker::Broker;
use crate::{
    AuditStream, CertificateId, CertificateRecord, CertificateStatus, ClaimError, Files, InvalidFaults,
    ProvisioningClaim, SandboxBuilder, ThingRecord,
};

/// Longest wait for the tasks of a sandbox that shuts down.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// A running stand-in for AWS IoT Core.
///
/// Stop it with [`shutdown`](Self::shutdown). Dropped, it stops as well, but without waiting: its
/// directory may stay in use and its decision log unfinished for a moment.
#[derive(Debug)]
pub struct Sandbox {
    /// Goes first: before the directory is free for another sandbox, which writes its own.
    pub(crate) _control_file: Option<ControlFile>,
    pub(crate) address: SocketAddr,
    pub(crate) control_address: Option<SocketAddr>,
    pub(crate) files: Files,
    pub(crate) account: Arc<Account>,
    pub(crate) broker: Arc<Broker>,
    pub(crate) stop_audit: CancellationToken,
    pub(crate) audit_task: JoinHandle<()>,
}

impl Sandbox {
    /// Settings for a sandbox on a free port of this machine, in a temporary directory that goes with it:
    /// what a test wants. [`SandboxBuilder::dir`] keeps its state for another start.
    #[must_use]
    pub fn builder() -> SandboxBuilder {
        SandboxBuilder::new()
    }

    /// The address it listens on, with the real port where port 0 was asked for.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// The address of the control plane as a URL, for `aws --endpoint-url` and `boto3`, or for
    /// `AWS_ENDPOINT_URL_IOT` and `AWS_ENDPOINT_URL_IOT_DATA_PLANE`; `None` when it is not served.
    #[must_use]
    pub fn control_url(&self) -> Option<String> {
        self.control_address.map(url)
    }

    /// The DNS names of its server certificate, which are those SNI may send: `localhost`, then those of
    /// [`SandboxBuilder::endpoint_name`].
    #[must_use]
    pub fn server_names(&self) -> &[String] {
        self.broker.tls.names()
    }

    /// Name of the provisioning template.
    #[must_use]
    pub fn template_name(&self) -> &str {
        self.broker.provisioning.template_name()
    }

    /// Makes a claim certificate that works for five minutes, for a trusted user to hand to a device
    /// (`CreateProvisioningClaim`).
    ///
    /// # Errors
    ///
    /// [`ClaimError`], if there is no such template, it is disabled, or nothing could be written.
    ///
    /// # Cancel safety
    ///
    /// A dropped call may leave a certificate nobody has the key of; it is gone after five minutes.
    pub async fn create_provisioning_claim(&self, template: &str) -> Result<ProvisioningClaim, ClaimError> {
        let (provisioning, template) = (self.broker.provisioning.clone(), template.to_owned());
        let made = spawn_blocking(move || provisioning.create_claim(&template)).await;
        made.unwrap_or_else(|broken| Err(ClaimError::Internal(broken.into())))
    }

    /// Region of the resource names.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.account.place().region
    }

    /// Account of the resource names.
    #[must_use]
    pub fn account_id(&self) -> &str {
        &self.account.place().account_id
    }

    /// The files it hands to its users.
    #[must_use]
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// The Things registered so far, by name.
    #[must_use]
    pub fn things(&self) -> Vec<ThingRecord> {
        self.account.read().things.values().map(|row| ThingRecord::from(&**row)).collect()
    }

    /// The certificates it has issued, by id: its claim and observer certificate and those of
    /// devices.
    #[must_use]
    pub fn certificates(&self) -> Vec<CertificateRecord> {
        let tables = self.account.read();
        tables.certificates.values().filter(|row| row.is_listed()).map(|row| CertificateRecord::from(&**row)).collect()
    }

    /// Sets the status of a certificate. Live connections made with a certificate that is no longer
    /// [`Active`](CertificateStatus::Active) are cut.
    ///
    /// # Errors
    ///
    /// [`SetStatusError::Unknown`] is final; after [`SetStatusError::Io`] nothing has changed.
    ///
    /// # Cancel safety
    ///
    /// Once polled, the change is made even if the call is dropped, but connections may then stay.
    pub async fn set_certificate_status(
        &self,
        id: &CertificateId,
        status: CertificateStatus,
    ) -> Result<(), SetStatusError> {
        let account = Arc::clone(&self.account);
        let wanted = id.clone();
        let set = spawn_blocking(move || account.change(|tx| tx.set_status(&wanted, status)));
        match set.await.map_err(|failed| std::io::Error::other(failed.to_string())) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(AccountError::Io { path, source })) => Err(SetStatusError::Io { path, source }),
            Ok(Err(_)) => Err(SetStatusError::Unknown { id: id.clone() }),
            Err(source) => Err(SetStatusError::Io { path: self.files.dir().to_owned(), source }),
        }
    }

    /// Moves the sandbox's time forward: tokens, certificates and sessions age by `by` at once.
    ///
    /// Timeouts of the network are not concerned. Time never goes back, and ends with the year 9999.
    pub fn advance(&self, by: Duration) {
        self.account.clock().advance(by);
    }

    /// Forgets what devices have left behind: Things, their certificates, short-lived claims, sessions
    /// (their connections are closed) and retained messages.
    ///
    /// What somebody set up stays: policies, templates, types, groups and CAs, the claim and the
    /// observer certificate, the decision log, and the clock.
    ///
    /// # Errors
    ///
    /// [`ResetError`]: the change could not be stored. Nothing has changed then.
    ///
    /// # Cancel safety
    ///
    /// Once polled, it is done even if the call is dropped.
    pub async fn reset(&self) -> Result<(), ResetError> {
        let broker = Arc::clone(&self.broker);
        match spawn_blocking(move || broker.forget_devices()).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(cause)) => Err(ResetError { source: cause.into() }),
            Err(failed) => Err(ResetError { source: failed.into() }),
        }
    }

    /// Replaces the script of faults that happen on purpose; `[]` ends them.
    ///
    /// A rule is an object with a `step`, an `action`, and where wanted a `match` and how often:
    ///
    /// ```json
    /// [{ "step": "puback", "match": { "client_id": "press-*" }, "nth": 2, "action": "drop" },
    ///  { "step": "register_thing", "times": 1, "action": { "advance_clock": { "seconds": 3601 } } }]
    /// ```
    ///
    /// - Steps: `tls_accept`, `connect`, `connack`, `subscribe`, `suback`, `publish`, `puback`,
    ///   `deliver`, `pingresp`, and the answers of provisioning `create_keys`, `create_csr` and
    ///   `register_thing`.
    /// - Actions: `"drop"`, `"duplicate"`, `"disconnect"`, `"expire_certificate"`,
    ///   `"revoke_certificate"`, `{"refuse": {"code": …}}` (a reason code of MQTT 5, or a status code
    ///   for provisioning), `{"delay": {"ms": …}}`, `{"corrupt": {"how": "flip"}}` or `"truncate"`,
    ///   `{"advance_clock": {"seconds": …}}`, `{"restart_broker": {"ms": …}}`.
    /// - `match`: `client_id`, `topic`, `certificate_id`, with `*` for any run of characters and `?`
    ///   for one.
    /// - How often: one of `after`, `nth`, `every`, counting what matches, and `times` at most.
    ///
    /// Of several rules that are due at a step the first one acts.
    ///
    /// # Errors
    ///
    /// [`InvalidFaults`] names the rule; the old script stays.
    pub fn set_faults(&self, script: &str) -> Result<(), InvalidFaults> {
        self.broker.faults.set(script)
    }

    /// The script of faults as a JSON list, each rule with how often it `matched` and `fired`.
    #[must_use]
    pub fn faults(&self) -> String {
        self.broker.faults.report()
    }

    /// The decisions made from now on.
    #[must_use]
    pub fn audit(&self) -> AuditStream {
        self.broker.audit.stream()
    }

    /// Cuts all live connections, as a network failure would. New ones are welcome at once.
    pub fn drop_connections(&self) {
        self.broker.cut_all();
    }

    /// Stops: takes no more connections, closes those there are without a word, waits for changes
    /// under way to reach the disk, and gives the directory free.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: a dropped call stops the sandbox as dropping it does.
    pub async fn shutdown(mut self) {
        self.broker.stop.cancel();
        self.broker.tasks.close();
        if tokio::time::timeout(SHUTDOWN_TIMEOUT, self.broker.tasks.wait()).await.is_err() {
            tracing::warn!("sandbox tasks still run after the shutdown timeout");
        }
        self.stop_audit.cancel();
        if let Err(failed) = (&mut self.audit_task).await {
            tracing::error!(error = &failed as &dyn std::error::Error, "decision log broke off");
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.broker.stop.cancel();
        self.stop_audit.cancel();
    }
}

/// Why [`Sandbox::set_certificate_status`] failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetStatusError {
    /// The registry has no such certificate.
    #[error("certificate {id} is not in the registry")]
    Unknown {
        /// The id asked for.
        id: CertificateId,
    },
    /// The change could not be stored.
    #[error("could not write {}", path.display())]
    Io {
        /// The state file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
}

/// Why [`Sandbox::reset`] failed.
#[derive(Debug, thiserror::Error)]
#[error("could not forget the devices")]
pub struct ResetError {
    source: Box<dyn std::error::Error + Send + Sync>,
}
