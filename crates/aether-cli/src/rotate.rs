//! `aether rotate`: a new certificate and key for the device, whether it runs or not.

use aether_nexus::{ControlClient, ControlError, DeviceAtRest, IdentityStatus, Nexus};
use serde_json::json;

use crate::{
    args::RotateOptions,
    failure::Failure,
    identity::time::{days_left, rfc3339},
    output::{Printer, line},
    signals,
};

pub(crate) async fn rotate(options: RotateOptions) -> Result<(), Failure> {
    let printer = Printer::new(options.json);
    let builder = Nexus::from_file(&options.config)?.environment();
    let device = builder.on_stage(move |stage| printer.stage(stage.name(), stage.detail())).at_rest();
    let status = match ControlClient::connect(device.state_dir()).await {
        Ok(running) => running.rotate(|name, detail| printer.stage(name, detail)).await?,
        Err(ControlError::NotRunning(_)) => at_rest(device).await?,
        Err(cause) => return Err(cause.into()),
    };
    tell(printer, &status);
    Ok(())
}

async fn at_rest(device: DeviceAtRest) -> Result<IdentityStatus, Failure> {
    let end_asked = signals::end_asked().map_err(Failure::running)?;
    Ok(device.rotate(end_asked).await?)
}

fn tell(printer: Printer, status: &IdentityStatus) {
    if printer.is_json() {
        let told = json!({
            "thing_name": status.thing_name,
            "certificate_id": status.certificate_id,
            "not_before": rfc3339(status.not_before),
            "not_after": rfc3339(status.not_after),
            "days_left": days_left(status.not_after),
        });
        line(&json!({ "rotated": told }).to_string());
    } else {
        printer.stage("rotated", Some(&status.certificate_id));
        let expires = rfc3339(status.not_after);
        let days = days_left(status.not_after);
        printer.note(&format!("The new certificate of {} is valid until {expires}: {days} days.", status.thing_name));
    }
}
