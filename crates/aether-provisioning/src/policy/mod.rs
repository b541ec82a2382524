//! The AWS IoT policies that provisioning needs, and no more than it needs.
//!
//! ```text
//!  CloudAccount, template ─▶ ClaimPolicy ──┬─▶ document()  JSON for `aws iot create-policy`
//!  CloudAccount ───────────▶ DevicePolicy ─┴─▶ needs()     each request such a certificate makes
//! ```
//!
//! [`ClaimPolicy`] is for the claim certificate: it may connect as a claim, ask for a certificate and register a Thing
//! by one template. [`DevicePolicy`] is for what the template hands out: a device may connect as the Thing it is, and
//! publish on the topic named after that Thing.
//!
//! ```
//! use aether_provisioning::policy::{ClaimPolicy, CloudAccount, DevicePolicy};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let account = CloudAccount::new("eu-west-1".parse()?, "123456789012".parse()?);
//! let claim = ClaimPolicy::new(account.clone(), "aether-line".parse()?).document()?;
//! assert!(claim.as_str().contains("client/aether-claim-*"));
//!
//! let device = DevicePolicy::new(account).document()?;
//! assert!(device.as_str().contains("client/${iot:Connection.Thing.ThingName}"));
//! # Ok(())
//! # }
//! ```
//!
//! # Every topic in full
//!
//! Each topic is written out, unless the document would then be longer than the 2048 characters AWS takes. In that case
//! a wildcard stands first for `accepted` and `rejected`, and if that is not enough for what follows the operation's
//! name. Below these names lie no topics but those of the operation, so that nothing else is granted;
//! [`PolicyDocument::detail`] says which of these was needed.
//!
//! Sources: AWS IoT Developer Guide, "Provisioning devices that don't have device certificates using fleet
//! provisioning", "AWS IoT Core policies" and "Thing policy variables".

mod account;
mod claim;
mod device;
mod document;
mod topics;

pub use account::{AccountId, CloudAccount, InvalidCloudAccount, Partition, Region};
pub use claim::{ClaimPolicy, ClientIdPrefix, InvalidClientIdPrefix};
pub use device::DevicePolicy;
pub use document::{Detail, Need, PolicyDocument, PolicyTooLong};
pub use topics::{Encodings, KeyOrigins};
