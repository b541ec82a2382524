//! Debian's Mosquitto as the broker to compare with, under the same TLS settings.
//!
//! Mutual TLS with P-256 keys, a CA made for the run, the sandbox's limits on what is in flight and
//! what is queued. It checks certificates but no policies: there is no access list.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use crate::client::{Identity, Trust};

/// Longest wait for it to listen.
const PATIENCE: Duration = Duration::from_secs(20);
/// Where Debian puts it; not in every user's path.
const PROGRAM: &str = "/usr/sbin/mosquitto";

/// A Mosquitto that runs in a process of its own.
#[derive(Debug)]
pub(crate) struct Mosquitto {
    child: Child,
    pub(crate) pid: u32,
    pub(crate) address: SocketAddr,
    pub(crate) version: String,
    ca: Issuer<'static, KeyPair>,
    trust: Trust,
    /// Removed when this goes.
    dir: TempDir,
}

impl Mosquitto {
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "load CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = params.self_signed(&key)?;
        let ca = Issuer::new(params, key);
        let (certificate, key) = server(&ca)?;
        for (name, text) in [("ca.pem", &root.pem()), ("server.pem", &certificate), ("server.key", &key)] {
            std::fs::write(dir.path().join(name), text)?;
        }
        // Taken and given back: the port is free for the moment it takes Mosquitto to start.
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let config = dir.path().join("mosquitto.conf");
        std::fs::write(&config, configuration(dir.path(), address))?;
        let child = Command::new(PROGRAM)
            .arg("-c")
            .arg(&config)
            .stdin(Stdio::null())
            .stderr(std::fs::File::create(dir.path().join("log"))?)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("could not start {PROGRAM}; Debian's package is called mosquitto"))?;
        let pid = child.id().context("mosquitto is gone")?;
        let trust = Trust::new(root.pem().as_bytes())?;
        let mut started = Self { child, pid, address, version: version().await?, ca, trust, dir };
        started.listening().await?;
        Ok(started)
    }

    /// An identity its CA has signed.
    pub(crate) fn identity(&self, common_name: &str) -> anyhow::Result<Identity> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&key, &self.ca)?;
        self.trust.identity(certificate.pem().as_bytes(), key.serialize_pem().as_bytes())
    }

    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }

    async fn listening(&mut self) -> anyhow::Result<()> {
        let begun = Instant::now();
        while TcpStream::connect(self.address).await.is_err() {
            if let Some(status) = self.child.try_wait()? {
                let log = std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
                bail!("mosquitto ended with {status}: {log}");
            }
            if begun.elapsed() > PATIENCE {
                bail!("mosquitto does not listen on {}", self.address);
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }
}

fn server(ca: &Issuer<'_, KeyPair>) -> anyhow::Result<(String, String)> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![SanType::DnsName("localhost".try_into()?)];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    Ok((params.signed_by(&key, ca)?.pem(), key.serialize_pem()))
}

/// `user root` keeps it from giving up the right to read its own files when root starts it.
fn configuration(dir: &Path, address: SocketAddr) -> String {
    let dir = dir.display();
    format!(
        "listener {port} 127.0.0.1\n\
         cafile {dir}/ca.pem\n\
         certfile {dir}/server.pem\n\
         keyfile {dir}/server.key\n\
         require_certificate true\n\
         allow_anonymous true\n\
         user root\n\
         persistence false\n\
         log_dest stderr\n\
         log_type error\n\
         set_tcp_nodelay true\n\
         max_inflight_messages 100\n\
         max_queued_messages 1000\n",
        port = address.port()
    )
}

async fn version() -> anyhow::Result<String> {
    let said = Command::new(PROGRAM).arg("-h").output().await?;
    let text = String::from_utf8_lossy(&said.stdout);
    Ok(text.lines().next().unwrap_or("mosquitto").to_owned())
}
