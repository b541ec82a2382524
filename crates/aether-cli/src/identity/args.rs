//! The command line of `aether identity`.

use std::path::PathBuf;

use aether_nexus::ExportFormat;
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum IdentityCommand {
    /// Shows the identity in use, the one before and the one being made, and what of them is damaged.
    #[command(after_help = "\
Examples:
  aether identity show --config aether.toml
  aether identity show --config aether.toml --json | jq -r .active.certificate_id

Reads the state directory and changes nothing; the device may run meanwhile. Keys are not shown, only where they are.")]
    Show(ShowOptions),
    /// Writes the identity in use for another program: the AWS IoT Device Client, or Mosquitto as a bridge.
    #[command(after_help = "\
Examples:
  aether identity export --config aether.toml --format mosquitto > /etc/mosquitto/conf.d/aether.conf
  aether identity export --config aether.toml --format mosquitto --out /etc/mosquitto/aether
  aether identity export --config aether.toml --format device-client --out ~/.aws-iot-device-client

Without --out the configuration is printed; it names the files of the state directory, and no key is copied. With it,
configuration, certificate and private key are written there: the key with mode 0600, made directories with
0700 (0745 for the folder of the Device Client, which asks for that).
The AWS IoT Device Client takes a certificate of mode 0644 only and the state directory keeps it closer, so that this
client needs --out.

Only one program at a time can be connected as the Thing: stop `aether run` first. After a rotation export again.")]
    Export(ExportOptions),
}

#[derive(Debug, clap::Args)]
pub(crate) struct ShowOptions {
    /// The configuration file of the device.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Print one JSON object instead of text.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ExportOptions {
    /// The configuration file of the device.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// For which program: device-client or mosquitto.
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: ExportFormat,
    /// Directory for configuration, certificate and private key; without it, the configuration is printed.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// With --out: print the paths as one JSON object instead of text.
    #[arg(long, requires = "out")]
    pub(crate) json: bool,
}
