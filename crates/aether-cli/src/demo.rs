//! `aether demo`: the whole of it on one machine, seen from the outside.

use std::{
    future::pending,
    net::{Ipv4Addr, TcpListener},
    path::Path,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use aether_nexus::{Nexus, NexusBuilder, Stage};
use aether_sandbox::{Observer, Sandbox};
use tokio::time::{sleep, timeout};

use crate::{
    args::DemoOptions,
    failure::Failure,
    output::{Printer, reader_gone},
    signals,
};

/// The plant of the demo: one Sigil and a Weave that polls it.
const PLANT: &str = r#"
[[sigil]]
node_id = "ns=2;s=Plant.Temperature"
initial_value = 25.0
description = "Process temperature value."

[[weave]]
label = "temperature-read-poller"
cycle_time = "2s"
read = ["Plant.Temperature"]
description = "Reads temperature every 2 seconds to emit Sigil read MQTT events."
"#;

/// Why the demo is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The time given with `--for` is up.
    TimeUp,
    /// A signal came, or nobody reads the output any more.
    Asked,
}

pub(crate) async fn demo(options: DemoOptions) -> Result<(), Failure> {
    // Listened to before there is anything to clean away.
    let end = end(signals::end_asked().map_err(Failure::running)?, options.duration);
    let mut end = pin!(end);
    let printer = Printer::new(options.json);
    let dir = tempfile::Builder::new().prefix("aether-demo-").tempdir().map_err(Failure::running)?;
    let (sandbox, mut observer) = tokio::select! {
        started = start(dir.path(), printer) => started?,
        end = &mut end => return verdict(end, 0),
    };
    let arrived = Arc::new(AtomicU64::new(0));
    let show = tokio::spawn({
        let arrived = Arc::clone(&arrived);
        async move {
            while let Some(message) = observer.next().await {
                arrived.fetch_add(1, Ordering::SeqCst);
                printer.event(&message.topic, &message.payload);
            }
        }
    });

    let url = options.opc_ua_url.unwrap_or_else(free_opc_ua_url);
    let nexus = gateway(dir.path(), &sandbox)?.opc_ua_url(url).on_stage(move |stage| {
        printer.stage(stage.name(), stage.detail());
        if let Stage::OpcUaListening { url } = stage {
            printer.note(&format!("  point an OPC UA client at {url} and write Objects/aether/Plant.Temperature"));
        }
    });
    let mut ended = End::Asked;
    nexus.build()?.run_until(async { ended = end.await }).await?;
    sandbox.shutdown().await;
    // The subscriber's connection is closed now; it shows what it still has and ends.
    let _ = timeout(Duration::from_secs(2), show).await;
    verdict(ended, arrived.load(Ordering::SeqCst))
}

async fn end(asked: impl Future<Output = ()>, time: Option<Duration>) -> End {
    let time_up = async {
        match time {
            Some(time) => sleep(time).await,
            None => pending().await,
        }
    };
    tokio::select! {
        () = asked => End::Asked,
        () = reader_gone() => End::Asked,
        () = time_up => End::TimeUp,
    }
}

/// A demo that had its time and showed no event has failed.
fn verdict(end: End, arrived: u64) -> Result<(), Failure> {
    if end == End::TimeUp && arrived == 0 {
        return Err(Failure::running("no event arrived at the subscriber; AETHER_LOG=info shows how far it came"));
    }
    Ok(())
}

/// Starts a sandbox, and an MQTT client of its own that shares nothing with the device: what it
/// receives has arrived.
async fn start(dir: &Path, printer: Printer) -> Result<(Sandbox, Observer), Failure> {
    let sandbox = Sandbox::builder().dir(dir.join("sandbox")).listen((Ipv4Addr::LOCALHOST, 0).into()).start().await?;
    printer.stage("sandbox-listening", Some(&sandbox.local_addr().to_string()));
    let credentials = sandbox.files().observer_credentials().map_err(Failure::running)?;
    let observer = Observer::connect(sandbox.local_addr(), &credentials, "demo-observer").await;
    let observer = observer.map_err(Failure::running)?;
    observer.subscribe("#").await.map_err(Failure::running)?;
    Ok((sandbox, observer))
}

/// A gateway as a user would configure it, against this sandbox.
fn gateway(dir: &Path, sandbox: &Sandbox) -> Result<NexusBuilder, Failure> {
    let config = dir.join("aether.toml");
    std::fs::write(&config, PLANT).map_err(Failure::running)?;
    let files = sandbox.files();
    Ok(Nexus::from_file(config)?
        .aws_iot_endpoint("localhost")
        .aws_iot_port(sandbox.local_addr().port())
        .aws_iot_root_ca(files.ca())
        .aws_iot_template_name(sandbox.template_name())
        .aws_iot_claim_cert(files.claim_cert())
        .aws_iot_claim_key(files.claim_key())
        .aws_iot_template_parameter("SerialNumber", "demo"))
}

/// The port that OPC UA clients try first, or a free one where it is taken.
fn free_opc_ua_url() -> String {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 4840)).is_ok();
    format!("opc.tcp://127.0.0.1:{}", if free { 4840 } else { 0 })
}
