//! An identity given by hand: a certificate, its key, and the name of a Thing.

use std::{collections::BTreeMap, time::Duration};

use aether_mqtt::Credentials;
use aether_provisioning::{Identity, ThingName};

use super::{invalid, missing, parse, read, read_secret, values};
use crate::{error::BuildError, settings::AwsIotSettings};

/// How long a certificate may take to be activated: the hour that a person, or a rule, is given.
const ACTIVATION: Duration = Duration::from_secs(3600);

/// Whether the settings give an identity by hand.
pub(super) fn is_given(settings: &AwsIotSettings) -> bool {
    settings.certificate.is_some() || settings.private_key.is_some() || settings.thing_name.is_some()
}

/// The identity that the settings give by hand.
pub(super) fn identity(settings: &AwsIotSettings) -> Result<Identity, BuildError> {
    let certificate = settings.certificate.as_ref();
    let certificate =
        certificate.ok_or_else(|| missing("aws_iot.certificate", "the path of the device's certificate in PEM"))?;
    let key = settings.private_key.as_ref();
    let key = key.ok_or_else(|| missing("aws_iot.private_key", "the path of the certificate's private key in PEM"))?;
    let certificate_pem = read("aws_iot.certificate", certificate, "the device's certificate in PEM")?;
    let key_pem = read_secret("aws_iot.private_key", key, "the certificate's private key in PEM")?;
    let credentials = Credentials::from_pem(&certificate_pem, &key_pem).map_err(|source| BuildError::Identity {
        certificate: certificate.clone(),
        key: key.clone(),
        source,
    })?;
    let thing_name = thing_name(settings, &credentials)?;
    let id = credentials.fingerprint().parse().map_err(|e| invalid("aws_iot.certificate", certificate.display(), e))?;
    Ok(Identity::new(thing_name, id, credentials, BTreeMap::new()))
}

/// As set, or else the common name of the certificate.
fn thing_name(settings: &AwsIotSettings, credentials: &Credentials) -> Result<ThingName, BuildError> {
    if let Some(name) = &settings.thing_name {
        return parse("aws_iot.thing_name", name);
    }
    let name = credentials.common_name().and_then(|name| name.parse().ok());
    name.ok_or_else(|| {
        missing("aws_iot.thing_name", "the name of the Thing, as the certificate's common name is not one")
    })
}

/// How long the cloud may refuse the identity before it is given up.
pub(super) fn activation(settings: &AwsIotSettings) -> Result<Duration, BuildError> {
    let Some(text) = &settings.activation_timeout else { return Ok(ACTIVATION) };
    values::activation(text).map_err(|e| invalid("aws_iot.activation_timeout", text, e))
}

/// Whether `given` takes the place of `active`: it is another certificate, and not the one that `active` was rotated
/// from. That one is older, and of the same Thing.
pub(super) fn replaces(given: &Identity, active: &Identity) -> bool {
    let is_other = given.certificate_id() != active.certificate_id();
    let is_older = given.credentials().not_before() < active.credentials().not_before();
    is_other && !(is_older && given.thing_name() == active.thing_name())
}
