//! `load devices N`: a fleet provisions by claim, stays connected, and connects again after a cut.

use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::json;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::args::Args;
use crate::fleet::{at_work, each, keep};
use crate::process::{Memory, Stopwatch, check_open_files};
use crate::provision::{Laps, provision};
use crate::report::{Output, Table, memory_rows, number, rate, seconds, steps};
use crate::serve::Served;

/// Time between two pings of a device that has nothing to say.
const PING_EVERY: Duration = Duration::from_secs(20);
/// AWS takes one CONNECT a second for each client id (sheet, 4.2).
const CONNECT_PAUSE: Duration = Duration::from_millis(1500);

pub(crate) async fn run(args: &Args, output: &Output) -> anyhow::Result<()> {
    let count = args.count("devices", 1000, 50)?;
    let parallel = args.number("parallel", 32, 32)?;
    let hold = Duration::from_secs(args.number("hold", 10, 1)?);
    let kinds: &[&str] = match args.text("keys", "both") {
        "both" => &["ec", "rsa"],
        "ec" => &["ec"],
        "rsa" => &["rsa"],
        other => bail!("--keys: expected ec, rsa or both, found `{other}`"),
    };
    check_open_files(count + 200)?;
    for keys in kinds {
        fleet(keys, count, parallel, hold, output).await?;
    }
    Ok(())
}

async fn fleet(keys: &str, count: usize, parallel: usize, hold: Duration, output: &Output) -> anyhow::Result<()> {
    let title = format!("devices {count}, {keys} keys, {parallel} at a time");
    output.note(&format!("{title} …"));
    let sandbox = Served::start(keys, "aws").await?;
    let before = Memory::of(sandbox.pid)?;
    let (address, trust, claim) = (sandbox.address, sandbox.trust.clone(), sandbox.claim.clone());

    let watch = Stopwatch::start(sandbox.pid)?;
    let stop = CancellationToken::new();
    let provisioned = each(count, parallel, |index| {
        let (trust, claim, stop) = (trust.clone(), claim.clone(), stop.clone());
        async move {
            let mut laps = Laps::new();
            let device = provision(address, &trust, &claim, &index.to_string(), &mut laps).await?;
            let connection = device.begin_work(address, &mut laps).await?;
            let kept = tokio::spawn(keep(connection, PING_EVERY, PING_EVERY, stop));
            Ok((device, kept, laps))
        }
    })
    .await?;
    let spent = watch.read()?;
    let mut devices = Vec::with_capacity(count);
    let mut kept = Vec::with_capacity(count);
    let mut all_laps = Vec::with_capacity(count);
    for (device, connection, laps) in provisioned {
        devices.push(device);
        kept.push(connection);
        all_laps.push(laps);
    }

    sleep(hold).await;
    let connected = kept.iter().filter(|connection| !connection.is_finished()).count();
    let memory = Memory::of(sandbox.pid)?;

    // All of them are cut off at once, as when a site's network fails and comes back.
    stop.cancel();
    for connection in kept {
        connection.await?.context("a device did not stay connected")?;
    }
    sleep(CONNECT_PAUSE).await;
    let watch = Stopwatch::start(sandbox.pid)?;
    let connections = at_work(address, &devices, parallel).await?;
    let again = watch.read()?;
    drop(connections);
    sandbox.stop().await?;

    let mut table = Table::new(&title, &["figure", "value", "unit"]);
    table.row([json!("devices provisioned"), json!(devices.len()), json!("")]);
    table.row([json!("connected at the end"), json!(connected), json!("")]);
    table.row([json!("time until all were connected"), seconds(spent.wall), json!("s")]);
    table.row([json!("provisioning rate"), rate(count, spent.wall), json!("devices/s")]);
    let each_ms = |time: Duration| number(time.as_secs_f64() * 1000.0 / count.max(1) as f64);
    table.row([json!("processor time of the sandbox"), each_ms(spent.processor), json!("ms/device")]);
    table.row([json!("held after the last one"), seconds(hold), json!("s")]);
    table.row([json!("all connected again after a cut"), seconds(again.wall), json!("s")]);
    table.row([json!("connection rate (TLS, CONNECT, event)"), rate(count, again.wall), json!("connections/s")]);
    table.row([json!("processor time of the sandbox"), each_ms(again.processor), json!("ms/connection")]);
    memory_rows(&mut table, before, memory, count);
    output.table(&table);
    output.table(&steps(format!("{title}: steps"), &all_laps));
    Ok(())
}
