//! Certificates made for a test, X.509 v1 among them.

use aether_mqtt::Credentials;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SigningKey};

/// A certificate and its PKCS#8 key, in DER.
pub(crate) struct Pair {
    pub(crate) certificate: Vec<u8>,
    pub(crate) key: Vec<u8>,
}

/// A certificate authority.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = named("Test CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    pub(crate) fn server(&self, name: &str) -> Pair {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Pair { certificate: certificate.der().to_vec(), key: key.serialize_der() }
    }
}

fn named(common_name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params
}

/// Self-signed client credentials, X.509 v3.
pub(crate) fn client(common_name: &str) -> Credentials {
    let key = KeyPair::generate().unwrap();
    let certificate = named(common_name).self_signed(&key).unwrap();
    Credentials::from_pem(certificate.pem().as_bytes(), key.serialize_pem().as_bytes()).unwrap()
}

/// A self-signed X.509 v1 certificate and its key, both in PEM, as `openssl x509 -req` makes without an extension file.
pub(crate) fn v1_pair(common_name: &str) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let v3 = named(common_name).self_signed(&key).unwrap();
    let v1 = strip_to_v1(v3.der(), &key);
    (pem("CERTIFICATE", &v1), key.serialize_pem())
}

/// Takes version and extensions out of a certificate and signs it anew (RFC 5280, section 4.1).
fn strip_to_v1(v3: &[u8], key: &KeyPair) -> Vec<u8> {
    let (_, parts, _) = tlv(v3);
    let (_, fields, rest) = tlv(parts);
    let (algorithm_tag, algorithm, _) = tlv(rest);
    let mut kept = Vec::new();
    let mut left = fields;
    while !left.is_empty() {
        let (tag, value, after) = tlv(left);
        let (version, extensions) = (0xa0, 0xa3);
        if tag != version && tag != extensions {
            kept.extend(wrap(tag, value));
        }
        left = after;
    }
    let to_be_signed = wrap(0x30, &kept);
    let signature = [vec![0], key.sign(&to_be_signed).unwrap()].concat();
    wrap(0x30, &[to_be_signed, wrap(algorithm_tag, algorithm), wrap(0x03, &signature)].concat())
}

/// Tag, value and what follows of the first DER element.
fn tlv(der: &[u8]) -> (u8, &[u8], &[u8]) {
    let (tag, first) = (der[0], usize::from(der[1]));
    let (header, length) = if first < 0x80 {
        (2, first)
    } else {
        let bytes = first & 0x7f;
        (2 + bytes, der[2..2 + bytes].iter().fold(0, |n, b| n << 8 | usize::from(*b)))
    };
    (tag, &der[header..header + length], &der[header + length..])
}

fn wrap(tag: u8, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len()).unwrap().to_be_bytes();
    let header = match value.len() {
        0..0x80 => vec![tag, length[1]],
        0x80..0x100 => vec![tag, 0x81, length[1]],
        _ => vec![tag, 0x82, length[0], length[1]],
    };
    [header, value.to_vec()].concat()
}

fn pem(label: &str, der: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut body = String::new();
    for chunk in der.chunks(3) {
        let bits = (0..3).fold(0_u32, |n, i| n << 8 | u32::from(chunk.get(i).copied().unwrap_or(0)));
        for place in 0..4 {
            let digit = ALPHABET[(bits >> (18 - 6 * place) & 63) as usize] as char;
            body.push(if place > chunk.len() { '=' } else { digit });
        }
    }
    let lines: Vec<&str> = (0..body.len()).step_by(64).map(|at| &body[at..body.len().min(at + 64)]).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}
