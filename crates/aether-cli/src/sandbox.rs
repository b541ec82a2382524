//! `aether sandbox`: the stand-in for AWS IoT Core.

use aether_sandbox::{RegisterCaError, Sandbox};

use crate::{
    args::{RegisterCaOptions, UpOptions},
    failure::Failure,
    output::Printer,
    signals,
};

pub(crate) async fn up(options: UpOptions) -> Result<(), Failure> {
    let printer = Printer::new(options.json);
    let end_asked = signals::end_asked().map_err(Failure::running)?;
    let mut builder = Sandbox::builder(&options.dir).listen(options.listen);
    if let Some(template) = options.template {
        builder = builder.template_name(template);
    }
    let sandbox = builder.start().await?;
    printer.stage("sandbox-listening", Some(&sandbox.local_addr().to_string()));
    let files = sandbox.files();
    printer.note(&format!("  root certificate   {}", files.ca().display()));
    printer.note(&format!("  claim              {} and {}", files.claim_cert().display(), files.claim_key().display()));
    let observer = (files.observer_cert().display(), files.observer_key().display());
    printer.note(&format!("  observer           {} and {}", observer.0, observer.1));
    printer.note(&format!("  template           {}", sandbox.template_name()));
    end_asked.await;
    sandbox.shutdown().await;
    Ok(())
}

pub(crate) fn register_ca(options: &RegisterCaOptions) -> Result<(), Failure> {
    let pem = std::fs::read(&options.file)
        .map_err(|e| Failure::settings(format!("argument FILE: cannot read {}: {e}", options.file.display())))?;
    let id = aether_sandbox::register_ca(&options.dir, &pem).map_err(|e| {
        if matches!(e, RegisterCaError::NotASandbox { .. } | RegisterCaError::Io { .. }) {
            return Failure::from(e);
        }
        Failure::settings_in(format!("argument FILE: {}", options.file.display()), &e)
    })?;
    Printer::new(false).note(&format!("registered CA {id}"));
    Ok(())
}
