//! Where the device's private key comes from.

use std::{path::Path, sync::Arc};

use aether_mqtt::PrivateKey;
#[cfg(feature = "pkcs11")]
use aether_pkcs11::{InvalidUri, Pkcs11Keys, Pkcs11Options, Pkcs11Uri};
use aether_provisioning::{KeyKind, KeyPlan, KeySource, OwnKey, SigningRequest, SoftwareKeys};
use tracing::warn;

use super::{invalid, missing, read, read_secret};
use crate::{error::BuildError, settings::AwsIotSettings};

/// What the setting `key` says.
#[derive(Debug, Default)]
pub(crate) enum KeyChoice {
    /// AWS makes the key.
    #[default]
    Aws,
    /// This process makes it.
    Made(KeyKind),
    /// It is made or found in a token.
    #[cfg(feature = "pkcs11")]
    Token(Box<Pkcs11Uri>),
}

/// Why a text says nothing of a key. It is not repeated: a PIN may stand in it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InvalidKeyChoice {
    #[error(
        "expected aws, ec-p256, ec-p384, rsa-2048, rsa-3072, rsa-4096, or a PKCS#11 URI such as \
         pkcs11:token=plant;object=device-key"
    )]
    Unknown,
    #[cfg(feature = "pkcs11")]
    #[error("expected a PKCS#11 URI such as pkcs11:token=plant;object=device-key")]
    Uri(#[source] InvalidUri),
    #[cfg(not(feature = "pkcs11"))]
    #[error(
        "this program cannot use keys in PKCS#11 tokens: it was built without the feature `pkcs11` of aether-nexus"
    )]
    NoTokens,
}

pub(crate) fn key_choice(text: &str) -> Result<KeyChoice, InvalidKeyChoice> {
    if text == "aws" {
        return Ok(KeyChoice::Aws);
    }
    let is_uri = text.split_once(':').is_some_and(|(scheme, _)| scheme.eq_ignore_ascii_case("pkcs11"));
    if is_uri {
        #[cfg(feature = "pkcs11")]
        return text.parse().map(|uri| KeyChoice::Token(Box::new(uri))).map_err(InvalidKeyChoice::Uri);
        #[cfg(not(feature = "pkcs11"))]
        return Err(InvalidKeyChoice::NoTokens);
    }
    text.parse().map(KeyChoice::Made).map_err(|_| InvalidKeyChoice::Unknown)
}

/// The setting `key`.
pub(super) fn choice(settings: &AwsIotSettings) -> Result<KeyChoice, BuildError> {
    match &settings.key {
        None => Ok(KeyChoice::default()),
        Some(key) => key_choice(&key.0).map_err(|e| invalid("aws_iot.key", key, e)),
    }
}

impl KeyChoice {
    /// What makes the keys, where the device does. Of a token it loads the library.
    pub(super) fn source(&self) -> Result<Option<Arc<dyn KeySource>>, BuildError> {
        match self {
            Self::Aws => Ok(None),
            Self::Made(kind) => Ok(Some(Arc::new(SoftwareKeys::new(*kind)))),
            #[cfg(feature = "pkcs11")]
            Self::Token(uri) => {
                let names_a_key = uri.object().is_some() || uri.id().is_some();
                let options = Pkcs11Options::default();
                // A token without the name of a key in it: each certificate gets a key of its own.
                let options = if names_a_key { options } else { options.always_new() };
                let keys = Pkcs11Keys::new((**uri).clone(), options);
                let keys = keys.map_err(|e| invalid("aws_iot.key", uri, e))?;
                Ok(Some(Arc::new(keys)))
            }
        }
    }
}

/// Who makes the key of the next certificate.
pub(super) fn key_plan(settings: &AwsIotSettings, source: Option<&Arc<dyn KeySource>>) -> Result<KeyPlan, BuildError> {
    match (&settings.csr, &settings.csr_key) {
        (Some(csr), Some(key)) => Ok(KeyPlan::Given(Box::new(given(csr, key)?))),
        (Some(csr), None) => {
            request(csr)?;
            warn!(
                csr = %csr.display(),
                "setting `aws_iot.csr` is NOT used: `aws_iot.csr_key`, the private key it was made with, is not given. AWS \
                 makes the key and sends it over the connection, as for the AWS IoT Device Client; to keep the key on \
                 this device, give `aws_iot.csr_key`, or `aws_iot.key = \"ec-p256\"` and no CSR"
            );
            Ok(KeyPlan::AwsGenerated)
        }
        (None, Some(_)) => Err(missing("aws_iot.csr", "the path of the signing request made with `aws_iot.csr_key`")),
        (None, None) => Ok(source.map_or(KeyPlan::AwsGenerated, |source| KeyPlan::OnDevice(Arc::clone(source)))),
    }
}

fn given(csr: &Path, key: &Path) -> Result<OwnKey, BuildError> {
    let request = request(csr)?;
    let pem = read_secret("aws_iot.csr_key", key, "the signing request's private key in PEM")?;
    let private = PrivateKey::from_pem(&pem).map_err(|e| invalid("aws_iot.csr_key", key.display(), e))?;
    if !request.is_for(&private) {
        return Err(BuildError::SigningRequest { csr: csr.to_owned(), key: key.to_owned() });
    }
    Ok(OwnKey { key: private, request })
}

fn request(csr: &Path) -> Result<SigningRequest, BuildError> {
    let pem = read("aws_iot.csr", csr, "a certificate signing request in PEM")?;
    SigningRequest::from_pem(&pem).map_err(|e| invalid("aws_iot.csr", csr.display(), e))
}
