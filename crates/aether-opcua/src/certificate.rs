//! The server's own key and certificate: made once, checked at each start, renewed before the end.
//!
//! ```text
//!  pki_dir/own/cert.der          the certificate
//!  pki_dir/private/private.pem   its key, mode 0600
//! ```

use std::{
    fs, io,
    io::Write,
    net::IpAddr,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rcgen::{
    CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, SanType, date_time_ymd,
};
use rsa::{
    RsaPrivateKey,
    pkcs8::{DecodePrivateKey, EncodePrivateKey, EncodePublicKey, LineEnding},
    traits::PublicKeyParts,
};
use tracing::{info, warn};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::error::StartError;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How long a certificate of ours is valid: ten years.
const LIFETIME: Duration = DAY.saturating_mul(3650);
/// A certificate of ours with less than this left is renewed at start: a year.
const RENEW_BEFORE: Duration = DAY.saturating_mul(365);
/// How far the clock of a client may be behind ours.
const CLOCK_MARGIN: Duration = DAY;
/// Every policy that is served takes 2048 to 4096 bits (Part 7, section 6.6).
const KEY_BITS: usize = 2048;
/// The organisation in certificates of ours, by which they are known again.
const ORGANISATION: &str = "Aether";

/// Where the key and the certificate are, and the ApplicationUri that the certificate carries.
#[derive(Clone, Debug)]
pub(crate) struct OwnCertificate {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) application_uri: String,
}

/// What a certificate of ours says.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    /// The CommonName.
    pub(crate) name: String,
    /// The ApplicationUri that a new certificate carries.
    pub(crate) application_uri: String,
    /// What an ApplicationUri made for this device ends with, whatever the machine was called then.
    pub(crate) uri_ending: String,
    /// Names and addresses of this machine.
    pub(crate) hosts: Vec<String>,
}

/// What stands in a certificate that is there already.
struct Found {
    ours: bool,
    application_uri: Option<String>,
    public_key: Vec<u8>,
    left: Option<Duration>,
}

impl OwnCertificate {
    /// Makes, takes up or renews the key and certificate in `pki_dir`.
    ///
    /// A certificate that somebody else made is used with the ApplicationUri that it carries, and
    /// never replaced.
    pub(crate) fn ensure(pki_dir: &Path, subject: &Subject) -> Result<Self, StartError> {
        let path = |dir: &str, file: &str| pki_dir.join(dir).join(file);
        let (certificate, key) = (path("own", "cert.der"), path("private", "private.pem"));
        for dir in ["own", "private"] {
            make_private_dir(&pki_dir.join(dir))?;
        }
        let mut own = Self { certificate, key, application_uri: subject.application_uri.clone() };
        match (own.key.exists(), own.certificate.exists()) {
            (false, false) => {
                own.make_key()?;
                own.make_certificate(subject)?;
                info!(path = %own.certificate.display(), "made the OPC UA server's certificate");
            }
            (true, false) => own.make_certificate(subject)?,
            (false, true) => {
                let found = "the key of the server's certificate is missing";
                return Err(problem(&own.key, found, "put it back, or remove own/cert.der to have both made anew"));
            }
            (true, true) => own.take_up(subject)?,
        }
        Ok(own)
    }

    fn take_up(&mut self, subject: &Subject) -> Result<(), StartError> {
        let key = self.read_key()?;
        let found = self.read_certificate()?;
        let public_key = key.to_public_key().to_public_key_der();
        if public_key.map_or(true, |der| der.as_bytes() != found.public_key) {
            let fix = "put the certificate of private/private.pem there, or remove both to have them made anew";
            return Err(problem(&self.certificate, "the certificate belongs to another key", fix));
        }
        let uri = found.application_uri.filter(|uri| !found.ours || uri.ends_with(&subject.uri_ending));
        let Some(uri) = uri else {
            if found.ours {
                info!(path = %self.certificate.display(), "made the OPC UA server's certificate anew: the device has another id");
                return self.make_certificate(subject);
            }
            let fix = "use a certificate with a URI among its alternative names (OPC UA Part 6, section 6.2.2)";
            return Err(problem(&self.certificate, "the certificate names no ApplicationUri", fix));
        };
        self.application_uri = uri;
        match (found.left, found.ours) {
            (Some(left), _) if left >= RENEW_BEFORE => Ok(()),
            (_, true) => {
                info!(path = %self.certificate.display(), "renewed the OPC UA server's certificate: clients that pinned it have to accept it anew");
                self.make_certificate(&Subject { application_uri: self.application_uri.clone(), ..subject.clone() })
            }
            (Some(left), false) => {
                warn!(days = left.as_secs() / DAY.as_secs(), path = %self.certificate.display(), "the OPC UA server's certificate ends soon");
                Ok(())
            }
            (None, false) => {
                let fix = "put a new one there, or remove it and private/private.pem to have both made";
                Err(problem(&self.certificate, "the certificate has expired", fix))
            }
        }
    }

    fn make_key(&self) -> Result<(), StartError> {
        let made = RsaPrivateKey::new(&mut rsa::rand_core::OsRng, KEY_BITS)
            .map_err(|e| e.to_string())
            .and_then(|key| key.to_pkcs8_pem(LineEnding::LF).map_err(|e| e.to_string()))
            .map_err(|reason| StartError::Library { reason })?;
        write_private(&self.key, made.as_bytes())
    }

    fn make_certificate(&self, subject: &Subject) -> Result<(), StartError> {
        self.read_key()?;
        let pem = fs::read_to_string(&self.key).map_err(|e| unreadable(&self.key, e))?;
        let refused = |e: rcgen::Error| StartError::Library { reason: e.to_string() };
        let key = KeyPair::from_pem(&pem).map_err(refused)?;
        let certificate =
            params(subject, since_1970() + LIFETIME).and_then(|params| params.self_signed(&key)).map_err(refused)?;
        write_private(&self.certificate, certificate.der())
    }

    fn read_key(&self) -> Result<RsaPrivateKey, StartError> {
        let mode = fs::metadata(&self.key).map_err(|e| unreadable(&self.key, e))?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            let found = format!("the key is open to others, mode {mode:04o}");
            return Err(problem(&self.key, found, "set mode 0600, and consider whether somebody has read it"));
        }
        let pem = fs::read_to_string(&self.key).map_err(|e| unreadable(&self.key, e))?;
        let fix = "put an RSA key of 2048 to 4096 bits there (PKCS#8, PEM)";
        let key = RsaPrivateKey::from_pkcs8_pem(&pem)
            .map_err(|_| problem(&self.key, "the file holds no RSA key in PKCS#8 PEM", fix))?;
        let bits = key.n().bits();
        if (KEY_BITS..=4096).contains(&bits) {
            Ok(key)
        } else {
            Err(problem(&self.key, format!("the key has {bits} bits"), fix))
        }
    }

    fn read_certificate(&self) -> Result<Found, StartError> {
        let der = fs::read(&self.certificate).map_err(|e| unreadable(&self.certificate, e))?;
        let (_, certificate) = X509Certificate::from_der(&der).map_err(|_| {
            let fix = "put a DER certificate there, or remove it to have one made";
            problem(&self.certificate, "the file holds no X.509 certificate in DER", fix)
        })?;
        let organisation = certificate.subject().iter_organization().next().and_then(|o| o.as_str().ok());
        let names = certificate.subject_alternative_name().ok().flatten();
        let uri = names.and_then(|names| {
            let uri =
                |name: &GeneralName<'_>| if let GeneralName::URI(uri) = name { Some((*uri).to_owned()) } else { None };
            names.value.general_names.iter().find_map(uri)
        });
        let end = u64::try_from(certificate.validity().not_after.timestamp()).unwrap_or(0);
        Ok(Found {
            ours: certificate.subject() == certificate.issuer() && organisation == Some(ORGANISATION),
            application_uri: uri,
            public_key: certificate.public_key().raw.to_vec(),
            left: Duration::from_secs(end).checked_sub(since_1970()),
        })
    }
}

/// Follows Part 6, section 6.2.2.
fn params(subject: &Subject, end: Duration) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::default();
    let epoch = date_time_ymd(1970, 1, 1);
    params.not_before = epoch + since_1970().saturating_sub(CLOCK_MARGIN);
    params.not_after = epoch + end;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, subject.name.as_str());
    params.distinguished_name.push(DnType::OrganizationName, ORGANISATION);
    // The ApplicationUri comes first: some stacks look at the first name only.
    params.subject_alt_names = vec![SanType::URI(subject.application_uri.as_str().try_into()?)];
    for host in &subject.hosts {
        params.subject_alt_names.push(match host.parse::<IpAddr>() {
            Ok(ip) => SanType::IpAddress(ip),
            Err(_) => SanType::DnsName(host.as_str().try_into()?),
        });
    }
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![
        KeyUsagePurpose::DigitalSignature,
        KeyUsagePurpose::ContentCommitment,
        KeyUsagePurpose::KeyEncipherment,
        KeyUsagePurpose::DataEncipherment,
        KeyUsagePurpose::KeyCertSign,
    ];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Makes a directory that only this user can enter, with those above it.
pub(crate) fn make_private_dir(path: &Path) -> Result<(), StartError> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|e| StartError::Certificate {
        path: path.to_owned(),
        found: "the directory cannot be made".to_owned(),
        fix: "choose another `pki_dir` or give this program the right to write there",
        source: Some(e),
    })
}

/// Writes a file that only this user can read, whole or not at all.
fn write_private(path: &Path, content: &[u8]) -> Result<(), StartError> {
    let new = path.with_extension("new");
    let write = || -> io::Result<()> {
        match fs::remove_file(&new) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&new, path)
    };
    write().map_err(|e| StartError::Certificate {
        path: path.to_owned(),
        found: "the file cannot be written".to_owned(),
        fix: "give this program the right and the room to write there",
        source: Some(e),
    })
}

fn unreadable(path: &Path, source: io::Error) -> StartError {
    let (found, fix) = ("the file cannot be read".to_owned(), "give this program the right to read it");
    StartError::Certificate { path: path.to_owned(), found, fix, source: Some(source) }
}

fn problem(path: &Path, found: impl Into<String>, fix: &'static str) -> StartError {
    StartError::Certificate { path: path.to_owned(), found: found.into(), fix, source: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject() -> Subject {
        Subject {
            name: "press 3".to_owned(),
            application_uri: "urn:gateway:aether:press%203".to_owned(),
            uri_ending: ":aether:press%203".to_owned(),
            hosts: vec!["gateway".to_owned(), "192.0.2.5".to_owned()],
        }
    }

    /// Puts a certificate in place of the one that is there, for the same key.
    fn replace(own: &OwnCertificate, subject: &Subject, organisation: &str, end: Duration) {
        let key = KeyPair::from_pem(&fs::read_to_string(&own.key).unwrap()).unwrap();
        let mut params = params(subject, end).unwrap();
        params.distinguished_name.push(DnType::OrganizationName, organisation);
        fs::write(&own.certificate, params.self_signed(&key).unwrap().der()).unwrap();
    }

    fn left(own: &OwnCertificate) -> Option<Duration> {
        own.read_certificate().unwrap().left
    }

    #[test]
    fn a_certificate_is_renewed_before_its_end_and_keeps_key_and_uri() {
        let dir = tempfile::tempdir().unwrap();
        let own = OwnCertificate::ensure(dir.path(), &subject()).unwrap();
        assert!(left(&own).is_some_and(|left| left > LIFETIME - DAY));
        let key = fs::read(&own.key).unwrap();
        for end in [since_1970() + RENEW_BEFORE - DAY, since_1970() - DAY] {
            replace(&own, &subject(), ORGANISATION, end);
            // The machine has another name by now; the server stays the same to its clients.
            let moved = Subject { application_uri: "urn:elsewhere:aether:press%203".to_owned(), ..subject() };
            let renewed = OwnCertificate::ensure(dir.path(), &moved).unwrap();
            assert_eq!(renewed.application_uri, "urn:gateway:aether:press%203");
            assert!(left(&renewed).is_some_and(|left| left > LIFETIME - DAY));
            assert_eq!(renewed.read_certificate().unwrap().application_uri, Some(renewed.application_uri));
            assert_eq!(fs::read(&own.key).unwrap(), key);
        }
    }

    #[test]
    fn a_certificate_made_by_others_is_used_as_it_is_until_it_ends() {
        let dir = tempfile::tempdir().unwrap();
        let own = OwnCertificate::ensure(dir.path(), &subject()).unwrap();
        let theirs = Subject { application_uri: "urn:works:server".to_owned(), ..subject() };
        replace(&own, &theirs, "Works", since_1970() + DAY);
        let before = fs::read(&own.certificate).unwrap();
        let used = OwnCertificate::ensure(dir.path(), &subject()).unwrap();
        assert_eq!((used.application_uri.as_str(), fs::read(&own.certificate).unwrap()), ("urn:works:server", before));
        replace(&own, &theirs, "Works", since_1970() - DAY);
        let error = OwnCertificate::ensure(dir.path(), &subject()).unwrap_err().to_string();
        assert!(error.contains("cert.der") && error.contains("expired"), "{error}");
    }
}
