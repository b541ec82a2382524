//! Certificate signing requests (PKCS #10, RFC 2986).

use rcgen::{DistinguishedName, DnType, DnValue, SubjectPublicKeyInfo};
use x509_parser::asn1_rs::FromDer as _;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::x509::X509Name;

use super::usable_ca::{is_usable, key_name};
use super::x509::{SubjectKey, X509Error, check_signed, signed_parts};

/// The label of a request, and the older one openssl can be told to write.
const LABELS: [&str; 2] = ["CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"];

/// A request whose own signature has been checked.
#[derive(Clone, Debug)]
pub(crate) struct SigningRequest {
    /// Empty if the request names nobody.
    pub(super) subject: DistinguishedName,
    pub(super) public_key: SubjectPublicKeyInfo,
}

/// Why a text is no request a certificate can be issued for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidCsr {
    #[error("certificate signing request is not one PEM block with a PKCS #10 request")]
    Malformed,
    #[error("key of the certificate signing request is {found}, expected RSA of 2048 to 8192 bits, P-256 or P-384")]
    Key { found: String },
    #[error(
        "signature algorithm of the certificate signing request is not RSA or ECDSA with SHA-256, SHA-384 or SHA-512"
    )]
    Algorithm,
    #[error("certificate signing request is not signed with its own key")]
    Signature,
}

impl SigningRequest {
    /// Reads the one request of a PEM text and checks that it was signed with its own key.
    pub(crate) fn parse_pem(text: &str) -> Result<Self, InvalidCsr> {
        let der = der_of(text).ok_or(InvalidCsr::Malformed)?;
        let (rest, parsed) = X509CertificationRequest::from_der(&der).map_err(|_| InvalidCsr::Malformed)?;
        if !rest.is_empty() {
            return Err(InvalidCsr::Malformed);
        }
        let info = &parsed.certification_request_info;
        let key = SubjectKey::parse(info.subject_pki.raw).map_err(|_| InvalidCsr::Malformed)?;
        if !is_usable(&key) {
            return Err(InvalidCsr::Key { found: key_name(&key) });
        }
        let (signed, algorithm) = signed_parts(&der).ok_or(InvalidCsr::Malformed)?;
        check_signed(&key, algorithm, signed, parsed.signature_value.as_ref()).map_err(|cause| match cause {
            X509Error::UnsupportedAlgorithm => InvalidCsr::Algorithm,
            X509Error::BadSignature | X509Error::Malformed | X509Error::NotYetValid | X509Error::Expired => {
                InvalidCsr::Signature
            }
        })?;
        let public_key =
            SubjectPublicKeyInfo::from_der(&key.spki).map_err(|_| InvalidCsr::Key { found: key_name(&key) })?;
        Ok(Self { subject: subject(&info.subject).ok_or(InvalidCsr::Malformed)?, public_key })
    }
}

fn der_of(text: &str) -> Option<Vec<u8>> {
    let mut blocks = x509_parser::pem::Pem::iter_from_buffer(text.as_bytes());
    match (blocks.next(), blocks.next()) {
        (Some(Ok(block)), None) if LABELS.contains(&block.label.as_str()) => Some(block.contents),
        (Some(_) | None, _) => None,
    }
}

/// The subject, one value an attribute. `None` if a value is no text.
fn subject(name: &X509Name<'_>) -> Option<DistinguishedName> {
    let mut subject = DistinguishedName::new();
    for attribute in name.iter_attributes() {
        let oid = attribute.attr_type().iter()?.collect::<Vec<u64>>();
        let kind = DnType::from_oid(&oid);
        let text = attribute.as_str().ok()?;
        // Country is a PrintableString of two letters (RFC 5280, appendix A.1).
        let value = match (&kind, text.try_into()) {
            (DnType::CountryName, Ok(printable)) => DnValue::PrintableString(printable),
            (_, _) => DnValue::Utf8String(text.to_owned()),
        };
        subject.push(kind, value);
    }
    Some(subject)
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519};

    use super::*;

    fn request(key: &KeyPair) -> String {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "P3-00017");
        params.distinguished_name.push(DnType::CountryName, "CH");
        params.serialize_request(key).unwrap().pem().unwrap()
    }

    #[test]
    fn requests_on_both_curves_are_read_with_their_subject() {
        for algorithm in [&PKCS_ECDSA_P256_SHA256, &PKCS_ECDSA_P384_SHA384] {
            let read = SigningRequest::parse_pem(&request(&KeyPair::generate_for(algorithm).unwrap())).unwrap();
            assert_eq!(read.subject.get(&DnType::CommonName), Some(&DnValue::Utf8String("P3-00017".into())));
            assert_eq!(read.subject.iter().count(), 2);
        }
    }

    #[test]
    fn a_key_or_a_signature_aws_does_not_take_is_refused_by_name() {
        let edwards = request(&KeyPair::generate_for(&PKCS_ED25519).unwrap());
        assert!(matches!(SigningRequest::parse_pem(&edwards), Err(InvalidCsr::Key { .. })));
    }

    #[test]
    fn a_request_signed_with_another_key_is_refused() {
        let pem = request(&KeyPair::generate().unwrap());
        let mut der = der_of(&pem).unwrap();
        let at = der.windows(8).position(|window| window == b"P3-00017").unwrap();
        der[at] = b'Q';
        let forged = crate::pki::pem::labelled("CERTIFICATE REQUEST", &der);
        assert_eq!(SigningRequest::parse_pem(&forged).unwrap_err(), InvalidCsr::Signature);
    }

    #[test]
    fn what_is_no_request_is_refused() {
        let good = request(&KeyPair::generate().unwrap());
        let certificate = rcgen::generate_simple_self_signed(["a".to_owned()]).unwrap().cert.pem();
        let cut = good.replace("-----END CERTIFICATE REQUEST-----", "");
        for text in ["", "nonsense", &certificate, &cut, &good.repeat(2), &good.replacen('M', "A", 1)] {
            assert_eq!(SigningRequest::parse_pem(text).unwrap_err(), InvalidCsr::Malformed, "{text}");
        }
    }
}
