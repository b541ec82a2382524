//! The identity in use, for another program.

use aether_nexus::{ExportFormat, Nexus};
use serde_json::json;

use super::args::ExportOptions;
use crate::failure::Failure;
use crate::output::line;

pub(crate) fn export(options: &ExportOptions) -> Result<(), Failure> {
    let device = Nexus::from_file(&options.config)?.environment().at_rest();
    let Some(directory) = &options.out else {
        let text = device.export(options.format)?;
        line(text.trim_end());
        if options.format == ExportFormat::DeviceClient {
            tracing::warn!(
                "the AWS IoT Device Client takes a certificate of mode 0644 only, and the state directory keeps this one \
                 closer: use --out"
            );
        }
        return Ok(());
    };
    let written = device.export_to(options.format, directory)?;
    let files = [
        ("configuration", &written.configuration),
        ("certificate", &written.certificate),
        ("private_key", &written.private_key),
    ];
    if options.json {
        let paths = files.map(|(name, path)| (name.to_owned(), json!(path.display().to_string())));
        line(&serde_json::Value::Object(paths.into_iter().collect()).to_string());
    } else {
        for (name, path) in files {
            line(&format!("{:<18} {}", name.replace('_', " "), path.display()));
        }
    }
    Ok(())
}
