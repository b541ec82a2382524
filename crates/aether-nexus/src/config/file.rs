//! The shape of the file, as serde reads it.

use std::{collections::BTreeMap, path::PathBuf};

use serde::Deserialize;
use toml::{Spanned, Value};

/// A value and where it stands in the file.
pub(super) type At<T> = Spanned<T>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) opc_ua_url: Option<String>,
    pub(super) device_id: Option<String>,
    pub(super) namespace: Option<String>,
    pub(super) state_dir: Option<PathBuf>,
    pub(super) token: Option<String>,
    pub(super) token_key: Option<PathBuf>,
    pub(super) token_audience: Option<String>,
    #[serde(default)]
    pub(super) opc_ua: OpcUaTable,
    pub(super) aws_iot: Option<AwsIotTable>,
    #[serde(default)]
    pub(super) sigil: Vec<SigilTable>,
    #[serde(default)]
    pub(super) weave: Vec<WeaveTable>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OpcUaTable {
    pub(super) security: Option<String>,
    pub(super) anonymous: Option<String>,
    pub(super) client_certificates: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AwsIotTable {
    pub(super) endpoint: Option<String>,
    pub(super) port: Option<At<Value>>,
    pub(super) root_ca: Option<PathBuf>,
    pub(super) template_name: Option<String>,
    pub(super) claim_cert: Option<PathBuf>,
    pub(super) claim_key: Option<PathBuf>,
    pub(super) claim: Option<PathBuf>,
    pub(super) certificate: Option<PathBuf>,
    pub(super) private_key: Option<PathBuf>,
    pub(super) thing_name: Option<At<String>>,
    pub(super) activation_timeout: Option<At<String>>,
    pub(super) key: Option<At<String>>,
    pub(super) csr: Option<PathBuf>,
    pub(super) csr_key: Option<PathBuf>,
    pub(super) encoding: Option<At<String>>,
    pub(super) rotation_template: Option<At<String>>,
    pub(super) rotate_at: Option<At<Value>>,
    #[serde(default)]
    pub(super) retry: RetryTable,
    #[serde(default)]
    pub(super) template_parameters: BTreeMap<String, At<Value>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RetryTable {
    pub(super) first: Option<At<String>>,
    pub(super) longest: Option<At<String>>,
    pub(super) slow_first: Option<At<String>>,
    pub(super) slow_longest: Option<At<String>>,
    pub(super) refusals: Option<At<Value>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SigilTable {
    pub(super) node_id: At<String>,
    pub(super) initial_value: At<Value>,
    pub(super) data_type: Option<At<String>>,
    pub(super) description: Option<String>,
    pub(super) writable: Option<bool>,
    pub(super) minimum_value: Option<At<Value>>,
    pub(super) maximum_value: Option<At<Value>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WeaveTable {
    pub(super) label: At<String>,
    pub(super) cycle_time: At<String>,
    pub(super) read: Vec<At<String>>,
    pub(super) description: Option<String>,
}
