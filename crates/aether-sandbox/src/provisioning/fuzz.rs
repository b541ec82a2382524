//! What the fuzz targets call: everything that reads bytes of devices and hooks.

use super::RequestTopic;
use super::hook::HookAnswer;
use super::payload::Encoding;
use super::request;
use crate::pki::SigningRequest;

/// Reads `payload` as each request of each operation, in both encodings.
pub(crate) fn request(topic: &str, payload: &[u8]) {
    let _ = RequestTopic::parse(topic);
    for encoding in [Encoding::Json, Encoding::Cbor] {
        if let Ok(document) = encoding.read(payload) {
            let again = encoding.read(&encoding.write(&document.clone().into()));
            assert_eq!(again.as_ref(), Ok(&document), "what is written is read again");
        }
        let _ = request::read_create(encoding, payload);
        let _ = request::read_register(encoding, payload);
        if let Ok(csr) = request::read_csr(encoding, payload) {
            let _ = SigningRequest::parse_pem(&csr);
        }
    }
}

/// Reads `answer` as a hook's word.
pub(crate) fn hook_answer(answer: &[u8]) {
    let _ = HookAnswer::parse(answer);
}

/// Reads `text` as a certificate signing request.
pub(crate) fn signing_request(text: &str) {
    let _ = SigningRequest::parse_pem(text);
}
