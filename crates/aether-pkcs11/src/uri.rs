//! Where a token and a key in it are: PKCS#11 URIs (RFC 7512).

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::percent;

/// Names a token and a key in it: a PKCS#11 URI (RFC 7512).
///
/// Understood in the path: `token`, `serial`, `manufacturer`, `model`, `slot-id`, `object`, `id` and `type=private`. In
/// the query: `module-path` (absolute) and `pin-source` (a `file:` URI or an absolute path). Whatever else there is, is
/// refused rather than passed over: a name that narrows the choice of a key must not be lost to a typing error.
///
/// `pin-value` is refused as well: a URI stands in settings and logs, and a PIN must not. So no value of this type holds
/// a secret, and `Display` and `Debug` show all of it.
///
/// ```
/// use aether_pkcs11::Pkcs11Uri;
///
/// let uri: Pkcs11Uri = "pkcs11:token=Press%203;object=device-key?pin-source=file:/etc/aether/pin".parse()?;
/// assert_eq!(uri.token(), Some("Press 3"));
/// assert_eq!(uri.object(), Some("device-key"));
/// # Ok::<(), aether_pkcs11::InvalidUri>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pkcs11Uri {
    text: String,
    parts: Parts,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Parts {
    token: Option<String>,
    serial: Option<String>,
    manufacturer: Option<String>,
    model: Option<String>,
    slot_id: Option<u64>,
    object: Option<String>,
    id: Option<Vec<u8>>,
    module_path: Option<PathBuf>,
    pin_source: Option<PathBuf>,
}

/// Why a text is no PKCS#11 URI for a private key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidUri {
    /// The text begins with another scheme.
    #[error("a PKCS#11 URI begins with \"pkcs11:\"")]
    Scheme,
    /// A part is not of the form `name=value`.
    #[error("part {place} of the PKCS#11 URI is not of the form name=value")]
    Form {
        /// Which part, counted from 1 over path and query.
        place: usize,
    },
    /// An attribute that is not understood here. Its value is not shown: it may be a secret under a mistyped name.
    #[error(
        "the PKCS#11 URI has the attribute {name:?}, expected token, serial, manufacturer, model, slot-id, object, id, \
         type, module-path or pin-source"
    )]
    Unknown {
        /// The attribute.
        name: String,
    },
    /// An attribute stands there twice (RFC 7512, section 2.3).
    #[error("the PKCS#11 URI has the attribute {name} twice")]
    Repeated {
        /// The attribute.
        name: &'static str,
    },
    /// The value of an attribute is not what belongs there.
    #[error("the PKCS#11 URI has {name}={found}, expected {expected}")]
    Value {
        /// The attribute.
        name: &'static str,
        /// What belongs there.
        expected: &'static str,
        /// The value found, as it was written.
        found: String,
    },
    /// A PIN stands in the URI.
    #[error(
        "the PKCS#11 URI has a pin-value, which would be a secret among settings: \
         write the PIN to a file of mode 0600 and name it with pin-source=file:/path"
    )]
    PinValue,
    /// A module is named without its place.
    #[error("the PKCS#11 URI has a module-name, whose place differs from system to system: use module-path")]
    ModuleName,
}

impl Pkcs11Uri {
    /// The URI as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Label of the token.
    #[must_use]
    pub fn token(&self) -> Option<&str> {
        self.parts.token.as_deref()
    }

    /// Serial number of the token.
    #[must_use]
    pub fn serial(&self) -> Option<&str> {
        self.parts.serial.as_deref()
    }

    /// Maker of the token.
    #[must_use]
    pub fn manufacturer(&self) -> Option<&str> {
        self.parts.manufacturer.as_deref()
    }

    /// Model of the token.
    #[must_use]
    pub fn model(&self) -> Option<&str> {
        self.parts.model.as_deref()
    }

    /// Number of the slot.
    #[must_use]
    pub fn slot_id(&self) -> Option<u64> {
        self.parts.slot_id
    }

    /// Label of the key (`CKA_LABEL`).
    #[must_use]
    pub fn object(&self) -> Option<&str> {
        self.parts.object.as_deref()
    }

    /// Identifier of the key (`CKA_ID`).
    #[must_use]
    pub fn id(&self) -> Option<&[u8]> {
        self.parts.id.as_deref()
    }

    /// The PKCS#11 library.
    #[must_use]
    pub fn module_path(&self) -> Option<&Path> {
        self.parts.module_path.as_deref()
    }

    /// The file that holds the PIN.
    #[must_use]
    pub fn pin_source(&self) -> Option<&Path> {
        self.parts.pin_source.as_deref()
    }

    /// The URI of a key in a token. What is empty is left out.
    pub(crate) fn of_key(token: &str, serial: &str, object: &str, id: &[u8]) -> Self {
        let pairs =
            [("token", token.as_bytes()), ("serial", serial.as_bytes()), ("object", object.as_bytes()), ("id", id)];
        let pairs = pairs.iter().filter(|(_, value)| !value.is_empty());
        let written: Vec<String> = pairs.map(|(name, value)| format!("{name}={}", percent::encode(value))).collect();
        let text = |value: &str| (!value.is_empty()).then(|| value.to_owned());
        let parts = Parts {
            token: text(token),
            serial: text(serial),
            object: text(object),
            id: (!id.is_empty()).then(|| id.to_vec()),
            ..Parts::default()
        };
        Self { text: format!("pkcs11:{};type=private", written.join(";")), parts }
    }
}

impl FromStr for Pkcs11Uri {
    type Err = InvalidUri;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let (scheme, rest) = s.split_once(':').ok_or(InvalidUri::Scheme)?;
        if !scheme.eq_ignore_ascii_case("pkcs11") {
            return Err(InvalidUri::Scheme);
        }
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let of_path = path.split(';').filter(|part| !part.is_empty());
        let of_query = query.split('&').filter(|part| !part.is_empty());
        let mut parts = Parts::default();
        let mut has_type = false;
        for (at, part) in of_path.map(|part| (part, false)).chain(of_query.map(|part| (part, true))).enumerate() {
            let (part, in_query) = part;
            let (name, value) = part.split_once('=').ok_or(InvalidUri::Form { place: at + 1 })?;
            match (name, in_query) {
                ("token", false) => set(&mut parts.token, "token", text("token", value)?)?,
                ("serial", false) => set(&mut parts.serial, "serial", text("serial", value)?)?,
                ("manufacturer", false) => set(&mut parts.manufacturer, "manufacturer", text("manufacturer", value)?)?,
                ("model", false) => set(&mut parts.model, "model", text("model", value)?)?,
                ("object", false) => set(&mut parts.object, "object", text("object", value)?)?,
                ("id", false) => set(&mut parts.id, "id", bytes("id", value)?)?,
                ("slot-id", false) => {
                    let number = value.parse().map_err(|_| wrong("slot-id", "a number", value))?;
                    set(&mut parts.slot_id, "slot-id", number)?;
                }
                ("type", false) if has_type => return Err(InvalidUri::Repeated { name: "type" }),
                ("type", false) if value == "private" => has_type = true,
                ("type", false) => return Err(wrong("type", "private", value)),
                ("module-path", true) => set(&mut parts.module_path, "module-path", file("module-path", value)?)?,
                ("pin-source", true) => set(&mut parts.pin_source, "pin-source", file("pin-source", value)?)?,
                ("pin-value", _) => return Err(InvalidUri::PinValue),
                ("module-name", true) => return Err(InvalidUri::ModuleName),
                _ => return Err(InvalidUri::Unknown { name: name.to_owned() }),
            }
        }
        Ok(Self { text: s.to_owned(), parts })
    }
}

impl fmt::Display for Pkcs11Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn set<T>(place: &mut Option<T>, name: &'static str, value: T) -> Result<(), InvalidUri> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(InvalidUri::Repeated { name }),
    }
}

fn wrong(name: &'static str, expected: &'static str, found: &str) -> InvalidUri {
    InvalidUri::Value { name, expected, found: found.to_owned() }
}

fn bytes(name: &'static str, value: &str) -> Result<Vec<u8>, InvalidUri> {
    let decoded = percent::decode(value).filter(|bytes| !bytes.is_empty());
    decoded.ok_or_else(|| wrong(name, "one byte or more, percent-encoded", value))
}

fn text(name: &'static str, value: &str) -> Result<String, InvalidUri> {
    let decoded = percent::decode(value).and_then(|bytes| String::from_utf8(bytes).ok());
    let decoded = decoded.filter(|text| !text.is_empty() && !text.contains('\0'));
    decoded.ok_or_else(|| wrong(name, "a text in UTF-8, percent-encoded", value))
}

/// An absolute path, as it is or as a `file:` URI (RFC 8089).
fn file(name: &'static str, value: &str) -> Result<PathBuf, InvalidUri> {
    let decoded = text(name, value)?;
    let path = decoded.strip_prefix("file:").unwrap_or(&decoded);
    let path = path.strip_prefix("//localhost").or_else(|| path.strip_prefix("//")).unwrap_or(path);
    let path = PathBuf::from(path);
    if path.is_absolute() { Ok(path) } else { Err(wrong(name, "an absolute path, or file: and one", value)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn read(text: &str) -> Pkcs11Uri {
        text.parse().unwrap()
    }

    #[track_caller]
    fn refused(text: &str) -> InvalidUri {
        text.parse::<Pkcs11Uri>().unwrap_err()
    }

    #[test]
    fn every_part_is_read() {
        let uri = read(
            "pkcs11:token=The%20token;manufacturer=Snake%20Oil%2C%20Inc.;model=1.0;serial=1a2b;slot-id=7;object=key;\
             id=%01%FFa;type=private?module-path=/usr/lib/p11.so&pin-source=file:///etc/pin",
        );
        assert_eq!(uri.token(), Some("The token"));
        assert_eq!(uri.manufacturer(), Some("Snake Oil, Inc."));
        assert_eq!((uri.model(), uri.serial(), uri.slot_id()), (Some("1.0"), Some("1a2b"), Some(7)));
        assert_eq!((uri.object(), uri.id()), (Some("key"), Some(&[1, 0xff, b'a'][..])));
        assert_eq!(uri.module_path(), Some(Path::new("/usr/lib/p11.so")));
        assert_eq!(uri.pin_source(), Some(Path::new("/etc/pin")));
    }

    #[test]
    fn an_empty_uri_names_every_token() {
        assert_eq!(read("pkcs11:").parts, Parts::default());
        assert_eq!(read("PKCS11:?").parts, Parts::default());
    }

    #[test]
    fn files_are_named_by_path_or_by_uri() {
        for source in ["/etc/pin", "file:/etc/pin", "file:///etc/pin", "file://localhost/etc/pin", "%2Fetc%2Fpin"] {
            assert_eq!(read(&format!("pkcs11:?pin-source={source}")).pin_source(), Some(Path::new("/etc/pin")));
        }
        for source in ["pin", "file:pin", "|/usr/bin/ask", ""] {
            let error = refused(&format!("pkcs11:?pin-source={source}"));
            assert!(matches!(error, InvalidUri::Value { name: "pin-source", .. }), "{source}: {error:?}");
        }
    }

    #[test]
    fn a_pin_in_the_uri_is_refused_and_not_repeated() {
        for text in ["pkcs11:token=x?pin-value=123456", "pkcs11:pin-value=123456", "pkcs11:?pinvalue=123456"] {
            let error = refused(text);
            assert!(!format!("{error} {error:?}").contains("123456"), "{error}");
        }
        assert_eq!(refused("pkcs11:token=x?pin-value=123456"), InvalidUri::PinValue);
    }

    #[test]
    fn what_does_not_belong_is_refused_by_name() {
        assert_eq!(refused("token=x"), InvalidUri::Scheme);
        assert_eq!(refused("file:/x"), InvalidUri::Scheme);
        assert_eq!(refused("pkcs11:token=x;object"), InvalidUri::Form { place: 2 });
        assert_eq!(refused("pkcs11:token=x;token=y"), InvalidUri::Repeated { name: "token" });
        assert_eq!(refused("pkcs11:type=private;type=private"), InvalidUri::Repeated { name: "type" });
        assert_eq!(refused("pkcs11:lable=x"), InvalidUri::Unknown { name: "lable".into() });
        assert_eq!(refused("pkcs11:?module-name=softhsm2"), InvalidUri::ModuleName);
        // In the wrong half of the URI.
        assert_eq!(refused("pkcs11:module-path=/x"), InvalidUri::Unknown { name: "module-path".into() });
        for (text, name) in [
            ("pkcs11:type=cert", "type"),
            ("pkcs11:slot-id=first", "slot-id"),
            ("pkcs11:token=%zz", "token"),
            ("pkcs11:token=%e", "token"),
            ("pkcs11:token=%FF", "token"),
            ("pkcs11:token=a%00b", "token"),
            ("pkcs11:id=", "id"),
            ("pkcs11:?module-path=p11.so", "module-path"),
        ] {
            let error = refused(text);
            assert!(matches!(error, InvalidUri::Value { name: found, .. } if found == name), "{text}: {error:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn every_name_survives_its_uri(token in "[^\\x00]{1,32}", object in "[^\\x00]{1,40}", id in proptest::collection::vec(0_u8.., 1..40)) {
            let made = Pkcs11Uri::of_key(&token, "00ab", &object, &id);
            proptest::prop_assert_eq!(made.as_str().parse(), Ok(made.clone()));
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in "(pkcs11:)?([a-z-]{0,8}=?[%0-9a-f/]{0,6}[;?&]?){0,6}.{0,8}") {
            // Only that it returns is of interest.
            let _ = text.parse::<Pkcs11Uri>();
        }
    }

    #[test]
    fn the_uri_of_a_key_is_read_back_as_it_was_made() {
        let made = Pkcs11Uri::of_key("Press 3; \u{e9}?&=%", "00ab", "device-key", &[0, 1, 0x20, 0xff]);
        assert_eq!(read(made.as_str()), made);
        assert!(made.as_str().contains("serial=00ab;object=device-key;id=%00%01%20%FF;type=private"), "{made}");
    }
}
