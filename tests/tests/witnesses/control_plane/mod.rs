//! The control plane, walked through with boto3: everything made, described, changed, listed and taken away, and
//! the exceptions that AWS names.

use std::path::Path;

use aether_tests::aether::Sandbox;
use aether_tests::boto3::Boto3;
use aether_tests::foreign::openssl;
use serde_json::Value;
use tempfile::TempDir;

mod certificates;
mod data;
mod policies;
mod provisioning;
mod things;

const ARN: &str = "arn:aws:iot:eu-west-1:123456789012";

/// A policy document that allows everything.
const ANYTHING: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}"#;

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

/// A self-signed CA in `NAME.pem` and `NAME.key`.
fn make_ca(folder: &Path, name: &str, common_name: &str) {
    openssl(folder, &format!("ecparam -name prime256v1 -genkey -noout -out {name}.key"));
    let common_name = common_name.replace(' ', "-");
    openssl(
        folder,
        &format!("req -x509 -new -key {name}.key -sha256 -days 30 -subj /CN={common_name} -out {name}.pem"),
    );
}

/// A certificate of that CA in `NAME.pem`, with its key in `NAME.key`.
fn sign(folder: &Path, ca: &str, name: &str, common_name: &str) {
    openssl(folder, &format!("ecparam -name prime256v1 -genkey -noout -out {name}.key"));
    openssl(folder, &format!("req -new -key {name}.key -subj /CN={common_name} -out {name}.csr"));
    let sign = format!("x509 -req -in {name}.csr -CA {ca}.pem -CAkey {ca}.key -CAcreateserial -days 30 -sha256");
    openssl(folder, &format!("{sign} -out {name}.pem"));
}

fn read(folder: &Path, file: &str) -> String {
    std::fs::read_to_string(folder.join(file)).unwrap()
}
