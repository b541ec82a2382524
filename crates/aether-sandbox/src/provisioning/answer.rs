//! Answers as they travel.

use serde_json::Value;

use super::payload::Encoding;
use super::{Rejection, RequestTopic};

/// An answer to a request, in the request's encoding. An accepted one may hold a private key and a
/// token, so there is no `Debug` for it.
pub(crate) struct Answer {
    pub(crate) outcome: Result<Value, Rejection>,
    encoding: Encoding,
}

impl Answer {
    pub(super) fn new(topic: &RequestTopic, outcome: Result<Value, Rejection>) -> Self {
        Self { outcome, encoding: topic.encoding() }
    }

    /// An answer to a request that was not carried out.
    pub(crate) fn rejected(topic: &RequestTopic, rejection: Rejection) -> Self {
        Self::new(topic, Err(rejection))
    }

    pub(crate) fn accepted(&self) -> bool {
        self.outcome.is_ok()
    }

    pub(crate) fn payload(&self) -> Vec<u8> {
        match &self.outcome {
            Ok(document) => self.encoding.write(document),
            Err(rejection) => self.encoding.write(&rejection.document()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rejection_carries_aws_members_in_the_encoding_of_the_request() {
        for topic in ["$aws/certificates/create/json", "$aws/certificates/create/cbor"] {
            let topic = RequestTopic::parse(topic).unwrap();
            let answer = Answer::rejected(&topic, Rejection::template("X"));
            assert!(!answer.accepted());
            let document = topic.encoding().read(&answer.payload()).unwrap();
            assert_eq!(document["statusCode"], 404);
            assert_eq!(document["errorCode"], "TemplateNotFound");
            assert!(document["errorMessage"].is_string());
            assert_eq!(document.len(), 3);
        }
    }
}
