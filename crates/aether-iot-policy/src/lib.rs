//! AWS IoT Core policies: documents read strictly, requests decided and explained.
//!
//! ```text
//!  JSON ──▶ Document ──▶ Policy ─┐
//!                                ├──▶ evaluate() ──▶ Decision      cheap, on every message
//!  Context, Action, Resource ────┤
//!            └──▶ Request ───────┴──▶ explain() ───▶ Explanation   every statement, part by part
//! ```
//!
//! Depend on it to decide what a device with an AWS IoT policy may do, or to test policies without an
//! account; on `aether-sandbox` for a broker that enforces them.
//!
//! It opens no file or socket, reads no clock and stores no policy. It evaluates policies of IoT, not
//! of IAM: there is no `Principal`, and roles, sessions and service control policies do not exist.
//!
//! # Example
//!
//! ```
//! use aether_iot_policy::{Action, Arns, Attachment, Context, Document, Policy, Request, Thing, evaluate, explain};
//!
//! let document = Document::parse(r#"{
//!     "Version": "2012-10-17",
//!     "Statement": [
//!         { "Effect": "Allow", "Action": "iot:Connect",
//!           "Resource": "arn:aws:iot:eu-west-1:123456789012:client/${iot:Connection.Thing.ThingName}",
//!           "Condition": { "Bool": { "iot:Connection.Thing.IsAttached": "true" } } },
//!         { "Effect": "Allow", "Action": "iot:Publish",
//!           "Resource": "arn:aws:iot:eu-west-1:123456789012:topic/${iot:Connection.Thing.ThingName}" }
//!     ]
//! }"#)?;
//! let policies = [Policy::new("device", document)];
//!
//! let arns = Arns::new("eu-west-1", "123456789012")?;
//! let press = Context::new()
//!     .with_client_id("line7-press3")
//!     .with_thing(Thing::new("line7-press3"), Attachment::Shared);
//!
//! let own = arns.topic("line7-press3");
//! assert!(evaluate(&policies, &Request::new(Action::Publish, &own, &press)).is_allowed());
//!
//! let other = arns.topic("line7-press4");
//! let request = Request::new(Action::Publish, &other, &press);
//! assert!(!evaluate(&policies, &request).is_allowed());
//! println!("{}", explain(&policies, &request));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What a document may hold
//!
//! `Version` `2012-10-17`, an optional `Id`, and one statement or a list of them: `Effect`, `Action` or
//! `NotAction`, `Resource` or `NotResource`, and optionally `Sid` and `Condition`. Any other member, and
//! any member given twice, is an error. Actions of other services (`greengrass:Discover`) are read and
//! match nothing here.
//!
//! # How patterns compare
//!
//! - Actions compare without case, resources with case; `*` and `?` are wildcards in both, and `*`
//!   takes `/` along. A pattern covers a whole name.
//! - MQTT's `+` and `#` are characters like any other. A subscription filter is compared as text, so a
//!   client that may call itself `+` turns `topicfilter/x/${iot:ClientId}/y` into a filter with a
//!   wildcard, here as on AWS: restrict `iot:Connect` too.
//! - What a variable stands for is plain text: a client id of `*` covers only `*`. `${*}`, `${?}` and
//!   `${$}` are the characters themselves.
//! - A variable without value leaves its pattern matching nothing. [`Unresolved`] names every reason.
//!
//! # How conditions compare
//!
//! As IAM documents it: every operator and key of a statement must hold, any of the values may match,
//! and for negated operators none may. A missing key fails a plain operator and satisfies a negated
//! one, `…IfExists` and `ForAllValues:`; it fails `ForAnyValue:`. Operators: `String…`, `Numeric…`,
//! `Date…`, `Bool`, `IpAddress`, `Arn…`, their negations, and `Null`.
//!
//! # Cost
//!
//! Documents are compiled when they are read. A decision then takes some tens of nanoseconds (a device
//! policy on a publish: 40 ns on one core of a small server, `cargo bench -p aether-iot-policy`) and no
//! memory, but for conditions on lists and on the time. No pattern takes more than the product of its
//! length and the text's. Memory is bounded by the document, which [`Document::check_size`] limits.
//!
//! # Choices where AWS is silent
//!
//! Nobody has confirmed these against AWS; each was chosen so that a policy which works here does
//! not lean on luck there.
//!
//! - `NotAction` and `NotResource` work as in IAM. A `NotResource` with an unresolved variable excludes
//!   nothing.
//! - `Version` `2008-10-17` and documents without `Version` are refused: variables do not exist in them.
//! - An empty value (an attribute set to nothing) is never filled in: it would widen the pattern around
//!   it. As a condition key it is compared as the empty text.
//! - Names of variables and keys compare without case, as in IAM; attribute names with case.
//! - A variable for a list (`.List`, `iot:Certificate.AvailableKeys`, `iot:ConnectAttributes`) is not
//!   filled into a text.
//! - Certificate values with `*`, `$`, `+`, `?`, `#` or more than 1024 characters are not filled in, but
//!   are compared as condition keys. In both uses `,` `"` `\` `+` `=` `<` `>` `;` get a backslash.
//! - `iot:Certificate.AvailableKeys` lists full variable names (`iot:Certificate.Subject.CommonName`,
//!   `….1`), and is not cut at five.
//! - `iot:Connection.Thing.IsAttached` is `false`, not missing, when Thing variables do not resolve.
//! - An unresolved variable in a condition's value matches nothing, so a negated operator holds.
//! - Without `ForAnyValue:` or `ForAllValues:` a list behaves as any of its values, negated as none.
//! - `iot:ConnectAttributes` and `iot:LastWillTopic` have values during `iot:Connect` only; a CONNECT with
//!   neither persistent session nor Will has no `iot:ConnectAttributes` at all.
//! - `ArnEquals` and `ArnLike` are the same, as in IAM: six parts, wildcards within each part.
//! - Condition values that can never be read (a `NumericEquals` of `"x"`) make the document invalid.

mod action;
mod arn;
mod condition;
mod context;
mod document;
mod error;
mod evaluate;
mod explain;
mod json;
mod pattern;
mod reader;
mod request;
mod time;
mod variable;

pub use action::{Action, UnknownAction};
pub use arn::{Arns, InvalidArns, InvalidResource, Resource};
pub use context::{Attachment, Certificate, Context, Thing, Unresolved};
pub use document::{Document, Effect, Policy};
pub use error::{DocumentError, DocumentTooLong};
pub use evaluate::{Decision, DecisionKind, StatementRef, evaluate};
pub use explain::{ExplainedCondition, ExplainedElement, ExplainedStatement, ExplainedValue, Explanation, explain};
pub use request::Request;
pub use variable::{AlternativeName, NameAttribute};
