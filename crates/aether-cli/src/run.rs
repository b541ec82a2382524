//! `aether run`: the gateway that a file describes.

use aether_nexus::Nexus;

use crate::{args::RunOptions, failure::Failure, output::Printer};

pub(crate) async fn run(options: RunOptions) -> Result<(), Failure> {
    let printer = Printer::new(options.json);
    let builder = Nexus::from_file(&options.config)?.environment();
    let nexus = builder.on_stage(move |stage| printer.stage(stage.name(), stage.detail())).build()?;
    nexus.run().await?;
    Ok(())
}
