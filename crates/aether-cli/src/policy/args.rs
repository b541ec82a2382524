//! The command line of `aether policy`.

use std::path::PathBuf;

use aether_provisioning::policy::{AccountId, ClientIdPrefix, CloudAccount, Encodings, KeyOrigins, Partition, Region};
use aether_provisioning::{TemplateName, ThingName};
use clap::{Args, Subcommand, ValueEnum};

#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Prints the policy of a claim certificate: connect as a claim, provision by one template.
    #[command(after_help = "\
Examples:
  aether policy claim --region eu-west-1 --account 123456789012 --template Aether > claim.json
  aether policy claim --region eu-west-1 --account 123456789012 --template Aether --csr
  aws iot create-policy --policy-name aether-claim --policy-document file://claim.json

Every topic is written in full. If that makes more than the 2048 characters AWS takes (white space
not counted), a wildcard stands for what lies below an operation's topic, and the log says so.")]
    Claim(ClaimOptions),
    /// Prints the policy of a device certificate: connect as its Thing, publish on the Thing's topic.
    #[command(after_help = "\
Examples:
  aether policy device --region eu-west-1 --account 123456789012 > device.json
  aether policy device --region eu-west-1 --account 123456789012 --rotation-template rotate --csr

The certificate has to be attached to its Thing, as a provisioning template does it, and the client
id has to be the Thing's name.")]
    Device(DeviceOptions),
    /// Tells what a policy lacks for provisioning or for a device, and what it grants beyond the need.
    #[command(after_help = "\
Examples:
  aether policy check claim.json --for claim --region eu-west-1 --account 123456789012 --template Aether
  aether policy check device.json --for device --region eu-west-1 --account 123456789012 --json
  aws iot get-policy --policy-name aether-claim --query policyDocument --output text |
      aether policy check - --for claim --region eu-west-1 --account 123456789012 --template Aether --csr

Exit code 0 if nothing is lacking, 2 if something is, or if AWS would not take the policy. What is
granted beyond the need is told and changes nothing about that.")]
    Check(CheckOptions),
}

#[derive(Debug, Args)]
pub(crate) struct ClaimOptions {
    #[command(flatten)]
    pub(crate) place: Place,
    /// The provisioning template.
    #[arg(long, value_name = "NAME")]
    pub(crate) template: TemplateName,
    #[command(flatten)]
    pub(crate) messages: Messages,
    /// What the client ids of claim sessions begin with.
    #[arg(long = "client-id-prefix", value_name = "PREFIX", default_value_t)]
    pub(crate) client_ids: ClientIdPrefix,
}

#[derive(Debug, Args)]
pub(crate) struct DeviceOptions {
    #[command(flatten)]
    pub(crate) place: Place,
    /// Taken so that both commands take the same arguments: the policy of a device names no template
    /// but that of --rotation-template.
    #[arg(long, value_name = "NAME")]
    pub(crate) template: Option<TemplateName>,
    /// Lets the device also ask for its next certificate, by this template; --csr and --cbor are about that.
    #[arg(long, value_name = "NAME")]
    pub(crate) rotation_template: Option<TemplateName>,
    #[command(flatten)]
    pub(crate) messages: Messages,
}

#[derive(Debug, Args)]
pub(crate) struct CheckOptions {
    /// The policy in JSON; - is standard input.
    pub(crate) file: PathBuf,
    /// Whose policy it is.
    #[arg(long = "for", value_name = "ROLE")]
    pub(crate) role: Role,
    #[command(flatten)]
    pub(crate) place: Place,
    /// The provisioning template; needed with --for claim.
    #[arg(long, value_name = "NAME", required_if_eq("role", "claim"))]
    pub(crate) template: Option<TemplateName>,
    /// The template by which the device asks for its next certificate itself, if it does; with --for device.
    #[arg(long, value_name = "NAME")]
    pub(crate) rotation_template: Option<TemplateName>,
    #[command(flatten)]
    pub(crate) messages: Messages,
    /// The Thing that variables stand for; with --for device.
    #[arg(long, value_name = "NAME", default_value = "sample-thing")]
    pub(crate) thing: ThingName,
    /// What the client ids of claim sessions begin with; with --for claim.
    #[arg(long = "client-id-prefix", value_name = "PREFIX", default_value_t)]
    pub(crate) client_ids: ClientIdPrefix,
    /// Print one JSON object instead of text.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Where the resources are.
#[derive(Debug, Args)]
pub(crate) struct Place {
    /// The AWS Region, such as eu-west-1.
    #[arg(long)]
    region: Region,
    /// The AWS account, 12 digits.
    #[arg(long)]
    account: AccountId,
    /// The partition: aws, aws-cn or aws-us-gov; without it, the one the Region's name tells.
    #[arg(long)]
    partition: Option<Partition>,
}

/// Which requests are made, and in which encoding.
#[derive(Debug, Args)]
pub(crate) struct Messages {
    /// The device makes its key and sends a certificate signing request (CreateCertificateFromCsr);
    /// --csr=both: it may also have AWS make the key. Without it, only AWS does.
    #[arg(long, value_name = "WHICH", num_args = 0..=1, require_equals = true, default_missing_value = "only")]
    csr: Option<Share>,
    /// Messages are in CBOR; --cbor=both: in JSON or CBOR. Without it, in JSON.
    #[arg(long, value_name = "WHICH", num_args = 0..=1, require_equals = true, default_missing_value = "only")]
    cbor: Option<Share>,
}

/// Whether something comes in place of what is the default, or beside it.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Share {
    Only,
    Both,
}

/// Whose policy is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    /// A claim certificate's.
    Claim,
    /// A device certificate's.
    Device,
}

impl Place {
    pub(crate) fn account(&self) -> CloudAccount {
        let account = CloudAccount::new(self.region.clone(), self.account.clone());
        self.partition.map_or(account.clone(), |partition| account.partition(partition))
    }
}

impl Messages {
    pub(crate) fn key_origins(&self) -> KeyOrigins {
        match self.csr {
            None => KeyOrigins::Aws,
            Some(Share::Only) => KeyOrigins::Csr,
            Some(Share::Both) => KeyOrigins::Both,
        }
    }

    pub(crate) fn encodings(&self) -> Encodings {
        match self.cbor {
            None => Encodings::Json,
            Some(Share::Only) => Encodings::Cbor,
            Some(Share::Both) => Encodings::Both,
        }
    }
}
