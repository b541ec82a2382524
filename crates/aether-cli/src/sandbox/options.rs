//! What each command of `aether sandbox` takes.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::args::duration;

/// What every command takes.
#[derive(Clone, Debug, Args)]
pub(crate) struct DirOptions {
    /// Directory of the sandbox's state.
    #[arg(long, value_name = "DIR", env = "AETHER_SANDBOX_DIR")]
    pub(crate) dir: PathBuf,
    /// Print JSON instead of text.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct UpOptions {
    #[command(flatten)]
    pub(crate) common: DirOptions,
    /// Address and port for MQTT; port 0 takes a free one. [default: 127.0.0.1:8883]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<SocketAddr>,
    /// Address and port for HTTP (AWS's control plane and the page), or off. [default: 127.0.0.1:8080,
    /// or a free port where that is taken]
    #[arg(long, value_name = "ADDRESS|off")]
    pub(crate) control: Option<Control>,
    /// Name of the fleet provisioning template; without it the directory's own, at first Aether.
    #[arg(long, value_name = "NAME")]
    pub(crate) template: Option<String>,
    /// Region of the resource names; without it the directory's own, at first eu-west-1.
    #[arg(long, value_name = "REGION")]
    pub(crate) region: Option<String>,
    /// Account of the resource names; without it the directory's own, at first 123456789012.
    #[arg(long, value_name = "DIGITS")]
    pub(crate) account_id: Option<String>,
    /// A DNS name devices call the sandbox by besides localhost, such as their real endpoint.
    #[arg(long = "endpoint-name", value_name = "NAME")]
    pub(crate) endpoint_names: Vec<String>,
    /// Kind of key made for devices. [default: rsa-2048]
    #[arg(long, value_name = "KIND")]
    pub(crate) device_keys: Option<DeviceKeys>,
    /// How long device certificates live, such as 10m or 30d, for drills of rotation. [default: until 2049]
    #[arg(long, value_name = "DURATION", value_parser = long_duration)]
    pub(crate) certificate_life: Option<Duration>,
    /// Settings from a TOML file.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

/// Where the HTTP port is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Control {
    Off,
    At(SocketAddr),
}

impl FromStr for Control {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Self::Off),
            address => address
                .parse()
                .map(Self::At)
                .map_err(|_| "expected an address with a port such as 127.0.0.1:8080, or off".to_owned()),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum DeviceKeys {
    /// As AWS makes them.
    #[serde(rename = "rsa-2048")]
    #[value(name = "rsa-2048")]
    Rsa2048,
    /// Quicker to make, for tests.
    EcP256,
}

#[derive(Debug, Args)]
pub(crate) struct ListOptions {
    #[command(flatten)]
    pub(crate) common: DirOptions,
    /// Only those whose name has this in it.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub(crate) find: String,
}

#[derive(Debug, Args)]
pub(crate) struct CertificatesOptions {
    #[command(flatten)]
    pub(crate) common: DirOptions,
    /// Only those whose id, Thing, status or kind has this in it.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub(crate) find: String,
    /// Set the certificate to ACTIVE.
    #[arg(long, value_name = "ID", group = "set")]
    pub(crate) activate: Option<String>,
    /// Set the certificate to INACTIVE.
    #[arg(long, value_name = "ID", group = "set")]
    pub(crate) deactivate: Option<String>,
    /// Set the certificate to REVOKED.
    #[arg(long, value_name = "ID", group = "set")]
    pub(crate) revoke: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct PoliciesOptions {
    #[command(flatten)]
    pub(crate) common: DirOptions,
    /// The policy whose document to print.
    #[arg(value_name = "NAME")]
    pub(crate) name: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ExplainOptions {
    #[command(flatten)]
    pub(crate) common: DirOptions,
    /// The MQTT client id.
    #[arg(long, value_name = "ID")]
    pub(crate) client_id: String,
    /// What it asks to do: iot:Connect, iot:Publish, iot:RetainPublish, iot:Subscribe or iot:Receive.
    #[arg(long, value_name = "ACTION")]
    pub(crate) action: String,
    /// What it asks to do it on.
    #[arg(long, value_name = "RESOURCE")]
    pub(crate) resource: String,
    /// The certificate it would show, by its id or the beginning of it.
    #[arg(long, value_name = "ID")]
    pub(crate) certificate: Option<String>,
    /// The address it would connect from.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) source_ip: Option<IpAddr>,
}

#[derive(Debug, Args)]
pub(crate) struct DecisionsOptions {
    #[command(flatten)]
    pub(crate) common: DirOptions,
    /// Go on with each decision as it is made, until Ctrl-C.
    #[arg(long)]
    pub(crate) follow: bool,
    /// Only what was denied.
    #[arg(long)]
    pub(crate) denied: bool,
    /// How many of the latest to begin with; 1000 decisions and 1000 denials are kept in memory.
    #[arg(long, value_name = "COUNT", default_value_t = 50)]
    pub(crate) last: usize,
}

#[derive(Debug, Args)]
pub(crate) struct PublishOptions {
    #[command(flatten)]
    pub(crate) common: DirOptions,
    /// The topic to publish on, as the service: no policy is asked, and a reserved one ($aws/…) is taken as well.
    #[arg(value_name = "TOPIC")]
    pub(crate) topic: String,
    /// The payload; - reads it from standard input.
    #[arg(value_name = "PAYLOAD", allow_hyphen_values = true)]
    pub(crate) payload: String,
    /// Quality of service.
    #[arg(long, value_name = "0|1", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=1))]
    pub(crate) qos: u8,
    /// Keep it for those who subscribe later.
    #[arg(long)]
    pub(crate) retain: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SubscribeOptions {
    #[command(flatten)]
    pub(crate) common: DirOptions,
    /// The topics to see: + stands for one level, # at the end for all that follow.
    #[arg(value_name = "FILTER")]
    pub(crate) filter: String,
    /// End after so many messages.
    #[arg(long, value_name = "COUNT")]
    pub(crate) count: Option<u64>,
}

#[derive(Debug, Args)]
pub(crate) struct FaultsOptions {
    #[command(flatten)]
    pub(crate) common: DirOptions,
    /// The script to set; - reads it from standard input.
    #[arg(long, value_name = "FILE", conflicts_with = "clear")]
    pub(crate) set: Option<PathBuf>,
    /// No faults from now on.
    #[arg(long)]
    pub(crate) clear: bool,
}

#[derive(Debug, Args)]
pub(crate) struct AdvanceOptions {
    #[command(flatten)]
    pub(crate) common: DirOptions,
    /// How far, such as 90s, 61m, 2h or 400d.
    #[arg(value_name = "DURATION", value_parser = long_duration)]
    pub(crate) by: Duration,
}

#[derive(Debug, Args)]
pub(crate) struct ResetOptions {
    #[command(flatten)]
    pub(crate) common: DirOptions,
    /// Yes, forget them: without it nothing is done.
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RegisterCaOptions {
    #[command(flatten)]
    pub(crate) common: DirOptions,
    /// The CA's certificate in PEM.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

/// A duration that may be given in days, which certificates live by.
fn long_duration(text: &str) -> Result<Duration, String> {
    if let Some(days) = text.strip_suffix('d') {
        let expected = || format!("found {text:?}, expected a whole number of days such as 400d");
        let seconds = days.parse::<u64>().ok().and_then(|days| days.checked_mul(24 * 60 * 60));
        return seconds.map(Duration::from_secs).ok_or_else(expected);
    }
    duration(text).map_err(|cause| cause.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_a_duration_too() {
        assert_eq!(long_duration("2d").unwrap(), Duration::from_secs(172_800));
        assert_eq!(long_duration("61m").unwrap(), Duration::from_secs(3660));
        for wrong in ["d", "-1d", "1.5d", "", "18446744073709551615d"] {
            assert!(long_duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_http_port_is_an_address_or_off() {
        assert_eq!("off".parse(), Ok(Control::Off));
        assert_eq!("127.0.0.1:0".parse(), Ok(Control::At(([127, 0, 0, 1], 0).into())));
        assert!("8080".parse::<Control>().is_err());
    }
}
