//! The `aether` program: what an operator installs.
//!
//! It reads arguments, calls `aether-nexus`, `aether-sandbox` and `aether-provisioning`, and prints. Whatever a library
//! user would miss lives there and not here.

mod args;
mod demo;
mod failure;
mod identity;
mod output;
mod policy;
mod rotate;
mod run;
mod sandbox;
mod signals;

use std::process::ExitCode;

use args::{Args, Command};
use clap::Parser;
use failure::Failure;

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    match run(args.command).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

async fn run(command: Command) -> Result<(), Failure> {
    output::start_logging(command.log_level())?;
    match command {
        Command::Demo(options) => demo::demo(options).await,
        Command::Run(options) => run::run(options).await,
        Command::Rotate(options) => rotate::rotate(options).await,
        Command::Identity { command } => identity::run(&command),
        Command::Sandbox { command } => sandbox::run(command).await,
        Command::Policy { command } => policy::run(command),
    }
}
