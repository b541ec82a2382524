//! Programs from Debian's packages, installed as root or through sudo.
#![expect(clippy::print_stdout, reason = "a program that talks to the person who ran it")]

use anyhow::bail;

use super::{Tool, node, on_path, python};
use crate::workspace::{Workspace, capture, run};

/// Installs the Debian packages that those of `tools` lack.
pub(super) fn ensure(workspace: &Workspace, tools: &[Tool]) -> anyhow::Result<()> {
    let missing = missing(workspace, tools);
    if missing.is_empty() {
        return Ok(());
    }
    println!("    missing from the system: {}", missing.join(", "));
    let by_hand = format!("apt-get update && apt-get install {}", missing.join(" "));
    if on_path("apt-get").is_none() {
        bail!(
            "this is no Debian: install what Debian calls {} by hand, so that the programs are on the PATH",
            missing.join(", ")
        );
    }
    let Some(prefix) = how_to_become_root(workspace) else {
        bail!("installing needs root: run `sudo sh -c '{by_hand}'`");
    };
    let apt_get = |arguments: &[&str]| {
        let words: Vec<&str> = prefix
            .iter()
            .copied()
            .chain(["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"])
            .chain(arguments.iter().copied())
            .collect();
        run(&mut workspace.program(words[0], &words[1..]))
    };
    // Another installation may be under way: wait for it rather than fail, at most these seconds.
    let patiently = ["--quiet", "--option", "DPkg::Lock::Timeout=120"];
    apt_get(&[&["update"], &patiently[..]].concat())?;
    let install = [&["install", "--yes", "--no-install-recommends"], &patiently[..]].concat();
    apt_get(&[&install[..], &missing].concat())
}

/// The packages whose programs are not there.
fn missing(workspace: &Workspace, tools: &[Tool]) -> Vec<&'static str> {
    let absent = |programs: &[&str]| programs.iter().any(|program| on_path(program).is_none());
    let mut packages = Vec::new();
    for tool in tools {
        let (there, needed): (bool, &[&str]) = match tool {
            Tool::MosquittoClients => {
                (!absent(&["mosquitto_sub", "mosquitto_pub", "mosquitto_rr"]), &["mosquitto-clients"])
            }
            Tool::MosquittoBroker => (!absent(&["mosquitto"]), &["mosquitto"]),
            Tool::OpenSsl => (!absent(&["openssl"]), &["openssl"]),
            Tool::Jq => (!absent(&["jq"]), &["jq"]),
            Tool::SoftHsm => (!absent(&["softhsm2-util"]), &["softhsm2"]),
            Tool::Asyncua | Tool::AwsForPython | Tool::Paho => (python::can_make_venv(workspace), &["python3-venv"]),
            Tool::AwsForNode => (node::is_there(workspace), &["nodejs", "npm"]),
            Tool::Chromium => (!absent(&["chromium"]), &["chromium"]),
            Tool::Nextest | Tool::Machete | Tool::Deny => (true, &[]),
        };
        if !there {
            for &package in needed {
                if !packages.contains(&package) {
                    packages.push(package);
                }
            }
        }
    }
    packages
}

/// The words before a command that make root run it; `None` where there is no way without asking.
fn how_to_become_root(workspace: &Workspace) -> Option<&'static [&'static str]> {
    let succeeds = |program: &str, arguments: &[&str], expected: &str| {
        capture(&mut workspace.program(program, arguments))
            .is_ok_and(|answer| answer.succeeded && answer.stdout.trim() == expected)
    };
    if succeeds("id", &["-u"], "0") {
        Some(&[])
    } else if succeeds("sudo", &["--non-interactive", "id", "-u"], "0") {
        Some(&["sudo", "--non-interactive"])
    } else {
        None
    }
}
