//! The topics that ask for provisioning operations (sheet, 1.1).

use super::payload::Encoding;
use crate::AuditEvent;

const CREATE: &str = "$aws/certificates/create";
const CREATE_FROM_CSR: &str = "$aws/certificates/create-from-csr";
const TEMPLATES: &str = "$aws/provisioning-templates/";
const PROVISION: &str = "/provision";

/// A topic that asks for a provisioning operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RequestTopic {
    topic: String,
    operation: Operation,
    encoding: Encoding,
}

/// The operation a topic asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    CreateKeysAndCertificate,
    CreateCertificateFromCsr,
    RegisterThing { template: String },
}

impl RequestTopic {
    /// Reads a topic name; `None` if it asks for nothing.
    pub(crate) fn parse(topic: &str) -> Option<Self> {
        let (asked, format) = topic.rsplit_once('/')?;
        let encoding = match format {
            "json" => Encoding::Json,
            "cbor" => Encoding::Cbor,
            _ => return None,
        };
        let operation = match asked {
            CREATE => Operation::CreateKeysAndCertificate,
            CREATE_FROM_CSR => Operation::CreateCertificateFromCsr,
            _ => {
                let template = asked.strip_prefix(TEMPLATES)?.strip_suffix(PROVISION)?;
                if template.is_empty() || template.contains('/') {
                    return None;
                }
                Operation::RegisterThing { template: template.to_owned() }
            }
        };
        Some(Self { topic: topic.to_owned(), operation, encoding })
    }

    /// How the decision log calls the operation.
    pub(crate) fn audit_event(&self) -> AuditEvent {
        match self.operation {
            Operation::CreateKeysAndCertificate => AuditEvent::CreateKeysAndCertificate,
            Operation::CreateCertificateFromCsr => AuditEvent::CreateCertificateFromCsr,
            Operation::RegisterThing { .. } => AuditEvent::RegisterThing,
        }
    }

    /// The topic an answer is sent on.
    pub(crate) fn answer_topic(&self, accepted: bool) -> String {
        let verdict = if accepted { "accepted" } else { "rejected" };
        format!("{}/{verdict}", self.topic)
    }

    pub(super) fn operation(&self) -> &Operation {
        &self.operation
    }

    pub(super) fn encoding(&self) -> Encoding {
        self.encoding
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_topics_are_recognised_and_answered_beside() {
        for (format, encoding) in [("json", Encoding::Json), ("cbor", Encoding::Cbor)] {
            for (asked, operation) in [
                ("$aws/certificates/create", Operation::CreateKeysAndCertificate),
                ("$aws/certificates/create-from-csr", Operation::CreateCertificateFromCsr),
                (
                    "$aws/provisioning-templates/Aether/provision",
                    Operation::RegisterThing { template: "Aether".into() },
                ),
            ] {
                let topic = format!("{asked}/{format}");
                let request = RequestTopic::parse(&topic).unwrap();
                assert_eq!((request.operation(), request.encoding()), (&operation, encoding));
                assert_eq!(request.answer_topic(true), format!("{topic}/accepted"));
                assert_eq!(request.answer_topic(false), format!("{topic}/rejected"));
            }
        }
    }

    #[test]
    fn other_reserved_topics_ask_for_nothing() {
        for topic in [
            "$aws/certificates/create",
            "$aws/certificates/create/xml",
            "$aws/certificates/create/json/accepted",
            "$aws/certificates/create-from-csr/cbor/rejected",
            "$aws/provisioning-templates//provision/json",
            "$aws/provisioning-templates/a/b/provision/json",
            "$aws/provisioning-templates/provision/json",
            "press-3",
            "",
        ] {
            assert_eq!(RequestTopic::parse(topic), None, "{topic}");
        }
    }
}
