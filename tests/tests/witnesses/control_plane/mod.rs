//! The control plane, walked through with boto3: everything made, described, changed, listed and taken away, and
//! the exceptions that AWS names.

use aether_tests::aether::Sandbox;
use aether_tests::boto3::Boto3;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{ANYTHING, make_ca, read, sign};

mod certificates;
mod data;
mod policies;
mod provisioning;
mod things;

const ARN: &str = "arn:aws:iot:eu-west-1:123456789012";

#[track_caller]
fn start() -> (TempDir, Sandbox, Boto3) {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::up(folder.path().join("sandbox"));
    let boto3 = Boto3::start(&sandbox);
    (folder, sandbox, boto3)
}

#[track_caller]
fn assert_refused(found: (String, u64), code: &str, status: u64) {
    assert_eq!(found, (code.to_owned(), status));
}

fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().unwrap_or_else(|| panic!("no text `{member}` in {value}"))
}

/// The values of `member` in a list, sorted.
fn sorted(list: &Value, member: &str) -> Vec<String> {
    let items = list.as_array().unwrap_or_else(|| panic!("no list: {list}"));
    let mut found: Vec<String> = items.iter().map(|item| text(item, member).to_owned()).collect();
    found.sort();
    found
}

fn is_certificate_id(id: &str) -> bool {
    id.len() == 64 && id.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c))
}

/// Seconds since 1970, of a time that is not older than this test may run.
#[track_caller]
fn assert_is_recent(time: &Value) {
    let time = time.as_f64().unwrap_or_else(|| panic!("no time: {time}"));
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    assert!((now - 600.0..=now + 5.0).contains(&time), "{time} is not just before {now}");
}
