//! A certificate authority of the sandbox's own.

use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData, SanType, SerialNumber, date_time_ymd,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use super::{SigningRequest, check_ca, open_pair};
use crate::StartError;
use crate::clock::Clock;
use crate::random;

/// Clocks of clients may be behind ours by this much.
const CLOCK_SLACK: Duration = Duration::from_secs(24 * 60 * 60);
/// Life of a server certificate. A new one is made at each start.
const SERVER_LIFE: Duration = Duration::from_secs(397 * 24 * 60 * 60);
/// The last second of a day.
const END_OF_DAY: Duration = Duration::from_secs(24 * 60 * 60 - 1);

/// A CA certificate with its key, ready to sign.
#[derive(Debug)]
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// How long client certificates live, from now by this clock; else as AWS's own do.
    life: Option<(Duration, Clock)>,
}

/// A certificate fresh from an [`Authority`].
#[derive(Clone, Debug)]
pub(crate) struct Issued {
    pub(crate) pem: String,
    pub(crate) der: Vec<u8>,
}

impl Authority {
    /// Reads the CA from its two files, or makes it.
    pub(crate) fn open(cert_path: &Path, key_path: &Path, common_name: &str) -> Result<Self, StartError> {
        let pair = open_pair(cert_path, key_path, |key| ca_params(common_name)?.self_signed(key))?;
        check_ca(&pair.certificate).map_err(StartError::invalid_file(cert_path, "a CA certificate"))?;
        pair.certificate
            .check_dates(SystemTime::now())
            .map_err(StartError::invalid_file(cert_path, "a CA certificate valid today"))?;
        let der = CertificateDer::from_slice(pair.certificate.der());
        let issuer = Issuer::from_ca_cert_der(&der, pair.key)
            .map_err(StartError::invalid_file(cert_path, "a CA certificate"))?;
        Ok(Self { issuer, life: None })
    }

    /// Lets the client certificates issued from now on begin now and end after `life`.
    pub(crate) fn with_life(mut self, life: Option<Duration>, clock: &Clock) -> Self {
        self.life = life.map(|life| (life, clock.clone()));
        self
    }

    /// Issues a client certificate that ends when AWS's own do, 2049-12-31T23:59:59Z (sheet, 1.5), unless
    /// another life was set.
    pub(crate) fn issue_client(
        &self,
        common_name: &str,
        public_key: &impl PublicKeyData,
    ) -> Result<rcgen::Certificate, rcgen::Error> {
        self.client_params(common_name)?.signed_by(public_key, &self.issuer)
    }

    /// Issues a client certificate for a signing request, with the subject it asks for or, if it names
    /// nobody, `common_name`. Whether AWS keeps the subject is unverified (sheet, 1.5). Extensions the
    /// request asks for are not taken over.
    pub(crate) fn issue_requested(
        &self,
        request: &SigningRequest,
        common_name: &str,
    ) -> Result<rcgen::Certificate, rcgen::Error> {
        let mut params = self.client_params(common_name)?;
        if request.subject.iter().next().is_some() {
            params.distinguished_name = request.subject.clone();
        }
        params.signed_by(&request.public_key, &self.issuer)
    }

    fn client_params(&self, common_name: &str) -> Result<CertificateParams, rcgen::Error> {
        let mut params = leaf_params(common_name, ExtendedKeyUsagePurpose::ClientAuth)?;
        params.not_after = date_time_ymd(2049, 12, 31) + END_OF_DAY;
        if let Some((life, clock)) = &self.life {
            let now = clock.now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            params.not_before = date_time_ymd(1970, 1, 1) + now;
            params.not_after = params.not_before + *life;
        }
        Ok(params)
    }

    /// Issues a server certificate for the DNS names in `names`, both loopback addresses and `listen`,
    /// with a key that lives in memory only.
    pub(crate) fn issue_server(
        &self,
        names: &[String],
        listen: IpAddr,
    ) -> Result<(CertificateDer<'static>, PrivateKeyDer<'static>), StartError> {
        let make = || {
            let key = KeyPair::generate()?;
            let mut params = leaf_params("localhost", ExtendedKeyUsagePurpose::ServerAuth)?;
            params.not_after = params.not_before + CLOCK_SLACK + SERVER_LIFE;
            params.subject_alt_names = server_names(names, listen)?;
            let certificate = params.signed_by(&key, &self.issuer)?;
            Ok((certificate, key))
        };
        let (certificate, key) = make().map_err(StartError::crypto::<rcgen::Error>("the server certificate"))?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        Ok((certificate.der().clone(), key))
    }
}

impl From<rcgen::Certificate> for Issued {
    fn from(certificate: rcgen::Certificate) -> Self {
        Self { pem: certificate.pem(), der: certificate.der().to_vec() }
    }
}

fn ca_params(common_name: &str) -> Result<CertificateParams, rcgen::Error> {
    let mut params = params(common_name)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_after = date_time_ymd(2049, 12, 31) + END_OF_DAY;
    Ok(params)
}

fn leaf_params(common_name: &str, usage: ExtendedKeyUsagePurpose) -> Result<CertificateParams, rcgen::Error> {
    let mut params = params(common_name)?;
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![usage];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn params(common_name: &str) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.serial_number = Some(random_serial()?);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    params.not_before = date_time_ymd(1970, 1, 1) + now.saturating_sub(CLOCK_SLACK);
    Ok(params)
}

fn random_serial() -> Result<SerialNumber, rcgen::Error> {
    let mut bytes = random::bytes::<16>().map_err(|_| rcgen::Error::RingUnspecified)?;
    // Positive and never shortened: RFC 5280, section 4.1.2.2.
    bytes[0] = (bytes[0] & 0x7f) | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}

fn server_names(names: &[String], listen: IpAddr) -> Result<Vec<SanType>, rcgen::Error> {
    let mut addresses = vec![IpAddr::from(std::net::Ipv4Addr::LOCALHOST), IpAddr::from(std::net::Ipv6Addr::LOCALHOST)];
    if !listen.is_unspecified() && !addresses.contains(&listen) {
        addresses.push(listen);
    }
    let named = names.iter().map(|name| Ok(SanType::DnsName(name.as_str().try_into()?)));
    named.chain(addresses.into_iter().map(|address| Ok(SanType::IpAddress(address)))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::KeyKind;
    use crate::pki::{Certificate, DeviceKey, X509Error};

    fn authority(dir: &Path) -> Authority {
        Authority::open(&dir.join("ca.pem"), &dir.join("ca.key"), "Test CA").unwrap()
    }

    #[test]
    fn a_device_certificate_lives_as_long_as_it_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let clock = Clock::default();
        let ca = authority(dir.path()).with_life(Some(Duration::from_secs(300)), &clock);
        clock.advance(Duration::from_secs(7 * 24 * 3600));
        let key = DeviceKey::generate(KeyKind::EcP256).unwrap();
        let made = Issued::from(ca.issue_client("AWS IoT Certificate", &key.public).unwrap());
        let certificate = Certificate::parse(&made.der).unwrap();
        let second = Duration::from_secs(1);
        certificate.check_dates(clock.now()).unwrap();
        certificate.check_dates(clock.now() + 298 * second).unwrap();
        assert!(certificate.check_dates(clock.now() + 302 * second).is_err());
        assert!(certificate.check_dates(clock.now() - 2 * second).is_err(), "it begins now");
    }

    #[test]
    fn a_device_certificate_is_signed_by_the_ca_and_ends_with_2049() {
        let dir = tempfile::tempdir().unwrap();
        let ca = authority(dir.path());
        let key = DeviceKey::generate(KeyKind::EcP256).unwrap();
        let made = Issued::from(ca.issue_client("AWS IoT Certificate", &key.public).unwrap());
        let leaf = Certificate::parse(&made.der).unwrap();
        let root = Certificate::parse_pem(&std::fs::read(dir.path().join("ca.pem")).unwrap()).unwrap();
        assert!(leaf.names_issuer(&root));
        assert_eq!(leaf.check_signature(&root), Ok(()));
        assert_eq!(root.check_signature(&leaf), Err(X509Error::BadSignature));
        assert!(check_ca(&root).is_ok());
        assert!(check_ca(&leaf).is_err());
        let end = SystemTime::UNIX_EPOCH + Duration::from_secs(2_524_607_999);
        assert_eq!(leaf.check_dates(end), Ok(()));
        assert_eq!(leaf.check_dates(end + Duration::from_secs(1)), Err(X509Error::Expired));
        assert_eq!(leaf.check_dates(SystemTime::UNIX_EPOCH), Err(X509Error::NotYetValid));
    }

    #[test]
    fn a_reopened_authority_signs_under_the_same_root() {
        let dir = tempfile::tempdir().unwrap();
        authority(dir.path());
        let root = Certificate::parse_pem(&std::fs::read(dir.path().join("ca.pem")).unwrap()).unwrap();
        let (leaf, _) =
            authority(dir.path()).issue_server(&["localhost".to_owned()], IpAddr::from([127, 0, 0, 1])).unwrap();
        let leaf = Certificate::parse(&leaf).unwrap();
        assert!(leaf.names_issuer(&root));
        assert_eq!(leaf.check_signature(&root), Ok(()));
    }
}
