//! The topics of fleet provisioning, as resources of a policy.

use crate::TemplateName;

use super::document::Detail;

/// Which operations a session may ask a certificate with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyOrigins {
    /// CreateKeysAndCertificate: AWS makes the key.
    #[default]
    Aws,
    /// CreateCertificateFromCsr: the device makes the key and sends a certificate signing request.
    Csr,
    /// Either of them.
    Both,
}

/// Which encodings a session may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Encodings {
    /// The topics that end with `json`.
    #[default]
    Json,
    /// The topics that end with `cbor`.
    Cbor,
    /// Both.
    Both,
}

/// What a session that provisions publishes and is answered on.
#[derive(Clone, Debug)]
pub(super) struct Provisioning {
    pub(super) template: TemplateName,
    pub(super) origins: KeyOrigins,
    pub(super) encodings: Encodings,
}

impl Provisioning {
    /// The topics published on: patterns if `detail` says so.
    pub(super) fn requests(&self, detail: Detail) -> Vec<String> {
        match detail {
            Detail::Exact | Detail::AnswersByWildcard => self.in_each_encoding(),
            Detail::OperationsByWildcard => self.bases().iter().map(|base| format!("{base}/*")).collect(),
        }
    }

    /// The topics subscribed to: patterns if `detail` says so.
    pub(super) fn answers(&self, detail: Detail) -> Vec<String> {
        let requests = self.requests(detail);
        match detail {
            Detail::Exact => requests
                .iter()
                .flat_map(|one| ["accepted", "rejected"].map(|answer| format!("{one}/{answer}")))
                .collect(),
            Detail::AnswersByWildcard => requests.iter().map(|one| format!("{one}/*")).collect(),
            Detail::OperationsByWildcard => requests,
        }
    }

    fn bases(&self) -> Vec<String> {
        let create: &[&str] = match self.origins {
            KeyOrigins::Aws => &["create"],
            KeyOrigins::Csr => &["create-from-csr"],
            KeyOrigins::Both => &["create", "create-from-csr"],
        };
        let create = create.iter().map(|operation| format!("$aws/certificates/{operation}"));
        create.chain([format!("$aws/provisioning-templates/{}/provision", self.template)]).collect()
    }

    fn in_each_encoding(&self) -> Vec<String> {
        let encodings: &[&str] = match self.encodings {
            Encodings::Json => &["json"],
            Encodings::Cbor => &["cbor"],
            Encodings::Both => &["json", "cbor"],
        };
        self.bases().iter().flat_map(|base| encodings.iter().map(move |one| format!("{base}/{one}"))).collect()
    }
}
