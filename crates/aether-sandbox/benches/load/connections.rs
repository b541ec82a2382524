//! `load connections N`: many connections that have little to say, and say it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::args::Args;
use crate::client::Connection;
use crate::fleet::{each, keep, provisioned};
use crate::process::{Memory, Stopwatch, check_open_files};
use crate::report::{Output, Table, memory_rows, number, rate, seconds};
use crate::serve::Served;

/// Connections that are opened at a time.
const PARALLEL: usize = 32;

pub(crate) async fn run(args: &Args, output: &Output) -> anyhow::Result<()> {
    let count = args.count("connections", 5000, 100)?;
    let certificates: usize = args.number("certificates", count, count)?.clamp(1, count.max(1));
    let keep_alive: u16 = args.number("keep-alive", 30, 30)?;
    let hold = Duration::from_secs(args.number("hold", 90, 2)?);
    ensure!(keep_alive > 0, "--keep-alive: expected 1 s or more");
    check_open_files(count + 200)?;
    let title = format!("connections {count}, {certificates} certificates, keep-alive {keep_alive} s");
    output.note(&format!("{title} …"));

    let sandbox = Served::start("ec", "aws").await?;
    let devices = Arc::new(provisioned(&sandbox, certificates, PARALLEL).await?);
    let before = Memory::of(sandbox.pid)?;
    let address = sandbox.address;

    let watch = Stopwatch::start(sandbox.pid)?;
    let connections = each(count, PARALLEL, |index| {
        let devices = Arc::clone(&devices);
        async move {
            let device = devices.get(index % devices.len()).context("no such device")?;
            // A certificate's first connection is its Thing's; the rest have ids of their own.
            let id = if index < devices.len() { device.thing.clone() } else { format!("load-{index}") };
            Ok(Connection::open(address, &device.identity, &id, keep_alive).await?.0)
        }
    })
    .await?;
    let opened = watch.read()?;
    let memory = Memory::of(sandbox.pid)?;

    let watch = Stopwatch::start(sandbox.pid)?;
    let keep_alive = Duration::from_secs(u64::from(keep_alive));
    let stop = CancellationToken::new();
    let mut kept = JoinSet::new();
    for (index, connection) in connections.into_iter().enumerate() {
        // Spread over the time of a keep-alive, as those of a fleet are.
        let first = keep_alive.mul_f64(index as f64 / count as f64);
        kept.spawn(keep(connection, first, keep_alive, stop.clone()));
    }
    sleep(hold).await;
    stop.cancel();
    let (mut alive, mut pings) = (Vec::with_capacity(count), 0);
    while let Some(ended) = kept.join_next().await {
        let (connection, answered) = ended?.context("a connection did not stay")?;
        alive.push(connection);
        pings += answered;
    }
    let held = watch.read()?;
    let after = Memory::of(sandbox.pid)?;
    let alive = alive.len();
    sandbox.stop().await?;

    let mut table = Table::new(title, &["figure", "value", "unit"]);
    table.row([json!("alive at the end"), json!(alive), json!("")]);
    table.row([json!("connection rate (TLS, CONNECT)"), rate(count, opened.wall), json!("connections/s")]);
    let each_ms = opened.processor.as_secs_f64() * 1000.0 / count.max(1) as f64;
    table.row([json!("processor time of the sandbox"), number(each_ms), json!("ms/connection")]);
    table.row([json!("held"), seconds(held.wall), json!("s")]);
    table.row([json!("pings answered"), json!(pings), json!("")]);
    let share = held.processor.as_secs_f64() / held.wall.as_secs_f64() * 100.0;
    table.row([json!("one processor's share while held"), number(share), json!("%")]);
    table.row([json!("idle share of the machine while held"), number(held.idle * 100.0), json!("%")]);
    memory_rows(&mut table, before, memory, count);
    table.row([json!("memory at the end"), number(after.now as f64 / 1024.0 / 1024.0), json!("MiB")]);
    output.table(&table);
    Ok(())
}
