//! A terminal of somebody who follows a document: `sh` in a folder, with `aws` set up for a sandbox.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::aether::Sandbox;
use crate::foreign;

/// Runs command lines one by one in one folder.
#[derive(Debug)]
pub struct Shell {
    folder: PathBuf,
    aws: PathBuf,
    control_url: String,
}

impl Shell {
    /// One in `folder`, whose `aws` asks the control plane of `sandbox`.
    ///
    /// # Panics
    ///
    /// When the `aws` command line is not installed; the message says how to install it.
    #[must_use]
    #[track_caller]
    pub fn new(folder: &Path, sandbox: &Sandbox) -> Self {
        Self { folder: folder.to_owned(), aws: foreign::aws_folder(), control_url: sandbox.control_url().to_owned() }
    }

    /// Runs a command line with nothing to read, and gives its standard output.
    ///
    /// # Panics
    ///
    /// When it fails.
    #[track_caller]
    pub fn run(&self, line: &str) -> String {
        self.run_answering(line, "")
    }

    /// As [`run`](Self::run), giving it `answers` to read, as somebody types them at its prompts.
    ///
    /// # Panics
    ///
    /// When it fails.
    #[track_caller]
    pub fn run_answering(&self, line: &str, answers: &str) -> String {
        let output = self.output(line, answers);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "`{line}` ended with {}:\n{said}", output.status);
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// Runs a command line, however it ends.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    #[track_caller]
    pub fn output(&self, line: &str, answers: &str) -> Output {
        let mut child = self.command(line).spawn().unwrap_or_else(|error| panic!("could not start sh: {error}"));
        let mut stdin = child.stdin.take().expect("standard input was asked for");
        // A program that does not read what it is given may have ended already.
        let _ = stdin.write_all(answers.as_bytes());
        drop(stdin);
        child.wait_with_output().unwrap_or_else(|error| panic!("could not wait for `{line}`: {error}"))
    }

    fn command(&self, line: &str) -> Command {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::iter::once(self.aws.clone()).chain(std::env::split_paths(&path));
        let mut command = Command::new("sh");
        // The documents write `sudo`; whoever runs a test has the rights it needs.
        command.args(["-c", &format!("sudo() {{ \"$@\"; }}\n{line}")]).current_dir(&self.folder);
        command
            .env("PATH", std::env::join_paths(folders).expect("folders of a PATH make a PATH"))
            .env("AWS_ENDPOINT_URL_IOT", &self.control_url)
            .env("AWS_ENDPOINT_URL_IOT_DATA_PLANE", &self.control_url)
            .env("AWS_ACCESS_KEY_ID", "any")
            .env("AWS_SECRET_ACCESS_KEY", "any")
            .env("AWS_DEFAULT_REGION", "eu-west-1")
            .env("AWS_MAX_ATTEMPTS", "1")
            .env("AWS_PAGER", "")
            // Nothing of the person's own settings, and nobody to ask for credentials.
            .env("AWS_CONFIG_FILE", self.folder.join("no-aws-config"))
            .env("AWS_SHARED_CREDENTIALS_FILE", self.folder.join("no-aws-credentials"))
            .env("AWS_EC2_METADATA_DISABLED", "true");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}
