//! `aether identity …`: who this device is, by what it has stored.

mod args;
mod export;
mod show;
pub(crate) mod time;

pub(crate) use self::args::IdentityCommand;
use crate::failure::Failure;

pub(crate) fn run(command: &IdentityCommand) -> Result<(), Failure> {
    match command {
        IdentityCommand::Show(options) => show::show(options),
        IdentityCommand::Export(options) => export::export(options),
    }
}
