//! The command line.

use std::{path::PathBuf, time::Duration};

use aether_nexus::config::{InvalidDuration, parse_duration};
use clap::{Parser, Subcommand};

use crate::identity::IdentityCommand;
use crate::policy::PolicyCommand;
use crate::sandbox::SandboxCommand;

const EXIT_CODES: &str = "\
Exit codes:
  0  ended as asked
  1  failed while running; starting again may help
  2  a setting, an argument or a file has to be changed first
  3  the cloud refused this device for good

Logging goes to standard error; AETHER_LOG sets the level (error, warn, info, debug, trace).";

/// Turns a machine into a trusted, observable citizen of the cloud.
#[derive(Debug, Parser)]
#[command(name = "aether", version, after_help = EXIT_CODES, arg_required_else_help = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Shows the whole of it on this machine: sandbox, provisioning, OPC UA, events arriving.
    #[command(after_help = "\
Examples:
  aether demo                      until Ctrl-C
  aether demo --for 10s            for ten seconds
  aether demo --for 10s --json     one JSON object a line, for scripts")]
    Demo(DemoOptions),
    /// Runs the gateway that a configuration file describes, until SIGTERM or Ctrl-C.
    #[command(after_help = "\
Examples:
  aether run --config aether.toml
  AETHER_AWS_IOT_ENDPOINT=localhost aether run --config aether.toml
  aws iot create-provisioning-claim --template-name Aether | aether run --config aether.toml --claim -

Every setting is also an environment variable, which wins over the file.")]
    Run(RunOptions),
    /// Replaces the device's certificate and key by new ones, whether it runs or not.
    #[command(after_help = "\
Examples:
  aether rotate --config aether.toml
  aether rotate --config aether.toml --json | tail -1

A device that runs does it itself, between two events, and loses none. One that does not run is rotated here, and the
identity before is kept until it has run and an event was acknowledged. Where nothing new is obtained within a minute,
the present identity stays, and the next try goes on from there.")]
    Rotate(RotateOptions),
    /// The identity that the device has stored: shown, or exported for another program.
    Identity {
        #[command(subcommand)]
        command: IdentityCommand,
    },
    /// An AWS IoT Core on this machine: mutual TLS, fleet provisioning, policies.
    Sandbox {
        #[command(subcommand)]
        command: SandboxCommand,
    },
    /// The AWS IoT policies of claim and device certificates: printed, and checked.
    Policy {
        #[command(subcommand)]
        command: PolicyCommand,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct DemoOptions {
    /// How long to run, such as 10s or 2m; without it, until Ctrl-C.
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    pub(crate) duration: Option<Duration>,
    /// Print one JSON object a line instead of text.
    #[arg(long)]
    pub(crate) json: bool,
    /// Where the OPC UA server listens; without it port 4840 of this machine, or a free port where
    /// that is taken.
    #[arg(long, value_name = "URL")]
    pub(crate) opc_ua_url: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct RunOptions {
    /// The configuration file; docs/aether.example.toml shows every key.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// A claim that a trusted user had made for this device, as `aws iot create-provisioning-claim` prints it; - for
    /// standard input. Good for minutes, and not looked at once the device has an identity.
    #[arg(long, value_name = "FILE|-")]
    pub(crate) claim: Option<PathBuf>,
    /// Print the stages as one JSON object a line instead of text.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct RotateOptions {
    /// The configuration file that the device runs with.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Print one JSON object a line instead of text: stages, and last `rotated`.
    #[arg(long)]
    pub(crate) json: bool,
}

/// The OPC UA library calls it an error, at every connection, that a server of policy None has no
/// certificate; faults of a secured server's certificate end the start with an error of ours.
const QUIET_WARN: &str = "warn,opcua_crypto=error,opcua_core::comms::secure_channel=off";
const QUIET_INFO: &str =
    "info,opcua_server=warn,opcua_core=warn,opcua_crypto=error,opcua_core::comms::secure_channel=off";

impl Command {
    /// What is logged where AETHER_LOG says nothing: a demo speaks for itself, a service tells its story.
    pub(crate) const fn log_level(&self) -> &'static str {
        match self {
            Self::Demo(_) | Self::Rotate(_) | Self::Identity { .. } => QUIET_WARN,
            // The OPC UA library tells at `info` what `aether` says itself.
            Self::Run(_) | Self::Sandbox { .. } | Self::Policy { .. } => QUIET_INFO,
        }
    }
}

pub(crate) fn duration(text: &str) -> Result<Duration, InvalidDuration> {
    parse_duration(text)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }
}
