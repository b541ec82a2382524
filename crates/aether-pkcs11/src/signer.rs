//! A key in a token that signs there.

use std::fmt;
use std::sync::Arc;

use aether_mqtt::{KeyAlgorithm, SignError, SignatureScheme, Signer};
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsPssParams};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::types::Ulong;
use ring::digest::{self, SHA256, SHA384, SHA512};

use crate::der;
use crate::error::{Class, TokenError};
use crate::token::{KeyName, Token};

/// A private key in a token.
pub(crate) struct TokenKey {
    pub(crate) token: Arc<Token>,
    pub(crate) name: KeyName,
    pub(crate) algorithm: KeyAlgorithm,
    pub(crate) public_key_der: Vec<u8>,
    pub(crate) schemes: Vec<SignatureScheme>,
    pub(crate) locator: String,
}

impl Signer for TokenKey {
    fn algorithm(&self) -> KeyAlgorithm {
        self.algorithm
    }

    fn public_key_der(&self) -> &[u8] {
        &self.public_key_der
    }

    fn locator(&self) -> &str {
        &self.locator
    }

    fn schemes(&self) -> &[SignatureScheme] {
        &self.schemes
    }

    fn sign(&self, scheme: SignatureScheme, message: &[u8]) -> Result<Vec<u8>, SignError> {
        if !self.schemes.contains(&scheme) {
            return Err(SignError::Scheme { algorithm: self.algorithm, scheme });
        }
        let signed = self.token.with(|open| {
            let key = open.private_key(&self.name)?.ok_or(TokenError::KeyGone)?;
            let plan = Plan::of(scheme, &open.mechanisms).ok_or_else(|| {
                TokenError::Unusable(format!("the token {:?} no longer signs with {scheme}", open.label))
            })?;
            let signature = open.session().sign(&plan.mechanism, key, &plan.prepare(message))?;
            plan.finish(signature)
        });
        signed.map_err(|error| match error.class() {
            Class::Lost | Class::Away => {
                SignError::Unavailable { locator: self.locator.clone(), source: Box::new(error) }
            }
            Class::Refused | Class::Final => SignError::Failed { scheme, source: Box::new(error) },
        })
    }
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenKey")
            .field("algorithm", &self.algorithm)
            .field("locator", &self.locator)
            .finish_non_exhaustive()
    }
}

/// The schemes of a kind of key that a token with these mechanisms can sign with.
pub(crate) fn schemes(algorithm: KeyAlgorithm, mechanisms: &[MechanismType]) -> Vec<SignatureScheme> {
    algorithm.schemes().iter().copied().filter(|scheme| Plan::of(*scheme, mechanisms).is_some()).collect()
}

/// How a token makes a signature of some scheme.
struct Plan {
    mechanism: Mechanism<'static>,
    input: Input,
    elliptic: bool,
}

/// What the token is given.
enum Input {
    Message,
    Hash(&'static digest::Algorithm),
    DigestInfo(&'static digest::Algorithm),
}

impl Plan {
    /// Hashing here comes first: it moves less through a slow token, and some limit what they hash themselves.
    fn of(scheme: SignatureScheme, mechanisms: &[MechanismType]) -> Option<Self> {
        let ecdsa =
            |hash, hashing| first(mechanisms, [(Mechanism::Ecdsa, Input::Hash(hash)), (hashing, Input::Message)], true);
        let pkcs1 = |hash, hashing| {
            first(mechanisms, [(Mechanism::RsaPkcs, Input::DigestInfo(hash)), (hashing, Input::Message)], false)
        };
        let pss = |hash, params, hashing: fn(PkcsPssParams) -> Mechanism<'static>| {
            let choices = [(Mechanism::RsaPkcsPss(params), Input::Hash(hash)), (hashing(params), Input::Message)];
            first(mechanisms, choices, false)
        };
        match scheme {
            SignatureScheme::EcdsaP256Sha256 => ecdsa(&SHA256, Mechanism::EcdsaSha256),
            SignatureScheme::EcdsaP384Sha384 => ecdsa(&SHA384, Mechanism::EcdsaSha384),
            SignatureScheme::RsaPkcs1Sha256 => pkcs1(&SHA256, Mechanism::Sha256RsaPkcs),
            SignatureScheme::RsaPkcs1Sha384 => pkcs1(&SHA384, Mechanism::Sha384RsaPkcs),
            SignatureScheme::RsaPkcs1Sha512 => pkcs1(&SHA512, Mechanism::Sha512RsaPkcs),
            SignatureScheme::RsaPssSha256 => {
                pss(&SHA256, params(MechanismType::SHA256, PkcsMgfType::MGF1_SHA256, 32), Mechanism::Sha256RsaPkcsPss)
            }
            SignatureScheme::RsaPssSha384 => {
                pss(&SHA384, params(MechanismType::SHA384, PkcsMgfType::MGF1_SHA384, 48), Mechanism::Sha384RsaPkcsPss)
            }
            SignatureScheme::RsaPssSha512 => {
                pss(&SHA512, params(MechanismType::SHA512, PkcsMgfType::MGF1_SHA512, 64), Mechanism::Sha512RsaPkcsPss)
            }
            SignatureScheme::Ed25519 | _ => None,
        }
    }

    fn prepare(&self, message: &[u8]) -> Vec<u8> {
        match self.input {
            Input::Message => message.to_vec(),
            Input::Hash(algorithm) => digest::digest(algorithm, message).as_ref().to_vec(),
            Input::DigestInfo(algorithm) => der::digest_info(digest::digest(algorithm, message).as_ref()),
        }
    }

    fn finish(&self, signature: Vec<u8>) -> Result<Vec<u8>, TokenError> {
        if !self.elliptic {
            return Ok(signature);
        }
        let length = signature.len();
        let unusable = || TokenError::Unusable(format!("the token gave an ECDSA signature of {length} bytes"));
        der::signature(&signature).ok_or_else(unusable)
    }
}

fn first(mechanisms: &[MechanismType], choices: [(Mechanism<'static>, Input); 2], elliptic: bool) -> Option<Plan> {
    let found = choices.into_iter().find(|(mechanism, _)| mechanisms.contains(&mechanism.mechanism_type()));
    found.map(|(mechanism, input)| Plan { mechanism, input, elliptic })
}

/// TLS wants a salt as long as the hash (RFC 8446, section 4.2.3).
fn params(hash_alg: MechanismType, mgf: PkcsMgfType, salt: u8) -> PkcsPssParams {
    PkcsPssParams { hash_alg, mgf, s_len: Ulong::new(salt.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_offers_what_its_mechanisms_allow() {
        let rsa = |mechanisms: &[MechanismType]| schemes(KeyAlgorithm::Rsa, mechanisms);
        assert_eq!(rsa(&[MechanismType::RSA_PKCS, MechanismType::RSA_PKCS_PSS]), KeyAlgorithm::Rsa.schemes());
        assert_eq!(rsa(&[MechanismType::SHA256_RSA_PKCS]), [SignatureScheme::RsaPkcs1Sha256]);
        assert_eq!(rsa(&[MechanismType::SHA384_RSA_PKCS_PSS]), [SignatureScheme::RsaPssSha384]);
        assert_eq!(schemes(KeyAlgorithm::EcdsaP384, &[MechanismType::ECDSA]), [SignatureScheme::EcdsaP384Sha384]);
        assert_eq!(schemes(KeyAlgorithm::EcdsaP256, &[MechanismType::ECDSA_SHA384]), []);
        assert_eq!(schemes(KeyAlgorithm::Ed25519, &[MechanismType::EDDSA]), []);
    }
}
