//! `aether sandbox up`: runs one, and says what to paste elsewhere.

use std::io::IsTerminal as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use aether_sandbox::{KeyKind, Sandbox, SandboxBuilder, StartError};

use super::client::Client;
use super::config::{Config, Hook};
use super::options::{Control, DeviceKeys, UpOptions};
use crate::failure::Failure;
use crate::output::Printer;
use crate::signals;

/// Where devices connect unless somebody says otherwise: the port of AWS.
const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8883);
/// Where the HTTP port is unless somebody says otherwise.
const CONTROL: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);

pub(crate) async fn up(options: UpOptions) -> Result<(), Failure> {
    let config = Config::of(&options)?;
    let printer = Printer::new(options.common.json);
    let end_asked = signals::end_asked().map_err(Failure::running)?;
    let sandbox = start(&options.common.dir, &config).await?;
    printer.stage("sandbox-listening", Some(&sandbox.local_addr().to_string()));
    if let Some(url) = sandbox.control_url() {
        printer.stage("control-listening", Some(&url));
    }
    say_what_to_paste(&printer, &sandbox);
    end_asked.await;
    sandbox.shutdown().await;
    Ok(())
}

async fn start(dir: &Path, config: &Config) -> Result<Sandbox, Failure> {
    let builder = builder(dir, config)?;
    match config.control {
        Some(Control::Off) => Ok(builder.start().await?),
        Some(Control::At(address)) => Ok(builder.control(address).start().await?),
        // Nobody asked for this port, so another one will do where it is taken.
        None => match builder.clone().control(CONTROL).start().await {
            Err(StartError::Control { .. }) => Ok(builder.control((Ipv4Addr::LOCALHOST, 0).into()).start().await?),
            other => Ok(other?),
        },
    }
}

fn builder(dir: &Path, config: &Config) -> Result<SandboxBuilder, Failure> {
    let mut builder = Sandbox::builder().dir(dir).listen(config.listen.unwrap_or(LISTEN));
    if let Some(name) = &config.template {
        builder = builder.template_name(name);
    }
    if let Some(region) = &config.region {
        builder = builder.region(region);
    }
    if let Some(account_id) = &config.account_id {
        builder = builder.account_id(account_id);
    }
    if let Some(limits) = &config.limits {
        builder = builder.limits(limits.clone());
    }
    for name in &config.endpoint_names {
        builder = builder.endpoint_name(name);
    }
    for name in &config.control_names {
        builder = builder.control_name(name);
    }
    if let Some(rule) = config.alpn {
        builder = builder.alpn(rule.into());
    }
    if let Some(rule) = config.sni {
        builder = builder.sni(rule.into());
    }
    if let Some(Hook(hook)) = &config.hook.template {
        builder = builder.template_hook(hook.clone());
    }
    for (target, Hook(hook)) in &config.hook.targets {
        builder = builder.hook(target, hook.clone());
    }
    if let Some(limit) = config.hook.time_limit() {
        builder = builder.hook_time_limit(limit);
    }
    if let Some(file) = &config.faults {
        let read = std::fs::read_to_string(file);
        builder = builder
            .faults(read.map_err(|e| Failure::settings_in(format!("setting `faults`: {}", file.display()), &e))?);
    }
    if let Some(life) = config.certificate_life_s {
        builder = builder.certificate_life(std::time::Duration::from_secs(life));
    }
    match config.device_keys {
        Some(DeviceKeys::EcP256) => builder = builder.device_keys(KeyKind::EcP256),
        Some(DeviceKeys::Rsa2048) => builder = builder.device_keys(KeyKind::Rsa2048),
        None => {}
    }
    Ok(builder.control_exposed(config.control_exposed))
}

fn say_what_to_paste(printer: &Printer, sandbox: &Sandbox) {
    let files = sandbox.files();
    printer.note(&format!("  root certificate   {}", files.ca().display()));
    printer.note(&format!("  claim              {} and {}", files.claim_cert().display(), files.claim_key().display()));
    let observer = (files.observer_cert().display(), files.observer_key().display());
    printer.note(&format!("  observer           {} and {}", observer.0, observer.1));
    printer.note(&format!("  template           {}", sandbox.template_name()));
    printer.note("\n  everything that is published:");
    let (ca, port) = (files.ca().display(), sandbox.local_addr().port());
    printer.note(&format!("    mosquitto_sub -h localhost -p {port} --cafile {ca} \\"));
    printer.note(&format!("      --cert {} --key {} -q 1 -v -t '#'", observer.0, observer.1));
    let Some(url) = sandbox.control_url() else { return };
    printer.note("  aws iot … and boto3 (any credentials will do):");
    printer.note(&format!("    export AWS_ENDPOINT_URL_IOT={url} AWS_ENDPOINT_URL_IOT_DATA_PLANE={url}"));
    printer.note(&format!(
        "    export AWS_ACCESS_KEY_ID=any AWS_SECRET_ACCESS_KEY=any AWS_DEFAULT_REGION={}",
        sandbox.region()
    ));
    printer.note("  the page:");
    // Output that is kept somewhere is no place for the token.
    match (std::io::stdout().is_terminal(), Client::find(files.dir())) {
        (true, Ok(Some(client))) => printer.note(&format!("    {}", client.page())),
        (_, _) => printer.note(&format!("    aether sandbox status --dir {} prints its link", files.dir().display())),
    }
}
