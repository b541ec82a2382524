//! What the three operations ask for (sheet, 1.2).

use aether_iot_template::Parameters;
use serde_json::{Map, Value};

use super::payload::Encoding;
use super::rejection::Rejection;

/// Longest certificate signing request, in characters (sheet, 1.6).
const MAX_CSR: usize = 4096;

/// Checks the payload of `CreateKeysAndCertificate`: nothing, or an empty object.
pub(super) fn read_create(encoding: Encoding, payload: &[u8]) -> Result<(), Rejection> {
    if payload.is_empty() || encoding.read(payload)?.is_empty() {
        return Ok(());
    }
    Err(Rejection::parameters("The request takes no members."))
}

/// The request of `CreateCertificateFromCsr`, in PEM form.
pub(super) fn read_csr(encoding: Encoding, payload: &[u8]) -> Result<String, Rejection> {
    let request = encoding.read(payload)?;
    only(&request, &["certificateSigningRequest"])?;
    match request.get("certificateSigningRequest") {
        Some(Value::String(csr)) if (1..=MAX_CSR).contains(&csr.chars().count()) => Ok(csr.clone()),
        Some(Value::String(_)) => {
            Err(Rejection::csr(format!("certificateSigningRequest must have 1 to {MAX_CSR} characters.")))
        }
        Some(_) | None => Err(Rejection::csr("certificateSigningRequest must be a string.")),
    }
}

/// The payload of `RegisterThing`.
pub(super) struct RegisterRequest {
    /// A secret.
    pub(super) token: String,
    pub(super) parameters: Parameters,
}

pub(super) fn read_register(encoding: Encoding, payload: &[u8]) -> Result<RegisterRequest, Rejection> {
    let request = encoding.read(payload)?;
    // The AWS IoT Device SDK for JavaScript writes the name of the template into the request as well.
    only(&request, &["certificateOwnershipToken", "parameters", "templateName"])?;
    let token = match request.get("certificateOwnershipToken") {
        Some(Value::String(token)) if !token.is_empty() => token.clone(),
        Some(Value::String(_)) | Some(Value::Null) | None => {
            return Err(Rejection::token("Certificate ownership token cannot be empty."));
        }
        Some(_) => return Err(Rejection::token("Certificate ownership token must be a string.")),
    };
    let mut parameters = Parameters::new();
    match request.get("parameters") {
        None | Some(Value::Null) => {}
        Some(Value::Object(given)) => {
            for (name, value) in given {
                let value = value.as_str().ok_or_else(|| {
                    let shown = name.chars().take(80).collect::<String>();
                    Rejection::parameters(format!("Parameter {shown} must be a string."))
                })?;
                parameters.insert(name, value).map_err(|long| Rejection::parameters(format!("{long}.")))?;
            }
        }
        Some(_) => return Err(Rejection::parameters("parameters must be a map of strings.")),
    }
    Ok(RegisterRequest { token, parameters })
}

/// Refuses members the operation does not have: a typing error is better seen than ignored.
fn only(request: &Map<String, Value>, known: &[&str]) -> Result<(), Rejection> {
    match request.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => {
            let shown = key.chars().take(80).collect::<String>();
            Err(Rejection::parameters(format!("Member {shown} is unknown, expected {}.", known.join(" and "))))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const BOTH: [Encoding; 2] = [Encoding::Json, Encoding::Cbor];

    #[test]
    fn create_takes_nothing_or_an_empty_object() {
        for encoding in BOTH {
            assert_eq!(read_create(encoding, b""), Ok(()));
            assert_eq!(read_create(encoding, &encoding.write(&json!({}))), Ok(()));
            for document in [json!([]), json!({ "a": 1 }), json!(null)] {
                assert_eq!(read_create(encoding, &encoding.write(&document)).unwrap_err().status, 400);
            }
        }
    }

    #[test]
    fn a_signing_request_is_a_text_of_up_to_4096_characters() {
        for encoding in BOTH {
            let read = |document: Value| read_csr(encoding, &encoding.write(&document));
            assert_eq!(read(json!({ "certificateSigningRequest": "x" })), Ok("x".to_owned()));
            for wrong in [
                json!({}),
                json!({ "certificateSigningRequest": "" }),
                json!({ "certificateSigningRequest": "x".repeat(4097) }),
                json!({ "certificateSigningRequest": 7 }),
            ] {
                let rejection = read(wrong).unwrap_err();
                assert_eq!((rejection.status, rejection.code), (400, "InvalidCsr"));
            }
        }
    }

    #[test]
    fn register_needs_a_token_and_takes_strings_only() {
        for encoding in BOTH {
            let read = |document: Value| read_register(encoding, &encoding.write(&document));
            let request = read(json!({ "certificateOwnershipToken": "t", "parameters": { "Serial": "7" } }));
            assert_eq!(request.ok().unwrap().parameters.given()["Serial"], "7");
            let from_javascript = read(json!({ "certificateOwnershipToken": "t", "templateName": "Aether" }));
            assert_eq!(from_javascript.ok().unwrap().token, "t");
            let no_token = read(json!({ "parameters": {} })).err().unwrap();
            assert_eq!(no_token.code, "InvalidCertificateOwnershipToken");
            assert_eq!(no_token.message, "Certificate ownership token cannot be empty.");
            for wrong in [
                json!({ "certificateOwnershipToken": "t", "parameters": { "a": 7 } }),
                json!({ "certificateOwnershipToken": "t", "parameters": [] }),
                json!({ "certificateOwnershipToken": "t", "parameters": { "a": "v".repeat(4097) } }),
                json!({ "certificateOwnershipToken": "t", "Parameters": {} }),
            ] {
                assert_eq!(read(wrong).err().unwrap().code, "InvalidParameters");
            }
        }
    }
}
