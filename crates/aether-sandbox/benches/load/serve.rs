//! The sandbox in a process of its own: this program started a second time.
//!
//! It says its address on its output and stops when its input ends, so it never outlives the load.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use aether_sandbox::{KeyKind, Limits, Sandbox};
use anyhow::{Context as _, bail};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::args::Args;
use crate::client::{Identity, Trust};
use crate::report::Output;

/// Longest wait for a sandbox to start or stop.
const PATIENCE: Duration = Duration::from_secs(60);

/// `load serve DIR`: runs a sandbox until the input ends.
pub(crate) async fn run(args: &Args) -> anyhow::Result<()> {
    let dir = args.operand().context("serve needs a directory")?;
    let keys = match args.text("keys", "ec") {
        "ec" => KeyKind::EcP256,
        "rsa" => KeyKind::Rsa2048,
        other => bail!("--keys: expected ec or rsa, found `{other}`"),
    };
    let limits = match args.text("limits", "aws") {
        "aws" => Limits::default(),
        "unpaced" => Limits::unpaced(),
        other => bail!("--limits: expected aws or unpaced, found `{other}`"),
    };
    let builder =
        Sandbox::builder().dir(dir).listen(SocketAddr::from(([127, 0, 0, 1], 0))).device_keys(keys).limits(limits);
    let sandbox = builder.start().await?;
    Output::new(false).say(&format!("{}\n", sandbox.local_addr()));
    // The end of the input is the word to stop, whatever came before it.
    let _ = tokio::io::stdin().read_to_end(&mut Vec::new()).await;
    sandbox.shutdown().await;
    Ok(())
}

/// A sandbox that runs in a process of its own.
#[derive(Debug)]
pub(crate) struct Served {
    child: Child,
    pub(crate) pid: u32,
    pub(crate) address: SocketAddr,
    pub(crate) trust: Trust,
    /// May provision.
    pub(crate) claim: Identity,
    /// May subscribe to everything.
    pub(crate) observer: Identity,
    /// Removed when this goes.
    _dir: TempDir,
}

impl Served {
    /// Starts one on a fresh directory. `keys` is `ec` or `rsa`; `limits` is `aws` or `unpaced`, which
    /// is AWS's without those that count per second.
    pub(crate) async fn start(keys: &str, limits: &str) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let mut child = Command::new(std::env::current_exe()?)
            .arg("serve")
            .arg(dir.path())
            .args(["--keys", keys, "--limits", limits])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("could not start the sandbox")?;
        let pid = child.id().context("the sandbox is gone")?;
        let output = child.stdout.take().context("the sandbox has no output")?;
        let mut line = String::new();
        let mut output = BufReader::new(output);
        let said = timeout(PATIENCE, output.read_line(&mut line));
        said.await.context("the sandbox did not start in time")??;
        let address = line.trim().parse().context("the sandbox did not start")?;
        let read = |name: &str| std::fs::read(Path::new(dir.path()).join(name)).with_context(|| name.to_owned());
        let trust = Trust::new(&read("ca.pem")?)?;
        let claim = trust.identity(&read("claim.pem")?, &read("claim.key")?)?;
        let observer = trust.identity(&read("observer.pem")?, &read("observer.key")?)?;
        Ok(Self { child, pid, address, trust, claim, observer, _dir: dir })
    }

    /// Stops it and waits for it. One that has died before, or fails now, is an error.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        drop(self.child.stdin.take());
        let status = timeout(PATIENCE, self.child.wait()).await.context("the sandbox did not stop in time")??;
        anyhow::ensure!(status.success(), "the sandbox ended with {status}");
        Ok(())
    }
}
