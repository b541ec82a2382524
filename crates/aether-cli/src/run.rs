//! `aether run`: the gateway that a file describes.

use aether_nexus::Nexus;

use crate::{args::RunOptions, failure::Failure, output::Printer};

pub(crate) async fn run(options: RunOptions) -> Result<(), Failure> {
    let printer = Printer::new(options.json);
    let mut builder = Nexus::from_file(&options.config)?.environment();
    if let Some(claim) = options.claim {
        builder = builder.aws_iot_claim(claim);
    }
    let nexus = builder.on_stage(move |stage| printer.stage(stage.name(), stage.detail())).build()?;
    nexus.run().await?;
    Ok(())
}
