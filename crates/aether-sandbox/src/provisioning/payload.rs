//! Payloads in the two encodings (sheet, 1.1 and 1.2).
//!
//! Both are read into the same tree, so the operations do not know which one a device speaks. In
//! CBOR the keys are the same texts and strings are CBOR texts; byte strings are not taken for them.

use serde_json::{Map, Value};

use super::rejection::Rejection;

/// Deepest nesting that is read.
const MAX_DEPTH: usize = 16;

/// The encoding of a request and of its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Json,
    Cbor,
}

impl Encoding {
    /// Reads a payload that has to be one object.
    pub(super) fn read(self, payload: &[u8]) -> Result<Map<String, Value>, Rejection> {
        match self {
            Self::Json => {
                serde_json::from_slice(payload).map_err(|_| Rejection::parameters("The payload is not a JSON object."))
            }
            Self::Cbor => {
                let mut rest = payload;
                match ciborium::de::from_reader_with_recursion_limit(&mut rest, MAX_DEPTH) {
                    Ok(Value::Object(object)) if rest.is_empty() => Ok(object),
                    Ok(_) | Err(_) => Err(Rejection::parameters("The payload is not a CBOR map with text keys.")),
                }
            }
        }
    }

    /// Writes an answer.
    pub(super) fn write(self, document: &Value) -> Vec<u8> {
        match self {
            Self::Json => document.to_string().into_bytes(),
            Self::Cbor => {
                let mut bytes = Vec::new();
                match ciborium::into_writer(document, &mut bytes) {
                    Ok(()) => bytes,
                    // A vector takes every byte and a tree of JSON is always CBOR.
                    Err(_) => Vec::new(),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn cbor(document: &Value) -> Vec<u8> {
        Encoding::Cbor.write(document)
    }

    #[test]
    fn both_encodings_say_the_same() {
        let document = json!({ "certificateOwnershipToken": "t", "parameters": { "SerialNumber": "ü" } });
        assert_eq!(Value::Object(Encoding::Cbor.read(&cbor(&document)).unwrap()), document);
        assert_eq!(Value::Object(Encoding::Json.read(document.to_string().as_bytes()).unwrap()), document);
    }

    #[test]
    fn texts_are_cbor_texts_and_the_status_is_a_cbor_integer() {
        // RFC 8949, section 3.1: major type 5 with one pair, major type 3 with 10 bytes, 0x190190.
        assert_eq!(cbor(&json!({ "statusCode": 400 })), b"\xa1\x6astatusCode\x19\x01\x90");
        assert_eq!(cbor(&json!({})), b"\xa0");
    }

    #[test]
    fn cbor_of_indefinite_length_is_read_and_byte_strings_are_not_texts() {
        // RFC 8949, section 3.2: {_ "a": (_ "b", "c")}.
        let read = Encoding::Cbor.read(b"\xbf\x61a\x7f\x61b\x61c\xff\xff").unwrap();
        assert_eq!(Value::Object(read), json!({ "a": "bc" }));
        assert!(Encoding::Cbor.read(b"\xa1\x61a\x41b").is_err(), "a byte string as value");
        assert!(Encoding::Cbor.read(b"\xa1\x41a\x61b").is_err(), "a byte string as key");
    }

    #[test]
    fn what_is_no_object_or_goes_on_after_it_is_refused() {
        for payload in
            [&b""[..], b"\x80", b"\xa1", b"\xa0\xa0", b"\xff", b"\xbb\xff\xff\xff\xff\xff\xff\xff\xff", b"{}"]
        {
            assert!(Encoding::Cbor.read(payload).is_err(), "{payload:x?}");
        }
        for payload in [&b""[..], b"[]", b"{", b"{}{}", b"\xa0"] {
            assert!(Encoding::Json.read(payload).is_err(), "{payload:x?}");
        }
        let deep = vec![0x81; 100_000];
        assert!(Encoding::Cbor.read(&deep).is_err());
        assert!(Encoding::Json.read(&vec![b'['; 100_000]).is_err());
        // A text and an array that promise more than there is.
        assert!(Encoding::Cbor.read(b"\xa1\x7b\x7f\xff\xff\xff\xff\xff\xff\xff").is_err());
        assert!(Encoding::Cbor.read(b"\xa1\x61a\x9b\x7f\xff\xff\xff\xff\xff\xff\xff").is_err());
    }

    proptest! {
        #[test]
        fn hostile_bytes_never_panic(payload in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Encoding::Cbor.read(&payload);
            let _ = Encoding::Json.read(&payload);
        }
    }
}
