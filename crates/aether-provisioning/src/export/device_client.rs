//! The runtime configuration of the AWS IoT Device Client.
//!
//! Follows awslabs/aws-iot-device-client, `aws-iot-device-client-runtime.conf`: what the client writes after it has
//! provisioned, and reads at later starts in place of provisioning.

use serde_json::json;

use super::{ExportError, IdentityFiles, plain};
use crate::Identity;

pub(super) fn render(identity: &Identity, files: &IdentityFiles) -> Result<String, ExportError> {
    let configuration = json!({ "runtime-config": {
        "completed-fp": true,
        "cert": plain(&files.certificate)?,
        "key": plain(&files.private_key)?,
        "thing-name": identity.thing_name().as_str(),
        "device-config": identity.device_configuration(),
    } });
    Ok(format!("{configuration:#}\n"))
}
