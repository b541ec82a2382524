//! SoftHSM tokens, each in a directory of its own, and processes of their own to use them in.
#![allow(dead_code, reason = "each test file uses its own part of it")]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;

use aether_mqtt::PrivateKey;
use aether_pkcs11::{Pin, Pkcs11Keys, Pkcs11Options, Pkcs11Uri};
use aether_provisioning::SigningRequest;

/// The PIN of every token here, which no output may show.
pub(crate) const PIN: &str = "pin-4711-of-the-plant";
/// What the security officer types.
const SO_PIN: &str = "so-pin-0815";
/// Which part of a test a process is to do.
const STAGE: &str = "AETHER_TEST_STAGE";
/// Where that process finds the tokens.
const HOME: &str = "AETHER_TEST_HOME";

/// A directory with tokens in it.
pub(crate) struct Tokens {
    home: PathBuf,
}

/// Does the stages of a test one after the other, each in a process of its own, on one directory of tokens.
///
/// SoftHSM reads the name of its configuration from the environment, which a test must not change for its neighbours,
/// and a library that was loaded once cannot show what a restart does. So the test starts itself again.
pub(crate) fn in_processes(test: &str, stages: &[fn(&Tokens)]) {
    if let (Ok(stage), Some(home)) = (std::env::var(STAGE), std::env::var_os(HOME)) {
        let stage: usize = stage.parse().unwrap();
        return stages[stage](&Tokens { home: home.into() });
    }
    let directory = tempfile::tempdir().unwrap();
    let tokens = Tokens { home: directory.path().to_owned() };
    tokens.set_up();
    for stage in 0..stages.len() {
        let output = Command::new(std::env::current_exe().unwrap())
            .args([test, "--exact", "--nocapture"])
            .env(STAGE, stage.to_string())
            .env(HOME, &tokens.home)
            .env("SOFTHSM2_CONF", tokens.configuration())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success() && said.contains("1 passed"), "stage {stage} of {test}: {said}");
    }
}

impl Tokens {
    fn set_up(&self) {
        let objects = self.home.join("objects");
        std::fs::create_dir(&objects).unwrap();
        let configuration =
            format!("directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n", objects.display());
        std::fs::write(self.configuration(), configuration).unwrap();
        self.add("plant");
        self.write_pin(PIN, 0o600);
    }

    fn configuration(&self) -> PathBuf {
        self.home.join("softhsm2.conf")
    }

    /// Adds a token.
    pub(crate) fn add(&self, label: &str) {
        let output = Command::new("softhsm2-util")
            .args(["--init-token", "--free", "--label", label, "--so-pin", SO_PIN, "--pin", PIN])
            .env("SOFTHSM2_CONF", self.configuration())
            .output()
            .expect("SoftHSM2 is installed: `cargo xtask ci` installs it");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    pub(crate) fn home(&self) -> &Path {
        &self.home
    }

    pub(crate) fn pin_file(&self) -> PathBuf {
        self.home.join("pin")
    }

    pub(crate) fn write_pin(&self, pin: &str, mode: u32) {
        use std::os::unix::fs::PermissionsExt as _;

        std::fs::write(self.pin_file(), format!("{pin}\n")).unwrap();
        std::fs::set_permissions(self.pin_file(), std::fs::Permissions::from_mode(mode)).unwrap();
    }

    /// A URI with this path, and the query that a setting would have.
    pub(crate) fn uri(&self, path: &str) -> Pkcs11Uri {
        let (module, pin) = (module(), self.pin_file());
        format!("pkcs11:{path}?module-path={}&pin-source=file:{}", module.display(), pin.display()).parse().unwrap()
    }

    pub(crate) fn keys(&self, path: &str, options: Pkcs11Options) -> Pkcs11Keys {
        Pkcs11Keys::new(self.uri(path), options).unwrap()
    }
}

/// The library, where systems keep it.
pub(crate) fn module() -> PathBuf {
    let places = [
        "/usr/lib/softhsm/libsofthsm2.so",
        "/usr/lib64/softhsm/libsofthsm2.so",
        "/usr/lib64/pkcs11/libsofthsm2.so",
        "/usr/local/lib/softhsm/libsofthsm2.so",
        "/opt/homebrew/lib/softhsm/libsofthsm2.so",
    ];
    let found = places.iter().map(PathBuf::from).find(|place| place.exists());
    found.expect("SoftHSM2 is installed: `cargo xtask ci` installs it")
}

/// Another user of the library in this process, who disturbs ours.
pub(crate) fn somebody_else() -> cryptoki::context::Pkcs11 {
    cryptoki::context::Pkcs11::new(module()).unwrap()
}

/// Somebody else starts the library, and keeps it loaded.
pub(crate) fn start() -> cryptoki::context::Pkcs11 {
    use cryptoki::context::{CInitializeArgs, CInitializeFlags};

    let pkcs11 = somebody_else();
    pkcs11.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).unwrap();
    pkcs11
}

/// A session of somebody else's, in which a test does to a token what our side never does.
pub(crate) fn session(token: &str) -> cryptoki::session::Session {
    let pkcs11 = somebody_else();
    let slots = pkcs11.get_slots_with_initialized_token().unwrap();
    let slot = slots.into_iter().find(|slot| pkcs11.get_token_info(*slot).unwrap().label() == token).unwrap();
    pkcs11.open_rw_session(slot).unwrap()
}

pub(crate) fn pin() -> Pin {
    Pin::new(PIN).unwrap()
}

/// Has openssl verify a request signed with the key.
#[track_caller]
pub(crate) fn signs_a_request(key: &PrivateKey) {
    let directory = tempfile::tempdir().unwrap();
    let request = SigningRequest::make(key, "P3-00017").unwrap();
    std::fs::write(directory.path().join("csr"), request.as_pem()).unwrap();
    let output = Command::new("openssl")
        .args(["req", "-in", "csr", "-noout", "-verify", "-subject"])
        .current_dir(directory.path())
        .output()
        .expect("openssl is installed: `cargo xtask ci` installs it");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success() && said.contains("verify OK") && said.contains("P3-00017"), "{said}");
}

/// An error with all its causes.
pub(crate) fn chain(error: &dyn Error) -> String {
    error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {}", chain(source)))
}
