//! The claim: a certificate that many devices share, or one that a trusted user had made for this one.

use std::{
    io::{self, IsTerminal as _, Read},
    path::Path,
    time::SystemTime,
};

use aether_mqtt::Credentials;
use aether_provisioning::{ClaimDocument, Encoding, KeyPlan, TemplateName};

use super::{Parameters, invalid, missing, parse, read, read_secret};
use crate::{error::BuildError, settings::AwsIotSettings};

#[derive(Clone, Debug)]
pub(crate) struct ClaimPlan {
    pub(crate) template: TemplateName,
    pub(crate) credentials: Credentials,
    pub(crate) expires_at: Option<SystemTime>,
    pub(crate) parameters: Parameters,
    pub(crate) keys: KeyPlan,
    pub(crate) encoding: Encoding,
}

/// What every claim is made with, whoever makes it.
#[derive(Clone, Debug)]
pub(super) struct Terms {
    pub(super) parameters: Parameters,
    pub(super) keys: KeyPlan,
    pub(super) encoding: Encoding,
}

/// The claim that the settings lead to, if they lead to one.
pub(super) fn claim_plan(settings: &AwsIotSettings, terms: Terms) -> Result<Option<ClaimPlan>, BuildError> {
    if names_no_claim(settings) {
        return Ok(None);
    }
    let is_document = settings.claim.is_some();
    if !is_document && settings.claim_cert.is_none() {
        return Err(missing("aws_iot.claim_cert", "the path of the claim certificate in PEM"));
    }
    if !is_document && settings.claim_key.is_none() {
        return Err(missing("aws_iot.claim_key", "the path of the claim certificate's private key in PEM"));
    }
    let template = settings.template_name.as_deref();
    let template = template.ok_or_else(|| missing("aws_iot.template_name", "the name of the provisioning template"))?;
    let template = parse("aws_iot.template_name", template)?;
    let (credentials, expires_at) = match (&settings.claim, &settings.claim_cert, &settings.claim_key) {
        (Some(path), ..) => {
            if path == Path::new("-") && io::stdin().is_terminal() {
                tracing::info!("reading the claim from standard input, up to its end");
            }
            document(path, io::stdin())?
        }
        (None, Some(certificate), Some(key)) => (from_files(certificate, key)?, None),
        (None, ..) => return Ok(None),
    };
    let Terms { parameters, keys, encoding } = terms;
    Ok(Some(ClaimPlan { template, credentials, expires_at, parameters, keys, encoding }))
}

/// Whether nothing is set that asks for a claim.
fn names_no_claim(settings: &AwsIotSettings) -> bool {
    let AwsIotSettings { claim, claim_cert, claim_key, template_name, .. } = settings;
    claim.is_none() && claim_cert.is_none() && claim_key.is_none() && template_name.is_none()
}

fn from_files(certificate: &Path, key: &Path) -> Result<Credentials, BuildError> {
    let certificate_pem = read("aws_iot.claim_cert", certificate, "the claim certificate in PEM")?;
    let key_pem = read_secret("aws_iot.claim_key", key, "the claim certificate's private key in PEM")?;
    Credentials::from_pem(&certificate_pem, &key_pem).map_err(|source| BuildError::Claim {
        certificate: certificate.to_owned(),
        key: key.to_owned(),
        source,
    })
}

/// The claim of a trusted user, from a file or, for `-`, from `input`.
fn document(path: &Path, input: impl Read) -> Result<(Credentials, Option<SystemTime>), BuildError> {
    const SETTING: &str = "aws_iot.claim";
    const EXPECTED: &str = "what `aws iot create-provisioning-claim` prints";
    let (text, place) = if path == Path::new("-") {
        let (mut text, place) = (Vec::new(), "standard input");
        let read = input.take(ClaimDocument::MAX_LEN as u64 + 1).read_to_end(&mut text);
        let failed = |source| BuildError::File { setting: SETTING, path: place.into(), expected: EXPECTED, source };
        read.map_err(failed)?;
        (text, place.to_owned())
    } else {
        (read_secret(SETTING, path, EXPECTED)?, path.display().to_string())
    };
    let document = ClaimDocument::from_json(&text).map_err(|e| invalid(SETTING, place, e))?;
    tracing::info!(certificate_id = %document.certificate_id(), "a claim was handed over");
    Ok((document.credentials().clone(), Some(document.expires_at())))
}

#[cfg(test)]
mod tests {
    use std::{error::Error, time::Duration};

    use super::*;

    #[test]
    fn a_claim_comes_through_standard_input_and_is_not_repeated() {
        let (certificate, key) = aether_mqtt::testing::self_signed("claim");
        let text = serde_json::json!({
            "certificateId": "5d0c0e6f", "certificatePem": certificate, "expiration": 1_795_334_700,
            "keyPair": { "PublicKey": "", "PrivateKey": key },
        });
        let (credentials, expires_at) = document(Path::new("-"), text.to_string().as_bytes()).unwrap();
        assert_eq!(credentials.common_name(), Some("claim"));
        assert_eq!(expires_at, Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_334_700)));

        let cut = &text.to_string()[..text.to_string().len() - 9];
        let error = document(Path::new("-"), cut.as_bytes()).unwrap_err();
        let shown = format!("{error}: {} {error:?}", error.source().unwrap());
        assert!(shown.contains("aws_iot.claim") && shown.contains("standard input"), "{shown}");
        assert!(!shown.contains("PRIVATE KEY"), "{shown}");
        let endless = document(Path::new("-"), io::repeat(b' ')).unwrap_err();
        assert!(endless.source().unwrap().to_string().contains("more than"), "{endless}");
    }
}
