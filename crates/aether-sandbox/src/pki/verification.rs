//! The proof that whoever registers a CA holds its key.

use super::{Certificate, CertificateFacts, X509Error};
use crate::account::AccountError;

/// Checks the verification certificate of `RegisterCACertificate` in default mode: `ca` signed it, and
/// the one common name of its subject is the account's registration code (reference sheet, 5).
///
/// Its dates are not looked at: it proves something at this moment only. AWS does not say whether it
/// looks at them.
pub(crate) fn check_verification(ca: &Certificate, verification: &Certificate, code: &str) -> Result<(), AccountError> {
    let refuse = |words: String| Err(AccountError::CertificateValidation(words));
    if !verification.names_issuer(ca) {
        let (found, expected) = (verification.issuer(), ca.subject());
        return refuse(format!(
            "issuer of the verification certificate is {found:?}, expected {expected:?}, the subject of the CA certificate"
        ));
    }
    match verification.check_signature(ca) {
        Ok(()) => {}
        Err(X509Error::UnsupportedAlgorithm) => {
            let words = "signature of the verification certificate is of a kind that is not taken, expected RSA or \
                         ECDSA with SHA-256 or better";
            return refuse(words.to_owned());
        }
        Err(X509Error::BadSignature | X509Error::Malformed | X509Error::NotYetValid | X509Error::Expired) => {
            return refuse("signature of the verification certificate is not by the key of the CA certificate".into());
        }
    }
    let facts = CertificateFacts::parse(verification.der())
        .map_err(|cause| AccountError::CertificateValidation(format!("verification certificate: {cause}")))?;
    match facts.common_names().collect::<Vec<_>>().as_slice() {
        [found] if *found == code => Ok(()),
        // The code is asked for by the account's owner and printed nowhere else.
        found => refuse(format!(
            "common name of the verification certificate is {found:?}, expected the registration code and nothing else"
        )),
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

    use super::*;

    const CODE: &str = "2c5a7be0c1f9a4";

    /// A CA, and what signs in its name.
    fn ca(name: &str) -> (Certificate, Issuer<'static, KeyPair>) {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let made = params.self_signed(&key).unwrap();
        (Certificate::parse(made.der()).unwrap(), Issuer::new(params, key))
    }

    fn leaf(issuer: &Issuer<'static, KeyPair>, name: Option<&str>) -> Certificate {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        if let Some(name) = name {
            params.distinguished_name.push(DnType::CommonName, name);
        }
        let made = params.signed_by(&KeyPair::generate().unwrap(), issuer).unwrap();
        Certificate::parse(made.der()).unwrap()
    }

    #[track_caller]
    fn check_refused(ca: &Certificate, verification: &Certificate, expected: &str) {
        let refused = check_verification(ca, verification, CODE).unwrap_err();
        assert!(matches!(refused, AccountError::CertificateValidation(_)), "{refused:?}");
        assert!(refused.to_string().contains(expected), "{refused}");
    }

    #[test]
    fn a_certificate_with_the_code_signed_by_the_ca_proves_its_key() {
        let (ca, issuer) = ca("Press CA");
        assert!(check_verification(&ca, &leaf(&issuer, Some(CODE)), CODE).is_ok());
    }

    #[test]
    fn another_name_another_issuer_or_another_key_proves_nothing() {
        let (ours, issuer) = ca("Press CA");
        check_refused(&ours, &leaf(&issuer, Some("another")), "\"another\"");
        check_refused(&ours, &leaf(&issuer, None), "registration code");
        check_refused(&ours, &leaf(&ca("Other CA").1, Some(CODE)), "Other CA");
        check_refused(&ours, &leaf(&ca("Press CA").1, Some(CODE)), "not by the key");
    }
}
