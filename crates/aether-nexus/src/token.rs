//! Who may start this runtime: an offline check of a signed token.

use std::{fmt, path::Path};

use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, errors::ErrorKind};

/// Says whether a token is good, without asking anybody.
pub trait TokenVerifier: fmt::Debug + Send + Sync {
    /// Checks the token at this moment.
    ///
    /// # Errors
    ///
    /// The token is not good; the same token will not become good by trying again.
    fn verify(&self, token: &str) -> Result<(), TokenError>;
}

/// Verifies JSON Web Tokens (RFC 7519) with one public key: EdDSA with Ed25519 (RFC 8037) or ES256.
///
/// Checked are the signature, `exp` (must be there and in the future), `nbf` (where it is there)
/// and `aud` (must be there and name the audience). No leeway is given to clocks.
pub struct JwtVerifier {
    key: DecodingKey,
    validation: Validation,
}

impl JwtVerifier {
    /// Makes a verifier from a public key in PEM (`-----BEGIN PUBLIC KEY-----`) and the audience
    /// that tokens must name.
    ///
    /// # Errors
    ///
    /// The text holds no Ed25519 and no P-256 public key.
    pub fn from_pem(public_key: &[u8], audience: &str) -> Result<Self, TokenError> {
        let ed25519 = DecodingKey::from_ed_pem(public_key).map(|key| (key, Algorithm::EdDSA));
        let either = ed25519.or_else(|_| DecodingKey::from_ec_pem(public_key).map(|key| (key, Algorithm::ES256)));
        let (key, algorithm) = either.map_err(|cause| TokenError::Key(Box::new(cause)))?;
        // One algorithm, from the key and never from the token's own header.
        let mut validation = Validation::new(algorithm);
        validation.set_audience(&[audience]);
        validation.set_required_spec_claims(&["exp", "aud"]);
        validation.validate_nbf = true;
        validation.leeway = 0;
        Ok(Self { key, validation })
    }

    /// Reads the public key from a file; see [`from_pem`](Self::from_pem).
    ///
    /// # Errors
    ///
    /// The file cannot be read, or holds no Ed25519 and no P-256 public key.
    pub fn from_file(path: &Path, audience: &str) -> Result<Self, TokenError> {
        let pem = std::fs::read(path).map_err(|cause| TokenError::Key(Box::new(cause)))?;
        Self::from_pem(&pem, audience)
    }
}

impl TokenVerifier for JwtVerifier {
    fn verify(&self, token: &str) -> Result<(), TokenError> {
        match decode::<serde::de::IgnoredAny>(token, &self.key, &self.validation) {
            Ok(_) => Ok(()),
            Err(cause) => Err(match cause.kind() {
                ErrorKind::InvalidSignature => TokenError::Signature,
                ErrorKind::ExpiredSignature => TokenError::Expired,
                ErrorKind::ImmatureSignature => TokenError::NotYetValid,
                ErrorKind::InvalidAudience => {
                    TokenError::Audience { expected: self.validation.aud.iter().flatten().cloned().collect() }
                }
                ErrorKind::MissingRequiredClaim(claim) => TokenError::MissingClaim { claim: claim.clone() },
                ErrorKind::InvalidAlgorithm | ErrorKind::InvalidAlgorithmName => {
                    TokenError::Algorithm { expected: format!("{:?}", self.validation.algorithms[0]) }
                }
                // The rest say how the text is malformed. The token itself is not printed.
                _ => TokenError::Malformed,
            }),
        }
    }
}

impl fmt::Debug for JwtVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtVerifier").field("algorithms", &self.validation.algorithms).finish_non_exhaustive()
    }
}

/// Why a token is not accepted; final.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// The verification key cannot be used.
    #[error("the key is no Ed25519 or P-256 public key in PEM")]
    Key(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// There is a verification key and no token.
    #[error("no token was given, and `token_key` asks for one")]
    Missing,
    /// The text is not a JSON Web Token.
    #[error("the token is not a JSON Web Token with its three parts")]
    Malformed,
    /// Another algorithm than the key's.
    #[error("the token is signed with another algorithm than {expected}")]
    Algorithm {
        /// The algorithm of the key.
        expected: String,
    },
    /// Somebody else signed it, or it was changed.
    #[error("the token's signature does not fit the verification key")]
    Signature,
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
    /// Its time has not come.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// It is meant for another audience.
    #[error("the token is not for the audience `{expected}`")]
    Audience {
        /// The audience of this runtime.
        expected: String,
    },
    /// A claim is missing.
    #[error("the token lacks the claim `{claim}`")]
    MissingClaim {
        /// Its name.
        claim: String,
    },
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{EncodingKey, Header, encode, get_current_timestamp};
    use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519};

    use super::*;

    /// A signer of tokens and the verifier that trusts it.
    fn pair(algorithm: Algorithm) -> (EncodingKey, JwtVerifier) {
        let kind = if algorithm == Algorithm::EdDSA { &PKCS_ED25519 } else { &PKCS_ECDSA_P256_SHA256 };
        let key = KeyPair::generate_for(kind).unwrap();
        let der = key.serialize_der();
        let signer =
            if algorithm == Algorithm::EdDSA { EncodingKey::from_ed_der(&der) } else { EncodingKey::from_ec_der(&der) };
        (signer, JwtVerifier::from_pem(key.public_key_pem().as_bytes(), "aether").unwrap())
    }

    fn token(algorithm: Algorithm, signer: &EncodingKey, expires_in: i64, audience: &str) -> String {
        let expiry = i64::try_from(get_current_timestamp()).unwrap() + expires_in;
        let claims = serde_json::json!({ "exp": expiry, "aud": audience });
        encode(&Header::new(algorithm), &claims, signer).unwrap()
    }

    #[test]
    fn a_good_token_is_accepted_in_both_algorithms() {
        for algorithm in [Algorithm::EdDSA, Algorithm::ES256] {
            let (signer, verifier) = pair(algorithm);
            verifier.verify(&token(algorithm, &signer, 60, "aether")).unwrap();
        }
    }

    #[test]
    fn a_bad_token_is_refused_with_its_reason() {
        let (signer, verifier) = pair(Algorithm::EdDSA);
        let (stranger, _) = pair(Algorithm::EdDSA);
        let (ec_signer, _) = pair(Algorithm::ES256);
        let good = token(Algorithm::EdDSA, &signer, 60, "aether");
        let without_expiry = encode(&Header::new(Algorithm::EdDSA), &serde_json::json!({"aud": "aether"}), &signer);
        let expiry_as_text = serde_json::json!({"aud": "aether", "exp": "tomorrow"});
        let early = serde_json::json!({"aud": "aether", "exp": get_current_timestamp() + 99, "nbf": get_current_timestamp() + 50});

        #[track_caller]
        fn check(verifier: &JwtVerifier, token: &str, expected: &str) {
            let error = verifier.verify(token).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        check(&verifier, &token(Algorithm::EdDSA, &stranger, 60, "aether"), "signature");
        check(&verifier, &token(Algorithm::EdDSA, &signer, -1, "aether"), "expired");
        check(&verifier, &token(Algorithm::EdDSA, &signer, 60, "other"), "audience `aether`");
        check(&verifier, &token(Algorithm::ES256, &ec_signer, 60, "aether"), "algorithm");
        check(&verifier, &without_expiry.unwrap(), "`exp`");
        check(&verifier, &encode(&Header::new(Algorithm::EdDSA), &early, &signer).unwrap(), "not valid yet");
        check(&verifier, &encode(&Header::new(Algorithm::EdDSA), &expiry_as_text, &signer).unwrap(), "token");
        check(&verifier, "", "three parts");
        check(&verifier, "<your-aether-token>", "three parts");
        check(&verifier, &good[..good.len() - 2], "token");
        // The algorithm `none`: {"alg":"none","typ":"JWT"}.
        check(&verifier, &format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{}.", good.split('.').nth(1).unwrap()), "token");
    }

    #[test]
    fn a_private_key_or_another_text_is_no_verification_key() {
        let private = KeyPair::generate_for(&PKCS_ED25519).unwrap().serialize_pem();
        for text in ["", "-----BEGIN PUBLIC KEY-----", &private] {
            assert!(matches!(JwtVerifier::from_pem(text.as_bytes(), "aether"), Err(TokenError::Key(_))));
        }
    }
}
