//! What is known about a connection when a policy is evaluated.

mod certificate;
mod resolve;
mod thing;

use std::net::IpAddr;

pub use certificate::Certificate;
pub use resolve::Unresolved;
pub(crate) use resolve::Values;
pub use thing::{Attachment, Thing};

use crate::Resource;

/// What is known about a connection: the values of policy variables and condition keys.
///
/// Made once a connection and asked on every publish and delivery. What is not told stays
/// unresolved, and an unresolved variable never matches (sheet, section 3.4 rule 6).
///
/// The Thing handed in is the one the connection may speak for: the Thing that carries the client id
/// as its name, or the one the certificate is exclusively attached to. Whether its variables resolve
/// is decided here, by [`Context::resolved_thing`], not by the caller.
///
/// ```
/// use aether_iot_policy::{Attachment, Context, Thing};
///
/// let thing = || Thing::new("line7-press3").with_type("press").with_attribute("site", "hall-b");
/// let own = Context::new().with_client_id("line7-press3").with_thing(thing(), Attachment::Shared);
/// let other = Context::new().with_client_id("laptop").with_thing(thing(), Attachment::Shared);
/// assert!(own.resolved_thing().is_ok());
/// assert!(other.resolved_thing().is_err());
/// ```
#[derive(Clone, Debug, Default)]
pub struct Context {
    client_id: Option<String>,
    /// With its text, so that no evaluation has to write it.
    source_ip: Option<(IpAddr, String)>,
    thing: Option<(Thing, Attachment)>,
    certificate: Option<Certificate>,
    persistent: bool,
    last_will: Option<String>,
}

impl Context {
    /// Nothing is known.
    pub fn new() -> Self {
        Self::default()
    }

    /// The client id of the connection.
    #[must_use]
    pub fn with_client_id(mut self, client_id: impl Into<String>) -> Self {
        self.client_id = Some(client_id.into());
        self
    }

    /// The address of the client. An IPv4 address written as IPv6 (`::ffff:192.0.2.1`) counts as IPv4.
    #[must_use]
    pub fn with_source_ip(mut self, address: IpAddr) -> Self {
        let address = address.to_canonical();
        self.source_ip = Some((address, address.to_string()));
        self
    }

    /// The Thing the connection may speak for, and how the certificate is attached to it.
    ///
    /// For MQTT only: a request over HTTPS has no Thing variables.
    #[must_use]
    pub fn with_thing(mut self, thing: Thing, attachment: Attachment) -> Self {
        self.thing = Some((thing, attachment));
        self
    }

    /// What the client certificate says.
    #[must_use]
    pub fn with_certificate(mut self, certificate: Certificate) -> Self {
        self.certificate = Some(certificate);
        self
    }

    /// The CONNECT asks for a persistent session: `PersistentConnect` of `iot:ConnectAttributes`.
    #[must_use]
    pub fn with_persistent_session(mut self) -> Self {
        self.persistent = true;
        self
    }

    /// The CONNECT carries a Will for `topic`: `LastWill` of `iot:ConnectAttributes`, and
    /// `iot:LastWillTopic`.
    #[must_use]
    pub fn with_last_will(mut self, topic: &Resource) -> Self {
        self.last_will = Some(topic.as_str().to_owned());
        self
    }

    /// The client id, where the connection has one.
    pub fn client_id(&self) -> Option<&str> {
        self.client_id.as_deref()
    }

    /// The Thing whose variables resolve (sheet, section 3.4 rule 1): the certificate is attached to
    /// it, and either the client id is its name or the attachment is exclusive.
    ///
    /// # Errors
    ///
    /// Why no Thing variable resolves.
    pub fn resolved_thing(&self) -> Result<&Thing, Unresolved> {
        let (thing, attachment) = self.thing.as_ref().ok_or(Unresolved::NoThing)?;
        match attachment {
            Attachment::Exclusive => Ok(thing),
            Attachment::None => Err(Unresolved::NotAttached),
            Attachment::Shared if self.client_id.as_deref() == Some(thing.name()) => Ok(thing),
            Attachment::Shared => Err(Unresolved::OtherClientId),
        }
    }
}
