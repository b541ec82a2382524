//! Many devices at once: bounded in how many work at a time, all of them or an error.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::client::Connection;
use crate::provision::{Device, Laps, provision};
use crate::serve::Served;

/// Runs `work` for 0 to `count`, `parallel` of them at a time, and gives the results in that order.
///
/// Every one is waited for; then the failures are counted, and the first one is named.
pub(crate) async fn each<T, F>(
    count: usize,
    parallel: usize,
    mut work: impl FnMut(usize) -> F,
) -> anyhow::Result<Vec<T>>
where
    T: Send + 'static,
    F: Future<Output = anyhow::Result<T>> + Send + 'static,
{
    let slots = Arc::new(Semaphore::new(parallel.max(1)));
    let mut tasks = JoinSet::new();
    for index in 0..count {
        let (slots, working) = (Arc::clone(&slots), work(index));
        tasks.spawn(async move {
            let _slot = slots.acquire_owned().await?;
            anyhow::Ok((index, working.await.with_context(|| format!("number {index}"))?))
        });
    }
    let (mut done, mut failures) = (Vec::with_capacity(count), Vec::new());
    while let Some(ended) = tasks.join_next().await {
        match ended? {
            Ok(result) => done.push(result),
            Err(failure) => failures.push(failure),
        }
    }
    if let Some(first) = failures.first() {
        bail!("{} of {count} failed, the first with: {first:#}", failures.len());
    }
    done.sort_unstable_by_key(|(index, _)| *index);
    Ok(done.into_iter().map(|(_, result)| result).collect())
}

/// Devices with an identity each.
pub(crate) async fn provisioned(sandbox: &Served, count: usize, parallel: usize) -> anyhow::Result<Vec<Device>> {
    let (address, trust, claim) = (sandbox.address, sandbox.trust.clone(), sandbox.claim.clone());
    each(count, parallel, |index| {
        let (trust, claim) = (trust.clone(), claim.clone());
        async move { provision(address, &trust, &claim, &index.to_string(), &mut Laps::new()).await }
    })
    .await
}

/// A connection for each device, which has published an event.
pub(crate) async fn at_work(
    address: SocketAddr,
    devices: &[Device],
    parallel: usize,
) -> anyhow::Result<Vec<Connection>> {
    each(devices.len(), parallel, |index| {
        let device = devices.get(index).cloned();
        async move { device.context("no such device")?.begin_work(address, &mut Laps::new()).await }
    })
    .await
}

/// Pings after `first`, then at every `interval`, and once more at `stop`; gives the connection back
/// with the number of answers. Whatever else the broker says, a hang-up above all, is an error.
pub(crate) async fn keep(
    mut connection: Connection,
    first: Duration,
    interval: Duration,
    stop: CancellationToken,
) -> anyhow::Result<(Connection, usize)> {
    let mut next = Instant::now() + first;
    let mut answered = 0;
    loop {
        let stopping = tokio::select! {
            () = sleep_until(next) => false,
            () = stop.cancelled() => true,
            heard = connection.receive() => bail!("unasked for: {:?}", heard?),
        };
        connection.ping().await?;
        answered += 1;
        if stopping {
            return Ok((connection, answered));
        }
        next += interval;
    }
}
