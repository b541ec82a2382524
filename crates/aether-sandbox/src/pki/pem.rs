//! Certificates and public keys as PEM text.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::PublicKeyData;

/// The PEM form of a certificate, as AWS returns it: lines of 64 characters (RFC 7468, section 2).
pub(crate) fn to_pem(der: &[u8]) -> String {
    labelled("CERTIFICATE", der)
}

/// The PEM form of a public key.
pub(crate) fn public_key_pem(key: &impl PublicKeyData) -> String {
    labelled("PUBLIC KEY", &key.subject_public_key_info())
}

pub(super) fn labelled(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut pem = String::with_capacity(text.len() + text.len() / 64 + 64);
    pem.push_str(&format!("-----BEGIN {label}-----\n"));
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, left) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = left;
    }
    pem.push_str(&format!("-----END {label}-----\n"));
    pem
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::Certificate;

    #[test]
    fn what_is_written_can_be_read_again() {
        let der = rcgen::generate_simple_self_signed(["a".to_owned()]).unwrap().cert.der().to_vec();
        let pem = to_pem(&der);
        assert!(pem.lines().all(|line| line.len() <= 64));
        assert_eq!(Certificate::parse_pem(pem.as_bytes()).unwrap().der(), der);
    }
}
