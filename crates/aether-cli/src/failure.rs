//! Why the program ends with another exit code than 0, and how it says so.

use std::{error::Error, process::ExitCode};

use aether_nexus::{AtRestError, BuildError, ConfigError, ControlError, Refusal, RunError};
use aether_sandbox::{RegisterCaError, StartError};

/// An error and the exit code that a service manager can act on.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    error: Box<dyn Error>,
}

/// Failed while running; starting again may help.
const RUNNING: u8 = 1;
/// Something has to be changed before another start.
const SETTINGS: u8 = 2;
/// The cloud refused this device for good.
const REFUSED: u8 = 3;

impl Failure {
    pub(crate) fn running(error: impl Into<Box<dyn Error>>) -> Self {
        Self { code: RUNNING, error: error.into() }
    }

    pub(crate) fn settings(error: impl Into<Box<dyn Error>>) -> Self {
        Self { code: SETTINGS, error: error.into() }
    }

    /// A fault of what `place` names.
    pub(crate) fn settings_in(place: String, error: &dyn Error) -> Self {
        Self::settings(format!("{place}: {}", chain(error)))
    }

    /// Prints the error with everything that led to it, on one line.
    pub(crate) fn report(self) -> ExitCode {
        #[expect(clippy::print_stderr, reason = "this is the program's last word")]
        {
            eprintln!("aether: {}", chain(&*self.error));
        }
        ExitCode::from(self.code)
    }
}

fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += ": ";
        text += &error.to_string();
        cause = error.source();
    }
    text
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::settings(error)
    }
}

impl From<BuildError> for Failure {
    fn from(error: BuildError) -> Self {
        Self::settings(error)
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        let code = match &error {
            refusal if refusal.is_refusal() => REFUSED,
            other if other.is_configuration() => SETTINGS,
            _ => RUNNING,
        };
        Self { code, error: error.into() }
    }
}

impl From<AtRestError> for Failure {
    fn from(error: AtRestError) -> Self {
        let code = match &error {
            refusal if refusal.is_refusal() => REFUSED,
            other if other.is_configuration() => SETTINGS,
            _ => RUNNING,
        };
        Self { code, error: error.into() }
    }
}

impl From<ControlError> for Failure {
    fn from(error: ControlError) -> Self {
        let code = match &error {
            ControlError::Refused { kind: Refusal::Cloud, .. } => REFUSED,
            ControlError::Refused { kind: Refusal::Settings, .. } => SETTINGS,
            ControlError::Refused { .. }
            | ControlError::NotRunning(_)
            | ControlError::Io { .. }
            | ControlError::Answer { .. }
            | ControlError::Silent { .. }
            | _ => RUNNING,
        };
        Self { code, error: error.into() }
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        Self { code: if error.is_usage() { SETTINGS } else { RUNNING }, error: error.into() }
    }
}

impl From<RegisterCaError> for Failure {
    fn from(error: RegisterCaError) -> Self {
        Self::settings(error)
    }
}
