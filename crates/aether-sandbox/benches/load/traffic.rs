//! `load fan-in` and `load fan-out`: messages through the sandbox and through Mosquitto, in turns.
//!
//! ```text
//!  fan-in    M publishers ─▶ broker ─▶ 1 subscriber of `#`
//!  fan-out   1 publisher  ─▶ broker ─▶ M subscribers
//! ```
//!
//! Both brokers take the same load in turns, so that whatever else the machine does meets both.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::args::Args;
use crate::client::{Connection, Identity};
use crate::fleet::provisioned;
use crate::mosquitto::Mosquitto;
use crate::process::{Stopwatch, check_open_files};
use crate::publisher::{Load, publish};
use crate::report::{Output, Table, number};
use crate::serve::Served;
use crate::subscriber::receive;

const KEEP_ALIVE: u16 = 600;

/// A broker and those who may use it.
struct Broker {
    name: &'static str,
    pid: u32,
    address: SocketAddr,
    /// Client id, which is the topic as well, and identity.
    publishers: Vec<(String, Identity)>,
    subscriber: Identity,
}

/// What one measurement found.
#[derive(Clone, Copy, Debug)]
struct Found {
    /// Publishes a second that the broker has acknowledged, or has read at QoS 0.
    accepted: f64,
    /// Messages a second that all subscribers together have got.
    delivered: f64,
    /// Share of the deliveries that were owed and never came, 0 to 1.
    lost: f64,
    /// Processor time of the broker for a delivered message, in microseconds.
    processor: f64,
}

pub(crate) async fn fan_in(args: &Args, output: &Output) -> anyhow::Result<()> {
    let publishers = args.number("publishers", 8, 4)?;
    compare("fan-in", publishers, 1, args, output).await
}

pub(crate) async fn fan_out(args: &Args, output: &Output) -> anyhow::Result<()> {
    let subscribers = args.number("subscribers", 100, 20)?;
    compare("fan-out", 1, subscribers, args, output).await
}

async fn compare(
    name: &str,
    publishers: usize,
    subscribers: usize,
    args: &Args,
    output: &Output,
) -> anyhow::Result<()> {
    let payload = args.number("payload", 200, 200)?;
    let length = Duration::from_secs_f64(args.number("seconds", 5.0, 0.5)?);
    let rounds = args.number("rounds", 3, 1)?;
    check_open_files(publishers + subscribers + 200)?;
    let sandbox = Served::start("ec", "unpaced").await?;
    let mosquitto = Mosquitto::start().await?;
    let brokers = [of_sandbox(&sandbox, publishers).await?, of_mosquitto(&mosquitto, publishers)?];
    output.note(&format!("{name}: {}, {payload} bytes, {} s each …", mosquitto.version, length.as_secs_f64()));
    for broker in &brokers {
        output.note(&format!("  {}: {}", broker.name, broker.suite().await?));
    }
    for qos in [1, 0] {
        let load = Load { qos, payload, length };
        let mut found = [Vec::new(), Vec::new()];
        for _ in 0..rounds {
            for (broker, found) in brokers.iter().zip(&mut found) {
                found.push(broker.measure(subscribers, load).await.with_context(|| broker.name)?);
            }
        }
        let title = format!("{name}, QoS {qos}: {publishers} to {subscribers}, {payload} bytes");
        output.table(&table(title, &brokers, &found));
    }
    sandbox.stop().await?;
    mosquitto.stop().await
}

fn table(title: String, brokers: &[Broker; 2], found: &[Vec<Found>; 2]) -> Table {
    let columns = ["broker", "accepted/s", "delivered/s", "lost %", "broker's µs for each delivery"];
    let mut table = Table::new(title, &columns);
    let row = |name: Value, found: &Found| {
        [name, number(found.accepted), number(found.delivered), number(found.lost * 100.0), number(found.processor)]
    };
    for (broker, found) in brokers.iter().zip(found) {
        for (round, found) in found.iter().enumerate() {
            table.row(row(json!(format!("{} {}", broker.name, round + 1)), found));
        }
    }
    let [own, other] = [middle(&found[0]), middle(&found[1])];
    table.row(row(json!("sandbox, median"), &own));
    table.row(row(json!("mosquitto, median"), &other));
    let ratio = |of: fn(&Found) -> f64| number(of(&own) / of(&other));
    let ratios = [ratio(|found| found.accepted), ratio(|found| found.delivered), Value::Null];
    table.row([json!("sandbox : mosquitto")].into_iter().chain(ratios).chain([ratio(|found| found.processor)]));
    table
}

/// The median of each figure.
fn middle(found: &[Found]) -> Found {
    let median = |of: fn(&Found) -> f64| {
        let mut values: Vec<f64> = found.iter().map(of).collect();
        values.sort_unstable_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
    };
    Found {
        accepted: median(|found| found.accepted),
        delivered: median(|found| found.delivered),
        lost: median(|found| found.lost),
        processor: median(|found| found.processor),
    }
}

async fn of_sandbox(sandbox: &Served, publishers: usize) -> anyhow::Result<Broker> {
    let devices = provisioned(sandbox, publishers, publishers).await?;
    Ok(Broker {
        name: "sandbox",
        pid: sandbox.pid,
        address: sandbox.address,
        publishers: devices.into_iter().map(|device| (device.thing, device.identity)).collect(),
        subscriber: sandbox.observer.clone(),
    })
}

fn of_mosquitto(mosquitto: &Mosquitto, publishers: usize) -> anyhow::Result<Broker> {
    let named = (0..publishers).map(|index| {
        let name = format!("aether-{index}");
        let identity = mosquitto.identity(&name)?;
        Ok((name, identity))
    });
    Ok(Broker {
        name: "mosquitto",
        pid: mosquitto.pid,
        address: mosquitto.address,
        publishers: named.collect::<anyhow::Result<_>>()?,
        subscriber: mosquitto.identity("subscriber")?,
    })
}

impl Broker {
    /// What TLS the subscriber and the broker have agreed on.
    async fn suite(&self) -> anyhow::Result<String> {
        let (connection, _) = Connection::open(self.address, &self.subscriber, "suite", KEEP_ALIVE).await?;
        let suite = connection.suite();
        connection.disconnect().await?;
        Ok(suite)
    }

    async fn measure(&self, subscribers: usize, load: Load) -> anyhow::Result<Found> {
        let mut publishers = Vec::new();
        for (id, identity) in &self.publishers {
            let (connection, _) = Connection::open(self.address, identity, id, KEEP_ALIVE).await?;
            publishers.push((connection, id.clone()));
        }
        let done = CancellationToken::new();
        let mut receiving = JoinSet::new();
        for index in 0..subscribers {
            let id = format!("subscriber-{index}");
            let (mut connection, _) = Connection::open(self.address, &self.subscriber, &id, KEEP_ALIVE).await?;
            connection.subscribe(&["#"], load.qos).await?;
            receiving.spawn(receive(connection, done.clone()));
        }

        let watch = Stopwatch::start(self.pid)?;
        let mut sending = JoinSet::new();
        for (connection, topic) in publishers {
            sending.spawn(publish(connection, topic, load));
        }
        let mut connections = Vec::new();
        let (mut accepted, mut rate) = (0, 0.0);
        while let Some(sent) = sending.join_next().await {
            let (connection, count, time) = sent??;
            connections.push(connection);
            accepted += count;
            rate += count as f64 / time.as_secs_f64();
        }
        done.cancel();
        let (mut delivered, mut delivery_rate) = (0, 0.0);
        while let Some(received) = receiving.join_next().await {
            let (count, time) = received??;
            delivered += count;
            delivery_rate += count as f64 / time.as_secs_f64();
        }
        let spent = watch.read()?;
        for connection in connections {
            connection.disconnect().await?;
        }
        let owed = accepted * subscribers;
        Ok(Found {
            accepted: rate,
            delivered: delivery_rate,
            lost: owed.saturating_sub(delivered) as f64 / owed.max(1) as f64,
            processor: spent.processor.as_secs_f64() * 1e6 / delivered.max(1) as f64,
        })
    }
}
