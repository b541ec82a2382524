//! Serves three Sigils until it is killed: `cargo run --example serve -- opc.tcp://0.0.0.0:4840 pki`.
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use std::{env, error::Error, sync::Arc, time::Duration};

use aether_opcua::{OpcUaServer, OpcUaUrl};
use aether_sigil::{Sigil, SigilSet};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = env::args().skip(1);
    let url: OpcUaUrl = args.next().as_deref().unwrap_or("opc.tcp://127.0.0.1:4840").parse()?;

    let temperature = Sigil::builder("ns=2;s=Plant.Temperature", 25.0)
        .description("Process temperature value.")
        .minimum_value(-50.0)
        .maximum_value(150.0)
        .build()?;
    let counter = Sigil::builder("ns=2;s=Plant.Counter", 0_i64).writable(false).build()?;
    let note = Sigil::builder("ns=2;s=Plant.Note", "Grüße".to_owned()).build()?;
    let sigils = Arc::new(SigilSet::new([temperature.into(), counter.any().clone(), note.into()])?);

    let mut server = OpcUaServer::builder(url, sigils);
    if let Some(dir) = args.next() {
        server = server.pki_dir(dir);
    }
    let bound = server.bind().await?;
    println!("serving at {}, open: {}", bound.url(), bound.is_open());
    let running = bound.start();
    loop {
        tokio::select! {
            end = running.ended() => return Ok(end?),
            () = tokio::time::sleep(Duration::from_secs(1)) => counter.write(counter.read().await? + 1).await?,
        }
    }
}
