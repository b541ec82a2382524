//! Pre-provisioning hooks: somebody else's word on whether a device may register (sheet, 2.7).
//!
//! ```text
//!  template ─▶ target ─▶ program: event on stdin, answer on stdout
//!                        HTTP:    event as POST, answer as body
//!                        allow-list: a file with the values of one parameter
//! ```
//!
//! A hook has a time limit and may say so much; one that takes longer or says more is stopped. Its
//! word counts only if it is `allowProvisioning` and `true`; everything else is 403 `AccessDenied`.

mod allow_list;
mod answer;
mod http;
mod program;
mod target;

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;

pub(crate) use self::answer::HookAnswer;
use self::answer::InvalidAnswer;
pub use self::target::{InvalidHook, ProvisioningHook};
use super::Rejection;
use crate::account::TemplateRow;

/// Most that is read of an answer, in bytes.
const MAX_ANSWER: usize = 64 * 1024;
/// Most hooks that run at once; more wait. Keeps a burst of devices from becoming a burst of processes.
const MAX_RUNNING: usize = 16;

/// The hooks of a sandbox.
#[derive(Debug)]
pub(crate) struct Hooks {
    /// By what templates name as target: the ARN of a Lambda function, as a rule.
    by_target: BTreeMap<String, ProvisioningHook>,
    /// Of the template of the directory's own, if it names none.
    own: Option<ProvisioningHook>,
    limit: Duration,
    running: Semaphore,
}

/// What a hook is told (sheet, 2.7).
#[derive(Debug, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Event<'a> {
    pub(super) claim_certificate_id: &'a str,
    pub(super) certificate_id: &'a str,
    pub(super) certificate_pem: &'a str,
    pub(super) template_arn: &'a str,
    pub(super) client_id: &'a str,
    pub(super) parameters: &'a BTreeMap<String, String>,
}

/// The hook a template asks for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Asked<'a> {
    Known(&'a ProvisioningHook),
    /// The template names a target the sandbox was told nothing of.
    Unknown(&'a str),
}

/// Why a hook did not allow provisioning. For the sandbox's log, not for the device.
#[derive(Debug, thiserror::Error)]
pub(super) enum HookError {
    #[error("hook {target:?} is not set up in the sandbox, expected one of its hooks")]
    Unknown { target: String },
    #[error("hook took longer than {limit:?}")]
    TimedOut { limit: Duration },
    #[error("hook answered more than {MAX_ANSWER} bytes")]
    TooLong,
    #[error("hook did not allow it")]
    Refused,
    #[error(transparent)]
    Answer(#[from] InvalidAnswer),
    #[error("could not run {what}")]
    Run {
        what: String,
        #[source]
        source: std::io::Error,
    },
    #[error("hook ended with {status}{said}")]
    Failed { status: String, said: String },
    #[error("could not ask {url}")]
    Http {
        url: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("{url} answered with status {status}, expected 200")]
    Status { url: String, status: u16 },
    #[error("allow-list {path} is not of its form: {why}")]
    List { path: String, why: String },
}

impl Hooks {
    /// AWS's time limit (sheet, 2.7).
    pub(crate) const TIME_LIMIT: Duration = Duration::from_secs(5);

    pub(crate) fn new(
        by_target: BTreeMap<String, ProvisioningHook>,
        own: Option<ProvisioningHook>,
        limit: Duration,
    ) -> Self {
        Self { by_target, own, limit, running: Semaphore::new(MAX_RUNNING) }
    }

    /// The hook of a template.
    ///
    /// What a template names is looked up among the sandbox's settings and never run as it is: who
    /// may create templates over HTTP must not thereby run programs.
    pub(super) fn of<'a>(&'a self, template: &'a TemplateRow, own: bool) -> Option<Asked<'a>> {
        match &template.hook {
            Some(named) => Some(match self.by_target.get(&named.target) {
                Some(hook) => Asked::Known(hook),
                None => Asked::Unknown(&named.target),
            }),
            None => self.own.as_ref().filter(|_| own).map(Asked::Known),
        }
    }

    /// Asks a hook; gives the parameters it overrides.
    pub(super) async fn ask(
        &self,
        template: &str,
        asked: Asked<'_>,
        event: &Event<'_>,
    ) -> Result<BTreeMap<String, String>, Rejection> {
        let word = match asked {
            Asked::Known(hook) => self.run(hook, event).await,
            Asked::Unknown(target) => Err(HookError::Unknown { target: target.to_owned() }),
        };
        let certificate = event.certificate_id;
        match word {
            Ok(answer) => {
                tracing::info!(template, certificate, "hook allowed provisioning");
                Ok(answer.overrides)
            }
            Err(HookError::Refused) => {
                tracing::info!(template, certificate, "hook refused provisioning");
                Err(Rejection::denied("The pre-provisioning hook did not allow provisioning."))
            }
            Err(cause) => {
                let error = &cause as &dyn std::error::Error;
                tracing::warn!(template, certificate, error, "hook failed, provisioning refused");
                Err(Rejection::denied("The pre-provisioning hook did not allow provisioning."))
            }
        }
    }

    async fn run(&self, hook: &ProvisioningHook, event: &Event<'_>) -> Result<HookAnswer, HookError> {
        // Never closed: an error cannot be.
        let _running = self.running.acquire().await;
        let answered = timeout(self.limit, async {
            let event_json = || serde_json::to_vec(event).map_err(|_| HookError::TooLong);
            match hook {
                ProvisioningHook::Program(path) => program::run(path, &event_json()?).await,
                ProvisioningHook::Http(url) => http::ask(url, event_json()?).await,
                ProvisioningHook::AllowList(path) => return allow_list::ask(path, event.parameters).await,
            }
            .and_then(|answer| Ok(HookAnswer::parse(&answer)?))
        });
        let answer = answered.await.unwrap_or(Err(HookError::TimedOut { limit: self.limit }))?;
        if answer.allowed { Ok(answer) } else { Err(HookError::Refused) }
    }
}
