//! A device whose key was made in a PKCS#11 token (SoftHSM) and never leaves it: provisioned, started again, renewed.

use std::path::{Path, PathBuf};
use std::process::Command;

use aether_tests::aether::{Gateway, Sandbox, aether};
use aether_tests::program::Program;
use serde_json::Value;

use crate::support::{SOON, decisions, subscribe, wait_for_event};

const PIN: &str = "pin-4711-of-the-plant";

/// A SoftHSM token named `plant` in a folder of its own.
struct Token {
    folder: PathBuf,
}

impl Token {
    fn new(folder: PathBuf) -> Self {
        use std::os::unix::fs::PermissionsExt as _;
        let token = Self { folder };
        let objects = token.folder.join("objects");
        std::fs::create_dir_all(&objects).unwrap();
        let configuration = format!("directories.tokendir = {}\nobjectstore.backend = file\n", objects.display());
        std::fs::write(token.configuration(), configuration).unwrap();
        std::fs::write(token.pin(), PIN).unwrap();
        std::fs::set_permissions(token.pin(), std::fs::Permissions::from_mode(0o600)).unwrap();
        let arguments = ["--init-token", "--free", "--label", "plant", "--pin", PIN, "--so-pin", "so-pin-0815"];
        let made = Command::new("softhsm2-util").args(arguments).env("SOFTHSM2_CONF", token.configuration()).output();
        let made = made.unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        token
    }

    fn configuration(&self) -> PathBuf {
        self.folder.join("softhsm2.conf")
    }

    fn pin(&self) -> PathBuf {
        self.folder.join("pin")
    }

    /// The setting `key`: a new key in this token for each certificate.
    fn setting(&self) -> String {
        let places = ["/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/softhsm/libsofthsm2.so"];
        let module = places.iter().find(|place| Path::new(place).exists()).expect("SoftHSM's library");
        format!("key = \"pkcs11:token=plant?module-path={module}&pin-source=file:{}\"", self.pin().display())
    }

    /// `aether COMMAND… --config FILE`, with this token plugged in.
    fn aether(&self, gateway: &Gateway, arguments: &[&str]) -> Command {
        let mut command = aether(arguments);
        command.arg("--config").arg(gateway.config()).env("SOFTHSM2_CONF", self.configuration());
        command
    }
}

/// Runs the device until it has published under its identity, and gives what `identity show` says of it.
fn one_life(token: &Token, gateway: &Gateway, cloud: &Program, sandbox: &Sandbox) -> Value {
    let mut running = Program::start(gateway.command().arg("--json").env("SOFTHSM2_CONF", token.configuration()));
    running.wait_for_stage("device-connected", SOON);
    let shown = running.wait_until("an event under this identity", SOON, || {
        let output = token.aether(gateway, &["identity", "show", "--json"]).output().unwrap();
        let shown: Value = serde_json::from_slice(&output.stdout).ok()?;
        let id = shown["active"]["certificate_id"].clone();
        let published = decisions(sandbox, "publish").iter().any(|one| one["certificate_id"] == id);
        published.then_some(shown)
    });
    wait_for_event(cloud, "an event of the device", |_| true);
    running.terminate();
    assert_eq!(running.wait_for_exit(SOON).code(), Some(0), "{}", running.printed());
    assert!(!running.printed().contains(PIN), "the PIN shows");
    shown
}

/// A sandbox whose claim may send signing requests, which the specification's may not.
fn sandbox_for_signing_requests(directory: &Path) -> Sandbox {
    drop(Sandbox::up(directory));
    let arguments = ["policy", "claim", "--region", "eu-west-1", "--account", "123456789012", "--csr"];
    let printed = aether(arguments).args(["--template", "Aether"]).output().unwrap();
    assert!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
    std::fs::write(directory.join("policies/aether-claim.json"), printed.stdout).unwrap();
    Sandbox::up(directory)
}

#[test]
fn a_device_with_its_key_in_a_token_provisions_starts_again_and_is_renewed() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = sandbox_for_signing_requests(&folder.path().join("sandbox"));
    let token = Token::new(folder.path().join("token"));
    let gateway = Gateway::new(folder.path().join("gateway"), &sandbox).aws_iot(&token.setting());
    let cloud = subscribe(&sandbox);

    let first = one_life(&token, &gateway, &cloud, &sandbox);
    let again = one_life(&token, &gateway, &cloud, &sandbox);
    assert_eq!(again["active"]["certificate_id"], first["active"]["certificate_id"]);

    let rotated = token.aether(&gateway, &["rotate", "--json"]).output().unwrap();
    assert!(rotated.status.success(), "{}", String::from_utf8_lossy(&rotated.stderr));
    let renewed = one_life(&token, &gateway, &cloud, &sandbox);
    assert_ne!(renewed["active"]["certificate_id"], first["active"]["certificate_id"]);

    // No file of the device holds a private key.
    let mut folders = vec![gateway.state().join("identity")];
    let mut locators = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let content = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
            assert!(!content.contains("PRIVATE KEY") && !content.contains(PIN), "{}", path.display());
            locators += usize::from(content.starts_with("pkcs11:"));
        }
    }
    assert!(locators >= 2, "each identity says where its key is");

    // Without the token the identity is not replaced: the device waits for its key.
    let empty = folder.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    let unplugged = folder.path().join("unplugged.conf");
    std::fs::write(&unplugged, format!("directories.tokendir = {}\n", empty.display())).unwrap();
    let mut without = Program::start(gateway.command().env("SOFTHSM2_CONF", &unplugged));
    let code = without.wait_for_exit(SOON).code();
    assert_eq!(code, Some(1), "{}", without.printed());
    let back = one_life(&token, &gateway, &cloud, &sandbox);
    assert_eq!(back["active"]["certificate_id"], renewed["active"]["certificate_id"]);
}
