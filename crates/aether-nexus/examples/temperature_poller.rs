//! Reads one Sigil every 2 seconds; each read becomes an MQTT event on the Thing-name topic.
//!
//! The settings below are those of a real AWS account. The environment wins over them, so the same
//! program runs against the sandbox:
//!
//! ```sh
//! cargo run --bin aether -- sandbox up --dir sandbox
//! AETHER_AWS_IOT_ENDPOINT=localhost AETHER_AWS_IOT_ROOT_CA=sandbox/ca.pem \
//! AETHER_AWS_IOT_CLAIM_CERT=sandbox/claim.pem AETHER_AWS_IOT_CLAIM_KEY=sandbox/claim.key \
//! cargo run --package aether-nexus --example temperature_poller
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{error::Error, time::Duration};

use aether_nexus::Nexus;
use aether_sigil::Sigil;
use aether_weave::Weave;

// 3) Periodic task: read the Sigil every cycle.
async fn publish_temperature_read_event(temperature: Sigil<f64>) -> Result<(), Box<dyn Error + Send + Sync>> {
    let value = temperature.read().await?;
    println!("Sigil read -> Plant.Temperature={value}");
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt::init();

    // 1) Configure Nexus with AWS IoT fleet provisioning (claim certificate path).
    let nexus = Nexus::builder()
        .opc_ua_url("opc.tcp://0.0.0.0:4840")
        .token("<your-aether-token>")
        .aws_iot_endpoint("<your-iot-prefix>-ats.iot.<region>.amazonaws.com")
        .aws_iot_template_name("Aether")
        .aws_iot_claim_cert("./aws/claim.pem")
        .aws_iot_claim_key("./aws/claim.key")
        .environment();

    // 2) Define a Sigil that you want to poll periodically.
    let temperature =
        Sigil::builder("ns=2;s=Plant.Temperature", 25.0).description("Process temperature value.").build()?;

    // 4) Register Sigil and Weave (before nexus.run).
    let nexus = nexus.sigil(&temperature);
    let poller = Weave::builder("temperature-read-poller", Duration::from_secs(2), move || {
        publish_temperature_read_event(temperature.clone())
    })
    .description("Reads temperature every 2 seconds to emit Sigil read MQTT events.")
    .build()?;

    nexus.weave(poller).build()?.run().await?;
    Ok(())
}
