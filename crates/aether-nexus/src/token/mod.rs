//! Who may start this runtime: an offline check of a signed token.

mod ring;

use std::fmt;

use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header, errors::ErrorKind};

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
        ring::install();
        let ed25519 = DecodingKey::from_ed_pem(public_key).map(|key| (key, Algorithm::EdDSA));
        let either = ed25519.or_else(|_| DecodingKey::from_ec_pem(public_key).map(|key| (key, Algorithm::ES256)));
        let (key, algorithm) = either.map_err(|_| TokenError::Key)?;
        // A point on P-256, uncompressed; one on another curve is longer.
        if algorithm == Algorithm::ES256 && key.try_get_as_bytes().map_or(true, |point| point.len() != 65) {
            return Err(TokenError::Key);
        }
        // One algorithm, from the key and never from the token's own header.
        let mut validation = Validation::new(algorithm);
        validation.set_audience(&[audience]);
        validation.set_required_spec_claims(&["exp", "aud"]);
        validation.validate_nbf = true;
        validation.leeway = 0;
        Ok(Self { key, validation })
    }
}

impl TokenVerifier for JwtVerifier {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the rest say how the text is malformed; the token itself is not printed"
    )]
    fn verify(&self, token: &str) -> Result<(), TokenError> {
        // What must be understood and is not must be refused (RFC 7515, section 4.1.11).
        if decode_header(token).is_ok_and(|header| header.crit.is_some()) {
            return Err(TokenError::Critical);
        }
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
    #[error("the file does not hold an Ed25519 or P-256 public key in PEM")]
    Key,
    /// There is a verification key and no token.
    #[error("no token was given, and `token_key` asks for one")]
    Missing,
    /// The text is not a JSON Web Token.
    #[error("the token is malformed: expected the three base64url parts of a JSON Web Token")]
    Malformed,
    /// Its header asks for an extension.
    #[error("the token's header has `crit`, and no extension is understood here")]
    Critical,
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
    /// A claim is missing, or is a text where a time is expected.
    #[error("the token has no claim `{claim}` of the right kind")]
    MissingClaim {
        /// Its name.
        claim: String,
    },
}

#[cfg(test)]
mod tests {
    use ::ring::{
        rand::SystemRandom,
        signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair},
    };
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
    use jsonwebtoken::get_current_timestamp;
    use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519};
    use serde_json::{Value, json};

    use super::*;

    /// Somebody who signs tokens.
    struct Signer {
        algorithm: &'static str,
        key: KeyPair,
    }

    impl Signer {
        fn new(algorithm: &'static str) -> Self {
            let kind = if algorithm == "EdDSA" { &PKCS_ED25519 } else { &PKCS_ECDSA_P256_SHA256 };
            Self { algorithm, key: KeyPair::generate_for(kind).unwrap() }
        }

        fn verifier(&self) -> JwtVerifier {
            JwtVerifier::from_pem(self.key.public_key_pem().as_bytes(), "aether").unwrap()
        }

        fn sign(&self, claims: &Value) -> String {
            self.sign_with(&json!({ "alg": self.algorithm, "typ": "JWT" }), claims)
        }

        fn sign_with(&self, head: &Value, claims: &Value) -> String {
            let head = head.to_string();
            let message = format!("{}.{}", BASE64.encode(head), BASE64.encode(claims.to_string()));
            let der = self.key.serialize_der();
            let signature = if self.algorithm == "EdDSA" {
                let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).unwrap();
                pair.sign(message.as_bytes()).as_ref().to_vec()
            } else {
                let random = SystemRandom::new();
                let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der, &random).unwrap();
                pair.sign(&random, message.as_bytes()).unwrap().as_ref().to_vec()
            };
            format!("{message}.{}", BASE64.encode(signature))
        }
    }

    fn in_seconds(seconds: i64) -> i64 {
        i64::try_from(get_current_timestamp()).unwrap() + seconds
    }

    #[test]
    fn a_good_token_is_accepted_in_both_algorithms() {
        for algorithm in ["EdDSA", "ES256"] {
            let signer = Signer::new(algorithm);
            let token = signer.sign(&json!({ "aud": "aether", "exp": in_seconds(60) }));
            signer.verifier().verify(&token).unwrap();
        }
    }

    #[test]
    fn a_bad_token_is_refused_with_its_reason() {
        #[track_caller]
        fn check(verifier: &JwtVerifier, token: &str, expected: &str) {
            let error = verifier.verify(token).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        for algorithm in ["EdDSA", "ES256"] {
            let (signer, stranger) = (Signer::new(algorithm), Signer::new(algorithm));
            let other = Signer::new(if algorithm == "EdDSA" { "ES256" } else { "EdDSA" });
            let verifier = signer.verifier();
            let good = json!({ "aud": "aether", "exp": in_seconds(60) });
            check(&verifier, &stranger.sign(&good), "signature");
            check(&verifier, &other.sign(&good), "algorithm");
            check(&verifier, &signer.sign(&json!({ "aud": "aether", "exp": in_seconds(-1) })), "expired");
            check(&verifier, &signer.sign(&json!({ "aud": "other", "exp": in_seconds(60) })), "audience `aether`");
            check(&verifier, &signer.sign(&json!({ "aud": "aether" })), "`exp`");
            check(&verifier, &signer.sign(&json!({ "exp": in_seconds(60) })), "`aud`");
            check(&verifier, &signer.sign(&json!({ "aud": "aether", "exp": "tomorrow" })), "token");
            let early = json!({ "aud": "aether", "exp": in_seconds(60), "nbf": in_seconds(50) });
            check(&verifier, &signer.sign(&early), "not valid yet");

            let token = signer.sign(&good);
            let critical = json!({ "alg": algorithm, "crit": ["b64"], "b64": true });
            check(&verifier, &signer.sign_with(&critical, &good), "`crit`");
            let longer = signer.sign(&json!({ "aud": "aether", "exp": in_seconds(6000) }));
            let (promise, _) = longer.rsplit_once('.').unwrap();
            let (_, signature) = token.rsplit_once('.').unwrap();
            check(&verifier, &format!("{promise}.{signature}"), "signature");
            check(&verifier, &token[..token.len() - 1], "token");
            let body = token.split('.').nth(1).unwrap();
            let unsigned = format!("{}.{body}.", BASE64.encode(r#"{"alg":"none","typ":"JWT"}"#));
            check(&verifier, &unsigned, "token");
            for text in ["", "<your-aether-token>", "a.b.c"] {
                check(&verifier, text, "malformed");
            }
        }
    }

    #[test]
    fn a_private_key_or_another_text_is_no_verification_key() {
        let private = KeyPair::generate_for(&PKCS_ED25519).unwrap().serialize_pem();
        let p384 = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap().public_key_pem();
        for text in ["", "-----BEGIN PUBLIC KEY-----", &private, &p384] {
            assert!(matches!(JwtVerifier::from_pem(text.as_bytes(), "aether"), Err(TokenError::Key)));
        }
    }
}
