//! `aether sandbox`: the stand-in for AWS IoT Core.
//!
//! `up` runs one. The other commands talk to the one that runs, over its HTTP port; only `reset` and
//! `register-ca` do without.

mod act;
mod args;
mod client;
mod config;
mod options;
mod show;
pub(crate) mod table;
mod up;
mod watch;

pub(crate) use args::SandboxCommand;

use crate::failure::Failure;

pub(crate) async fn run(command: SandboxCommand) -> Result<(), Failure> {
    match command {
        SandboxCommand::Up(options) => up::up(options).await,
        SandboxCommand::Status(options) => show::status(&options).await,
        SandboxCommand::Things(options) => show::things(&options).await,
        SandboxCommand::Certificates(options) => show::certificates(&options).await,
        SandboxCommand::Policies(options) => show::policies(&options).await,
        SandboxCommand::Sessions(options) => show::sessions(&options).await,
        SandboxCommand::Explain(options) => show::explain(&options).await,
        SandboxCommand::Decisions(options) => watch::decisions(&options).await,
        SandboxCommand::Publish(options) => act::publish(options).await,
        SandboxCommand::Subscribe(options) => watch::subscribe(&options).await,
        SandboxCommand::Faults(options) => act::faults(&options).await,
        SandboxCommand::Advance(options) => act::advance(&options).await,
        SandboxCommand::Reset(options) => act::reset(&options).await,
        SandboxCommand::RegisterCa(options) => act::register_ca(&options),
    }
}
