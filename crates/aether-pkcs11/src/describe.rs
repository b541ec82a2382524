//! What a key in a token is: its kind, its public half, its name.

use aether_mqtt::{KeyAlgorithm, SignatureScheme};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};

use crate::error::TokenError;
use crate::token::{KeyName, Open};
use crate::{der, signer};

/// A private key, as its token describes it.
pub(crate) struct Description {
    /// Its whole name, by which it is found again.
    pub(crate) name: KeyName,
    /// Its label as text; empty if it is no text.
    pub(crate) object: String,
    pub(crate) algorithm: KeyAlgorithm,
    pub(crate) public_key_der: Vec<u8>,
    pub(crate) schemes: Vec<SignatureScheme>,
}

/// The attributes that are of interest, of a private key and of its public half.
#[derive(Default)]
struct Found {
    key_type: Option<KeyType>,
    id: Vec<u8>,
    label: Vec<u8>,
    curve: Vec<u8>,
    point: Vec<u8>,
    modulus: Vec<u8>,
    exponent: Vec<u8>,
    extractable: bool,
    always_authenticate: bool,
}

/// Describes the private key of this handle.
pub(crate) fn describe(open: &Open, key: ObjectHandle) -> Result<Description, TokenError> {
    let mut found = Found::default();
    found.take(open.session().get_attributes(
        key,
        &[
            AttributeType::KeyType,
            AttributeType::Id,
            AttributeType::Label,
            AttributeType::EcParams,
            AttributeType::Modulus,
            AttributeType::PublicExponent,
            AttributeType::Extractable,
            AttributeType::AlwaysAuthenticate,
        ],
    )?);
    let name = KeyName { id: found.id.clone(), label: found.label.clone() };
    if found.always_authenticate {
        return unusable("it wants the PIN again for every signature (CKA_ALWAYS_AUTHENTICATE)");
    }
    // The public half has the same identifier; where there is none, the same label.
    let half = if name.id.is_empty() { name.clone() } else { KeyName { label: Vec::new(), ..name.clone() } };
    let public = open.session().find_objects(&half.template(ObjectClass::PUBLIC_KEY))?;
    if let [public] = public.as_slice() {
        let wanted =
            [AttributeType::EcParams, AttributeType::EcPoint, AttributeType::Modulus, AttributeType::PublicExponent];
        found.take(open.session().get_attributes(*public, &wanted)?);
    }
    let (algorithm, public_key_der) = found.public_key()?;
    let schemes = signer::schemes(algorithm, &open.mechanisms);
    if schemes.is_empty() {
        return unusable(&format!("the token {:?} has no mechanism to sign with {algorithm}", open.label));
    }
    let object = String::from_utf8(name.label.clone()).unwrap_or_default();
    if found.extractable {
        tracing::warn!(token = open.label, object, "this private key may be taken out of its token");
    }
    Ok(Description { name, object, algorithm, public_key_der, schemes })
}

impl Found {
    /// Takes over what is there; what is known stays.
    #[expect(clippy::wildcard_enum_match_arm, reason = "of some hundred attributes only those asked for come")]
    fn take(&mut self, attributes: Vec<Attribute>) {
        for attribute in attributes {
            match attribute {
                Attribute::KeyType(key_type) => self.key_type = Some(key_type),
                Attribute::Id(id) => self.id = id,
                Attribute::Label(label) => self.label = label,
                Attribute::EcParams(curve) if !curve.is_empty() => self.curve = curve,
                Attribute::EcPoint(point) if !point.is_empty() => self.point = point,
                Attribute::Modulus(modulus) if !modulus.is_empty() => self.modulus = modulus,
                Attribute::PublicExponent(exponent) if !exponent.is_empty() => self.exponent = exponent,
                Attribute::Extractable(extractable) => self.extractable = extractable,
                Attribute::AlwaysAuthenticate(always) => self.always_authenticate = always,
                _ => {}
            }
        }
    }

    fn public_key(&self) -> Result<(KeyAlgorithm, Vec<u8>), TokenError> {
        if self.key_type == Some(KeyType::RSA) {
            return self.rsa();
        }
        if self.key_type != Some(KeyType::EC) {
            return unusable("it is neither an elliptic-curve nor an RSA key");
        }
        let (algorithm, size) = match self.curve.as_slice() {
            der::P256 => (KeyAlgorithm::EcdsaP256, 32),
            der::P384 => (KeyAlgorithm::EcdsaP384, 48),
            _ => return unusable("it is on another curve than P-256 and P-384"),
        };
        match der::point(&self.point, size) {
            Some(point) => Ok((algorithm, der::elliptic_spki(&self.curve, point))),
            None if self.point.is_empty() => unusable("the token has no public key of the same id"),
            None => unusable("its public key is not an uncompressed point of its curve"),
        }
    }

    fn rsa(&self) -> Result<(KeyAlgorithm, Vec<u8>), TokenError> {
        if self.modulus.is_empty() || self.exponent.is_empty() {
            return unusable("the token has no public key of the same id");
        }
        let bits = der::bits(&self.modulus);
        if bits < 2048 {
            return unusable(&format!("it is RSA of {bits} bits, expected at least 2048"));
        }
        Ok((KeyAlgorithm::Rsa, der::rsa_spki(&self.modulus, &self.exponent)))
    }
}

fn unusable<T>(why: &str) -> Result<T, TokenError> {
    Err(TokenError::Unusable(why.to_owned()))
}
