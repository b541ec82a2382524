//! From a variable to its value, or to the reason why it has none.

use std::borrow::Cow;
use std::fmt;

use super::certificate::CertificateValue;
use super::{Context, Thing};
use crate::variable::{Pick, Variable};
use crate::{Action, Request, time};

/// Why a policy variable has no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unresolved {
    /// No variable is called that.
    UnknownVariable,
    /// The request comes without a client id.
    NoClientId,
    /// The client's address is not known.
    NoSourceIp,
    /// The request was not told the time.
    NoTime,
    /// No Thing belongs to the connection.
    NoThing,
    /// The certificate is not attached to the Thing.
    NotAttached,
    /// The certificate is attached to the Thing, but the client id is not the Thing's name.
    OtherClientId,
    /// The Thing has no type.
    NoThingType,
    /// The Thing has no such attribute.
    NoThingAttribute,
    /// The connection has no client certificate, or nothing is known of it.
    NoCertificate,
    /// The certificate has no such field.
    NoSuchField,
    /// The certificate's field has fewer values, or the value lies beyond the fifth.
    NoSuchIndex,
    /// The certificate's value holds this character, which is never filled in.
    SpecialCharacter(char),
    /// The certificate's value has more than 1024 characters.
    TooLong,
    /// The variable stands for several values, and there is room for one.
    SeveralValues,
    /// The value is empty, which is never filled in.
    Empty,
    /// The key has a value during iot:Connect only.
    OnlyForConnect,
    /// The CONNECT carries no Will.
    NoLastWill,
}

impl fmt::Display for Unresolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownVariable => "no variable is called that",
            Self::NoClientId => "the request has no client id",
            Self::NoSourceIp => "the client's address is not known",
            Self::NoTime => "the time is not known",
            Self::NoThing => "no Thing belongs to the connection",
            Self::NotAttached => "the certificate is not attached to the Thing",
            Self::OtherClientId => "the client id is not the name of the attached Thing",
            Self::NoThingType => "the Thing has no type",
            Self::NoThingAttribute => "the Thing has no such attribute",
            Self::NoCertificate => "no client certificate is known",
            Self::NoSuchField => "the certificate has no such field",
            Self::NoSuchIndex => "the certificate's field has fewer values",
            Self::SpecialCharacter(found) => {
                return write!(f, "the certificate's value contains '{found}', which is never filled in");
            }
            Self::TooLong => "the certificate's value is longer than 1024 characters",
            Self::SeveralValues => "the variable stands for a list of values",
            Self::Empty => "the value is empty",
            Self::OnlyForConnect => "only iot:Connect has this value",
            Self::NoLastWill => "the CONNECT carries no Will",
        })
    }
}

/// The values of a condition key.
#[derive(Clone, Debug)]
pub(crate) enum Values<'a> {
    One(Cow<'a, str>),
    /// At least one.
    Several(Vec<&'a str>),
}

impl<'a> Values<'a> {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        let (one, several) = match self {
            Self::One(value) => (Some(&**value), &[][..]),
            Self::Several(values) => (None, values.as_slice()),
        };
        one.into_iter().chain(several.iter().copied())
    }

    fn borrowed(value: &'a str) -> Self {
        Self::One(Cow::Borrowed(value))
    }
}

impl Variable {
    /// The text filled in for the variable in a resource or a condition value.
    pub(crate) fn substitute<'a>(&self, request: &Request<'a>) -> Result<Cow<'a, str>, Unresolved> {
        let context = request.context();
        let text = match self {
            Self::Certificate(_, Pick::All) | Self::AvailableKeys | Self::ConnectAttributes => {
                return Err(Unresolved::SeveralValues);
            }
            Self::Certificate(field, pick @ Pick::At(_)) => {
                let values = certificate(context)?.values(*field, *pick)?;
                let value = values.first().ok_or(Unresolved::NoSuchIndex)?;
                Cow::Borrowed(value.as_substitute()?)
            }
            Self::CertificateSerialNumber => Cow::Borrowed(serial_number(context)?.as_substitute()?),
            Self::CurrentTime => Cow::Owned(time::to_text(request.time().ok_or(Unresolved::NoTime)?)),
            Self::EpochTime => Cow::Owned(request.time().ok_or(Unresolved::NoTime)?.seconds().to_string()),
            Self::LastWillTopic => Cow::Borrowed(last_will(request)?),
            Self::ClientId
            | Self::SourceIp
            | Self::ThingName
            | Self::ThingTypeName
            | Self::ThingAttribute(_)
            | Self::ThingIsAttached
            | Self::Unknown => Cow::Borrowed(self.connection_text(context)?),
        };
        if text.is_empty() { Err(Unresolved::Empty) } else { Ok(text) }
    }

    /// The values a condition compares with, for the variable as a key.
    pub(crate) fn values<'a>(&self, request: &Request<'a>) -> Result<Values<'a>, Unresolved> {
        let context = request.context();
        match self {
            Self::Certificate(field, pick) => {
                let values = certificate(context)?.values(*field, *pick)?;
                match (pick, values.first()) {
                    (_, None) => Err(Unresolved::NoSuchIndex),
                    (Pick::At(_), Some(value)) => Ok(Values::borrowed(value.as_key())),
                    (Pick::All, Some(_)) => Ok(Values::Several(values.iter().map(CertificateValue::as_key).collect())),
                }
            }
            Self::CertificateSerialNumber => Ok(Values::borrowed(serial_number(context)?.as_key())),
            Self::AvailableKeys => {
                let keys = certificate(context)?.available_keys();
                match keys.is_empty() {
                    true => Err(Unresolved::NoSuchField),
                    false => Ok(Values::Several(keys.iter().map(String::as_str).collect())),
                }
            }
            Self::ConnectAttributes => {
                let context = connect(request)?;
                let persistent = context.persistent.then_some("PersistentConnect");
                let last_will = context.last_will.as_ref().map(|_| "LastWill");
                let attributes: Vec<_> = persistent.into_iter().chain(last_will).collect();
                if attributes.is_empty() { Err(Unresolved::Empty) } else { Ok(Values::Several(attributes)) }
            }
            Self::ClientId
            | Self::SourceIp
            | Self::CurrentTime
            | Self::EpochTime
            | Self::ThingName
            | Self::ThingTypeName
            | Self::ThingAttribute(_)
            | Self::ThingIsAttached
            | Self::LastWillTopic
            | Self::Unknown => match self.substitute(request) {
                // An empty attribute is a value like any other to compare with.
                Err(Unresolved::Empty) => Ok(Values::borrowed("")),
                other => other.map(Values::One),
            },
        }
    }

    /// The text of a variable that depends on the connection alone.
    fn connection_text<'a>(&self, context: &'a Context) -> Result<&'a str, Unresolved> {
        let thing = || context.resolved_thing();
        match self {
            Self::ClientId => context.client_id.as_deref().ok_or(Unresolved::NoClientId),
            Self::SourceIp => context.source_ip.as_ref().map(|(_, text)| text.as_str()).ok_or(Unresolved::NoSourceIp),
            Self::ThingName => thing().map(Thing::name),
            Self::ThingTypeName => thing()?.type_name().ok_or(Unresolved::NoThingType),
            Self::ThingAttribute(name) => thing()?.attribute(name).ok_or(Unresolved::NoThingAttribute),
            Self::ThingIsAttached => Ok(if thing().is_ok() { "true" } else { "false" }),
            Self::Certificate(..)
            | Self::CertificateSerialNumber
            | Self::AvailableKeys
            | Self::ConnectAttributes
            | Self::LastWillTopic
            | Self::CurrentTime
            | Self::EpochTime
            | Self::Unknown => Err(Unresolved::UnknownVariable),
        }
    }
}

fn certificate(context: &Context) -> Result<&super::Certificate, Unresolved> {
    context.certificate.as_ref().ok_or(Unresolved::NoCertificate)
}

fn serial_number(context: &Context) -> Result<&CertificateValue, Unresolved> {
    certificate(context)?.serial_number().ok_or(Unresolved::NoSuchField)
}

fn connect<'a>(request: &Request<'a>) -> Result<&'a Context, Unresolved> {
    match request.action() == Action::Connect {
        true => Ok(request.context()),
        false => Err(Unresolved::OnlyForConnect),
    }
}

fn last_will<'a>(request: &Request<'a>) -> Result<&'a str, Unresolved> {
    connect(request)?.last_will.as_deref().ok_or(Unresolved::NoLastWill)
}
