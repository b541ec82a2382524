//! The control plane: AWS IoT's REST-JSON operations over plain HTTP.
//!
//! ```text
//!  aws iot …, boto3 ─┐             ┌─▶ router (one table of operations) ─▶ Account::change / read
//!                    ├─▶ guard ────┤
//!  the web page ─────┘  who asks   └─▶ the sandbox's own API and its page (`admin`)
//! ```
//!
//! Methods, paths and members are those of the API Reference of AWS IoT and of the IoT data plane.
//! Every operation is one row in the table of its family's file and one function beside it, which
//! runs where blocking is allowed. What an operation does to the account is the account's affair.
//!
//! There is no IAM here: a request has to carry a signature of AWS's form, so that no web page can
//! make one by accident, but any credentials will do.

mod attachments;
mod authorization;
mod billing_groups;
mod ca_certificates;
mod call;
mod certificates;
mod claims;
mod data;
mod dispatch;
mod endpoint;
mod error;
#[cfg(feature = "__fuzz")]
pub(crate) mod fuzz;
mod guard;
mod memberships;
mod paging;
mod percent;
mod policies;
mod quoted;
mod register_thing;
mod registrations;
mod route;
mod server;
mod tags;
mod templates;
mod thing_groups;
mod thing_types;
mod things;

use std::sync::Arc;

use axum::Router;

pub(crate) use self::guard::Names;
pub(crate) use self::server::serve;
use crate::KeyKind;
use crate::account::Account;
use crate::broker::Broker;
use crate::pki::Authority;

/// Longest request body.
pub(crate) const MAX_BODY: usize = 1024 * 1024;

/// What the operations work with.
#[derive(Debug)]
pub(crate) struct Control {
    pub(crate) broker: Arc<Broker>,
    pub(crate) device_ca: Arc<Authority>,
    pub(crate) key_kind: KeyKind,
    /// Host name or address devices reach the broker under, without a port, as AWS gives it.
    pub(crate) endpoint: String,
    /// Names the port may be called by, besides `localhost` and addresses.
    pub(crate) names: Names,
}

impl Control {
    pub(crate) fn account(&self) -> &Account {
        &self.broker.account
    }
}

/// Everything the port answers.
///
/// The sandbox's `own` API and page come under the guard as well; what they do not take is an operation
/// of AWS, or unknown.
pub(crate) fn router(control: &Arc<Control>, own: Router) -> Router {
    let operations = Router::new().fallback(dispatch::operation).with_state(Arc::clone(control)).merge(own);
    let guard = axum::middleware::from_fn_with_state(Arc::clone(control), guard::check);
    operations.layer(axum::extract::DefaultBodyLimit::max(MAX_BODY)).layer(guard)
}
