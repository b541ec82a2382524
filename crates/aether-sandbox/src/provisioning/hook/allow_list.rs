//! The built-in hook: a file of the values one parameter may have.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use tokio::task::spawn_blocking;

use super::{HookAnswer, HookError};

/// Longest file, in bytes: some 100,000 serial numbers.
const MAX_FILE: u64 = 4 * 1024 * 1024;

/// The file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AllowList {
    parameter: String,
    values: Vec<String>,
}

/// Reads the list as it is now and looks the device's value up in it.
pub(super) async fn ask(path: &Path, parameters: &BTreeMap<String, String>) -> Result<HookAnswer, HookError> {
    let owned = path.to_owned();
    let failed = |source| HookError::Run { what: path.display().to_string(), source };
    let read = spawn_blocking(move || read(owned)).await;
    let bytes = read.map_err(|broken| failed(std::io::Error::other(broken)))?.map_err(failed)?;
    let wrong = |why: String| HookError::List { path: path.display().to_string(), why };
    if bytes.len() as u64 > MAX_FILE {
        return Err(wrong(format!("longer than {MAX_FILE} bytes")));
    }
    let list: AllowList = serde_json::from_slice(&bytes).map_err(|cause| wrong(cause.to_string()))?;
    let allowed = parameters.get(&list.parameter).is_some_and(|given| list.values.contains(given));
    Ok(HookAnswer { allowed, overrides: BTreeMap::new() })
}

fn read(path: PathBuf) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
