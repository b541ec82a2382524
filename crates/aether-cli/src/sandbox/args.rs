//! The commands of `aether sandbox`.

use clap::Subcommand;

use super::options::{
    AdvanceOptions, CertificatesOptions, DecisionsOptions, DirOptions, ExplainOptions, FaultsOptions, ListOptions,
    PoliciesOptions, PublishOptions, RegisterCaOptions, ResetOptions, SubscribeOptions, UpOptions,
};

#[derive(Debug, Subcommand)]
pub(crate) enum SandboxCommand {
    /// Runs a sandbox until SIGTERM or Ctrl-C.
    #[command(after_help = "\
Examples:
  aether sandbox up --dir sandbox
  aether sandbox up --dir sandbox --listen 127.0.0.1:0 --control off
  aether sandbox up --dir sandbox --config sandbox.toml

What is given here wins over the file. Region, account id and template name are fixed when the
directory is first used.")]
    Up(UpOptions),
    /// Shows the running sandbox: addresses, clock, how much there is, and the link to its page.
    #[command(after_help = "\
Examples:
  aether sandbox status --dir sandbox
  aether sandbox status --dir sandbox --json | jq .counts")]
    Status(DirOptions),
    /// Lists Things.
    #[command(after_help = "\
Examples:
  aether sandbox things --dir sandbox
  aether sandbox things --dir sandbox --find press --json")]
    Things(ListOptions),
    /// Lists certificates with their states, or sets the state of one.
    #[command(after_help = "\
Examples:
  aether sandbox certificates --dir sandbox
  aether sandbox certificates --dir sandbox --find PENDING_ACTIVATION
  aether sandbox certificates --dir sandbox --deactivate 5f0c2a

A certificate is named by its id or by the beginning of it. Live connections made with a
certificate that is no longer active are cut.")]
    Certificates(CertificatesOptions),
    /// Lists policies with what they are attached to, or prints the document of one.
    #[command(after_help = "\
Examples:
  aether sandbox policies --dir sandbox
  aether sandbox policies --dir sandbox aether-device")]
    Policies(PoliciesOptions),
    /// Lists sessions: who is connected, and what waits for whom.
    #[command(after_help = "\
Example:
  aether sandbox sessions --dir sandbox")]
    Sessions(ListOptions),
    /// Tells why a client may do something or not, statement by statement.
    #[command(after_help = "\
Examples:
  aether sandbox explain --dir sandbox --client-id press-3 --action iot:Publish --resource press-3
  aether sandbox explain --dir sandbox --client-id press-3 --action iot:Connect --resource press-3 \\
      --certificate 5f0c2a…

The resource is a client id, a topic, a filter, or a whole resource name (arn:…). The client need not
be connected: without --certificate it is asked for the one it is connected with, or else for one of
the Thing with its name. Exit code 0 whether it is allowed or denied.")]
    Explain(ExplainOptions),
    /// Prints the decision log: who asked for what, and which statement or rule decided.
    #[command(after_help = "\
Examples:
  aether sandbox decisions --dir sandbox --denied
  aether sandbox decisions --dir sandbox --follow --json")]
    Decisions(DecisionsOptions),
    /// Publishes a message as the service does: no policy is asked.
    #[command(after_help = "\
Examples:
  aether sandbox publish --dir sandbox press-3/commands '{\"speed\": 4}' --qos 1
  aether sandbox publish --dir sandbox press-3/firmware - < image.bin")]
    Publish(PublishOptions),
    /// Prints messages as they are published, one a line, until Ctrl-C.
    #[command(after_help = "\
Examples:
  aether sandbox subscribe --dir sandbox '#'
  aether sandbox subscribe --dir sandbox '$aws/events/#' --json
  aether sandbox subscribe --dir sandbox 'press-3/+' --count 1

The filter # takes in every topic but those that begin with $, as with every MQTT broker.")]
    Subscribe(SubscribeOptions),
    /// Shows or sets what goes wrong on purpose: a script of rules in JSON.
    #[command(after_help = "\
Examples:
  aether sandbox faults --dir sandbox
  aether sandbox faults --dir sandbox --set faults.json
  echo '[{\"step\":\"puback\",\"every\":3,\"action\":\"drop\"}]' | aether sandbox faults --dir sandbox --set -
  aether sandbox faults --dir sandbox --clear")]
    Faults(FaultsOptions),
    /// Moves the sandbox's clock forward: tokens, certificates and sessions age at once.
    #[command(after_help = "\
Examples:
  aether sandbox advance --dir sandbox 61m
  aether sandbox advance --dir sandbox 400d

Time never goes back; at the next start it is the system's again.")]
    Advance(AdvanceOptions),
    /// Forgets what devices have left behind: Things, their certificates, sessions, retained messages.
    #[command(after_help = "\
Example:
  aether sandbox reset --dir sandbox --yes

Policies, templates, CAs, the claim, the observer and the decision log stay. It works with a
running sandbox and without one.")]
    Reset(ResetOptions),
    /// Admits a customer CA: certificates under it work as claim certificates from then on.
    #[command(after_help = "\
Example:
  aether sandbox register-ca --dir sandbox customer-ca.pem

A sandbox that runs on the directory takes notice without a restart.")]
    RegisterCa(RegisterCaOptions),
}
