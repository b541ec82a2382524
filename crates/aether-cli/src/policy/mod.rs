//! `aether policy`: the policies of claim and device certificates, and what a given one lacks.

mod args;
mod check;
mod hint;
mod report;
mod surplus;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{Read, stdin};
use std::path::Path;

use aether_provisioning::policy::{ClaimPolicy, Detail, DevicePolicy, PolicyDocument, PolicyTooLong};

pub(crate) use args::PolicyCommand;
use args::{CheckOptions, ClaimOptions, DeviceOptions};
use check::Session;

use crate::failure::Failure;
use crate::output::line;

/// Longest file that is read: AWS takes 2048 characters, and any amount of white space.
const READ_LIMIT: u64 = 256 * 1024;

pub(crate) fn run(command: PolicyCommand) -> Result<(), Failure> {
    match command {
        PolicyCommand::Claim(options) => print(claim(&options).document()),
        PolicyCommand::Device(options) => print(device(&options).document()),
        PolicyCommand::Check(options) => check(&options),
    }
}

fn print(document: Result<PolicyDocument, PolicyTooLong>) -> Result<(), Failure> {
    let document = document.map_err(Failure::settings)?;
    if document.detail() != Detail::Exact {
        tracing::warn!("written with wildcards below the operations' topics: in full, AWS would not take its length");
    }
    line(document.as_str().trim_end());
    Ok(())
}

fn claim(options: &ClaimOptions) -> ClaimPolicy {
    ClaimPolicy::new(options.place.account(), options.template.clone())
        .key_origins(options.messages.key_origins())
        .encodings(options.messages.encodings())
        .client_ids(options.client_ids.clone())
}

fn device(options: &DeviceOptions) -> DevicePolicy {
    let policy = DevicePolicy::new(options.place.account())
        .key_origins(options.messages.key_origins())
        .encodings(options.messages.encodings());
    match &options.rotation_template {
        Some(template) => policy.rotation(template.clone()),
        None => policy,
    }
}

fn check(options: &CheckOptions) -> Result<(), Failure> {
    let shown = if is_stdin(&options.file) { "standard input".to_owned() } else { options.file.display().to_string() };
    let text = read(&options.file).map_err(|cause| Failure::settings_in(format!("policy {shown}"), &cause))?;
    let session =
        Session::of(options).ok_or_else(|| Failure::settings("argument --template: needed with --for claim"))?;
    let report =
        check::check(&text, &session).map_err(|invalid| Failure::settings_in(format!("policy {shown}"), &*invalid))?;
    match options.json {
        true => line(&report.to_json().to_string()),
        false => report.to_lines().iter().for_each(|text| line(text)),
    }
    match report.lacks.len() {
        0 => Ok(()),
        lacks => Err(Failure::settings(format!("policy {shown} lacks {lacks} of {} rights", report.needs))),
    }
}

fn is_stdin(file: &Path) -> bool {
    file == Path::new("-")
}

fn read(file: &Path) -> std::io::Result<String> {
    let source: Box<dyn Read> = if is_stdin(file) { Box::new(stdin()) } else { Box::new(File::open(file)?) };
    let mut text = String::new();
    source.take(READ_LIMIT + 1).read_to_string(&mut text)?;
    if text.len() as u64 > READ_LIMIT {
        return Err(std::io::Error::other("longer than 256 KiB, expected a policy of at most 2048 characters"));
    }
    Ok(text)
}
