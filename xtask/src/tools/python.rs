//! Python environments of our own, one for each list of packages in `tests/witness`.
#![expect(clippy::print_stdout, reason = "a program that talks to the person who ran it")]

use std::path::PathBuf;

use anyhow::Context as _;

use crate::workspace::{Workspace, capture, run};

/// A Python with the packages of one list.
#[derive(Debug)]
pub(crate) struct Environment {
    /// The list, below the root.
    requirements: &'static str,
    /// Its folder in the target directory.
    folder: &'static str,
    /// What can be imported when it is whole.
    modules: &'static str,
}

/// The OPC UA client.
pub(crate) const OPC_UA: Environment =
    Environment { requirements: "tests/witness/requirements-opcua.txt", folder: "witness-venv", modules: "asyncua" };

/// The AWS IoT Device SDK, boto3 and the aws command line.
pub(crate) const AWS: Environment = Environment {
    requirements: "tests/witness/requirements-aws.txt",
    folder: "witness-aws-venv",
    modules: "awsiot, awscrt.mqtt5, AWSIoTPythonSDK, boto3, awscli",
};

/// The MQTT client of the Eclipse Foundation, and CBOR.
pub(crate) const PAHO: Environment = Environment {
    requirements: "tests/witness/requirements-paho.txt",
    folder: "witness-paho-venv",
    modules: "paho.mqtt.client, cbor2",
};

/// Written last into the environment: the requirements it was made for.
const STAMP: &str = "installed.txt";

impl Environment {
    /// The environment's `python`, whether it is there yet or not.
    pub(crate) fn interpreter(&self, workspace: &Workspace) -> PathBuf {
        self.path(workspace).join("bin").join("python")
    }

    fn path(&self, workspace: &Workspace) -> PathBuf {
        workspace.target.join(self.folder)
    }

    /// Makes the environment anew unless it was made for the same requirements and still runs.
    pub(super) fn ensure(&self, workspace: &Workspace) -> anyhow::Result<()> {
        let wanted = workspace.root.join(self.requirements);
        let wanted =
            std::fs::read_to_string(&wanted).with_context(|| format!("could not read {}", wanted.display()))?;
        let stamp = self.path(workspace).join(STAMP);
        let made_for_these = std::fs::read_to_string(&stamp).is_ok_and(|found| found == wanted);
        if made_for_these && self.runs(workspace) {
            return Ok(());
        }
        println!("    the Python environment of {} is missing or out of date", self.requirements);
        run(workspace.program("python3", ["-m", "venv", "--clear"]).arg(self.path(workspace)))?;
        run(&mut workspace.program(
            self.interpreter(workspace),
            ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement", self.requirements],
        ))?;
        std::fs::write(&stamp, wanted).with_context(|| format!("could not write {}", stamp.display()))
    }

    fn runs(&self, workspace: &Workspace) -> bool {
        let question = format!("import {}", self.modules);
        capture(&mut workspace.program(self.interpreter(workspace), ["-c", &question]))
            .is_ok_and(|answer| answer.succeeded)
    }
}

/// Tells whether `python3` is there, new enough, and able to make environments.
pub(super) fn can_make_venv(workspace: &Workspace) -> bool {
    let question = "import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 10))";
    capture(&mut workspace.program("python3", ["-c", question])).is_ok_and(|answer| answer.succeeded)
}
