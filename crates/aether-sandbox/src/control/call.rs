//! One request, as an operation sees it.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use axum::http::HeaderMap;
use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::Control;
use super::error::{ApiError, Exception};
use crate::CertificateId;
use crate::account::{Account, GroupName, Millis, PolicyTarget, Tables, Tx};

/// The parts of a request an operation may ask for, each by AWS's name for it.
pub(super) struct Call<'a> {
    pub(super) control: &'a Control,
    pub(super) path: BTreeMap<&'static str, String>,
    pub(super) query: Vec<(String, String)>,
    pub(super) headers: &'a HeaderMap,
    pub(super) body: Bytes,
    /// Set by an operation that only reads, going by its name, when it has changed something all the same.
    pub(super) has_changed: Cell<bool>,
}

/// A tag in a request.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Tag {
    key: String,
    #[serde(default)]
    value: String,
}

/// Tags by their keys.
pub(super) fn tags(list: Vec<Tag>) -> BTreeMap<String, String> {
    list.into_iter().map(|tag| (tag.key, tag.value)).collect()
}

impl Call<'_> {
    pub(super) fn account(&self) -> &Account {
        self.control.account()
    }

    pub(super) fn read(&self) -> std::sync::Arc<Tables> {
        self.account().read()
    }

    pub(super) fn now(&self) -> Millis {
        self.account().clock().now().into()
    }

    /// Makes a transaction.
    pub(super) fn change<T>(
        &self,
        make: impl FnOnce(&mut Tx<'_>) -> Result<T, crate::account::AccountError>,
    ) -> Result<T, ApiError> {
        Ok(self.account().change(make)?)
    }

    /// As [`change`](Self::change), for what takes something away: that it is not there is no error.
    pub(super) fn take_away(
        &self,
        take: impl FnOnce(&mut Tx<'_>) -> Result<(), crate::account::AccountError>,
    ) -> Result<Value, ApiError> {
        match self.change(take) {
            Err(refused) if refused.exception != Exception::ResourceNotFound => Err(refused),
            Ok(()) | Err(_) => Ok(json!({})),
        }
    }

    /// A value of the path.
    pub(super) fn path<T: FromStr<Err: fmt::Display>>(&self, name: &'static str) -> Result<T, ApiError> {
        parsed(name, self.path.get(name).map_or("", String::as_str))
    }

    /// A value of the query; the last one counts.
    pub(super) fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A value of the query, parsed.
    pub(super) fn parameter<T: FromStr<Err: fmt::Display>>(&self, name: &'static str) -> Result<Option<T>, ApiError> {
        self.query(name).map(|text| parsed(name, text)).transpose()
    }

    /// A truth value of the query; false when it is not there.
    pub(super) fn flag(&self, name: &'static str) -> Result<bool, ApiError> {
        Ok(self.parameter(name)?.unwrap_or_default())
    }

    /// A header that has to be there.
    pub(super) fn header(&self, name: &'static str) -> Result<&str, ApiError> {
        let value = self.headers.get(name).and_then(|value| value.to_str().ok());
        value.ok_or_else(|| ApiError::invalid(format_args!("header {name} is missing, expected a text")))
    }

    /// The body as JSON; an empty one counts as an object without members.
    pub(super) fn body<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        let text = if self.body.is_empty() { b"{}" } else { &*self.body };
        serde_json::from_slice(text).map_err(|cause| ApiError::invalid(format_args!("request body: {cause}")))
    }

    /// The resource name of something in this account.
    pub(super) fn arn(&self, kind: &str, name: impl fmt::Display) -> String {
        self.account().place().arn(format_args!("{kind}/{name}"))
    }

    /// The part of a resource name of this account after `kind/`.
    pub(super) fn in_arn<'t>(&self, kind: &str, arn: &'t str) -> Option<&'t str> {
        let prefix = self.arn(kind, "");
        arn.strip_prefix(&prefix)
    }

    /// Something a request gives by its name or by its resource name.
    pub(super) fn name_or_arn<T: FromStr<Err: fmt::Display>>(
        &self,
        kind: &str,
        member: &str,
        name: Option<String>,
        arn: Option<String>,
    ) -> Result<T, ApiError> {
        match (name, arn) {
            (Some(name), None) => parsed(member, &name),
            (None, Some(arn)) => {
                let name = self.in_arn(kind, &arn).ok_or_else(|| {
                    let expected = self.arn(kind, "<name>");
                    ApiError::invalid(format_args!("{kind} is {arn:?}, expected {expected}"))
                })?;
                parsed(member, name)
            }
            (Some(_), Some(_)) | (None, None) => {
                Err(ApiError::invalid(format_args!("expected one of {member} and its ARN")))
            }
        }
    }

    /// The certificate a principal stands for.
    pub(super) fn principal(&self, text: &str) -> Result<CertificateId, ApiError> {
        match self.in_arn("cert", text) {
            Some(id) => parsed("principal", id),
            None => Err(ApiError::invalid(format_args!(
                "principal is {text:?}, expected the ARN of a certificate, {}",
                self.arn("cert", "<certificate id>")
            ))),
        }
    }

    /// What a policy is attached to: a certificate or a Thing group.
    pub(super) fn target(&self, text: &str) -> Result<PolicyTarget, ApiError> {
        match self.in_arn("thinggroup", text) {
            Some(name) => Ok(PolicyTarget::Group(parsed::<GroupName>("target", name)?)),
            None if self.in_arn("cert", text).is_some() => Ok(PolicyTarget::Certificate(self.principal(text)?)),
            None => Err(ApiError::invalid(format_args!(
                "target is {text:?}, expected the ARN of a certificate or a Thing group, {} or {}",
                self.arn("cert", "<certificate id>"),
                self.arn("thinggroup", "<name>")
            ))),
        }
    }
}

fn parsed<T: FromStr<Err: fmt::Display>>(name: &str, text: &str) -> Result<T, ApiError> {
    text.parse().map_err(|cause| ApiError::invalid(format_args!("{name}: {cause}")))
}
