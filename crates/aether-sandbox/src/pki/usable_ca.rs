//! Whether a certificate can serve as a CA: whether it may sign others, and with what.

use rustls_pki_types::alg_id;
use x509_parser::asn1_rs::{Any, FromDer, Oid};
use x509_parser::objects::{oid_registry, oid2sn};
use x509_parser::public_key::RSAPublicKey;

use super::x509::{CaMark, Certificate, SubjectKey, X509Error, client_schemes};
use crate::RegisterCaError;

/// The RSA keys ring checks signatures with.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// Checks everything but the dates: that `certificate` is a CA certificate, and that its key and
/// its own signature are of a kind the sandbox can check.
///
/// Version 1 cannot say that it is a CA, so there the proof is that it signed itself; a leaf does
/// not.
pub(crate) fn check_ca(certificate: &Certificate) -> Result<(), RegisterCaError> {
    let subject = || certificate.subject().to_owned();
    let not_self_signed =
        || RegisterCaError::NotSelfSigned { subject: subject(), issuer: certificate.issuer().to_owned() };
    let signature = || {
        let found = algorithm_name(certificate.signature_algorithm());
        RegisterCaError::UnusableSignature { subject: subject(), found }
    };
    match certificate.ca_mark() {
        CaMark::Silent if !certificate.names_issuer(certificate) => return Err(not_self_signed()),
        CaMark::No => return Err(RegisterCaError::NotACa { subject: subject() }),
        CaMark::WithoutKeyCertSign => return Err(RegisterCaError::MayNotSign { subject: subject() }),
        CaMark::Silent | CaMark::Yes => {}
    }
    if !is_usable(certificate.key()) {
        let found = key_name(certificate.key());
        return Err(RegisterCaError::UnusableKey { subject: subject(), found });
    }
    let known = client_schemes()
        .flat_map(|(_, algorithms)| algorithms)
        .any(|algorithm| algorithm.signature_alg_id().as_ref() == certificate.signature_algorithm());
    match (known, certificate.ca_mark()) {
        (false, _) => Err(signature()),
        (true, CaMark::Silent) => match certificate.check_signature(certificate) {
            Ok(()) => Ok(()),
            Err(X509Error::UnsupportedAlgorithm) => Err(signature()),
            Err(X509Error::BadSignature | X509Error::Malformed | X509Error::NotYetValid | X509Error::Expired) => {
                Err(not_self_signed())
            }
        },
        (true, CaMark::Yes | CaMark::No | CaMark::WithoutKeyCertSign) => Ok(()),
    }
}

/// Checks that the key of a client certificate is of a kind the sandbox can check signatures with; the
/// error names the kind. No P-521, which AWS takes by its newer text: ring does not know it.
pub(crate) fn check_client_key(certificate: &Certificate) -> Result<(), String> {
    match is_usable(certificate.key()) {
        true => Ok(()),
        false => Err(key_name(certificate.key())),
    }
}

/// Whether signatures of this key can be checked here.
pub(super) fn is_usable(key: &SubjectKey) -> bool {
    let known = client_schemes()
        .flat_map(|(_, algorithms)| algorithms)
        .any(|algorithm| algorithm.public_key_alg_id().as_ref() == key.algorithm);
    known && rsa_bits(key).is_none_or(|bits| RSA_BITS.contains(&bits))
}

/// Length of an RSA key in whole bytes, told in bits; `None` for other keys.
fn rsa_bits(key: &SubjectKey) -> Option<usize> {
    (key.algorithm == alg_id::RSA_ENCRYPTION.as_ref()).then(|| {
        let modulus = RSAPublicKey::from_der(&key.key).map_or(&[][..], |(_, key)| key.modulus);
        8 * modulus.iter().skip_while(|&&byte| byte == 0).count()
    })
}

/// Names a key, for error messages.
pub(super) fn key_name(key: &SubjectKey) -> String {
    match rsa_bits(key) {
        Some(bits) => format!("RSA of {bits} bits"),
        None => algorithm_name(&key.algorithm),
    }
}

/// Names the content of an `AlgorithmIdentifier`: its object identifier and, for keys on a named
/// curve, the curve.
fn algorithm_name(content: &[u8]) -> String {
    let Ok((rest, algorithm)) = Oid::from_der(content) else { return "an unreadable algorithm".to_owned() };
    let name = |oid: &Oid<'_>| oid2sn(oid, oid_registry()).map_or_else(|_| oid.to_id_string(), str::to_owned);
    match Any::from_der(rest).ok().and_then(|(_, parameter)| parameter.oid().ok()) {
        Some(curve) => format!("{} on {}", name(&algorithm), name(&curve)),
        None => name(&algorithm),
    }
}
