//! The settings file of `aether sandbox up --config`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aether_sandbox::{AlpnRule, Limits, ProvisioningHook, SniRule};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};

use super::options::{Control, DeviceKeys, UpOptions};
use crate::failure::Failure;

/// What the file may hold. Every key may be left out.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) listen: Option<SocketAddr>,
    pub(crate) control: Option<Control>,
    /// Whether the HTTP port may be on an address other machines reach.
    #[serde(default)]
    pub(crate) control_exposed: bool,
    #[serde(default)]
    pub(crate) control_names: Vec<String>,
    pub(crate) template: Option<String>,
    pub(crate) region: Option<String>,
    pub(crate) account_id: Option<String>,
    #[serde(default)]
    pub(crate) endpoint_names: Vec<String>,
    pub(crate) alpn: Option<Alpn>,
    pub(crate) sni: Option<Sni>,
    pub(crate) device_keys: Option<DeviceKeys>,
    /// How long device certificates live, in seconds.
    pub(crate) certificate_life_s: Option<u64>,
    /// File of a fault script; relative to this one.
    pub(crate) faults: Option<PathBuf>,
    pub(crate) limits: Option<Limits>,
    #[serde(default)]
    pub(crate) hook: Hooks,
}

/// Pre-provisioning hooks. Relative paths are relative to the file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Hooks {
    /// That of the directory's own template.
    pub(crate) template: Option<Hook>,
    /// Those that stand in for what templates name, such as the ARN of a Lambda function.
    #[serde(default)]
    pub(crate) targets: BTreeMap<String, Hook>,
    /// Longest time a hook may take, in seconds.
    pub(crate) time_limit_s: Option<u64>,
}

impl Hooks {
    pub(crate) fn time_limit(&self) -> Option<Duration> {
        self.time_limit_s.map(Duration::from_secs)
    }
}

/// `exec:PATH`, `http://…` or `allow-list:PATH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hook(pub(crate) ProvisioningHook);

/// What is asked of ALPN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Alpn {
    Optional,
    Required,
    Ignored,
}

impl From<Alpn> for AlpnRule {
    fn from(rule: Alpn) -> Self {
        match rule {
            Alpn::Optional => Self::Optional,
            Alpn::Required => Self::Required,
            Alpn::Ignored => Self::Ignored,
        }
    }
}

/// What is asked of SNI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Sni {
    Optional,
    Required,
}

impl From<Sni> for SniRule {
    fn from(rule: Sni) -> Self {
        match rule {
            Sni::Optional => Self::Optional,
            Sni::Required => Self::Required,
        }
    }
}

impl<'de> Deserialize<'de> for Control {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|expected| D::Error::custom(format!("found {text:?}, {expected}")))
    }
}

impl<'de> Deserialize<'de> for Hook {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map(Self).map_err(D::Error::custom)
    }
}

impl Config {
    /// What file and command line say together; the command line wins.
    pub(crate) fn of(options: &UpOptions) -> Result<Self, Failure> {
        let mut config = options.config.as_deref().map_or(Ok(Self::default()), Self::read)?;
        config.listen = options.listen.or(config.listen);
        config.control = options.control.or(config.control);
        config.template = options.template.clone().or(config.template);
        config.region = options.region.clone().or(config.region);
        config.account_id = options.account_id.clone().or(config.account_id);
        config.device_keys = options.device_keys.or(config.device_keys);
        config.certificate_life_s = options.certificate_life.map(|life| life.as_secs()).or(config.certificate_life_s);
        if !options.endpoint_names.is_empty() {
            config.endpoint_names.clone_from(&options.endpoint_names);
        }
        Ok(config)
    }

    fn read(path: &Path) -> Result<Self, Failure> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            Failure::settings(format!("argument --config: cannot read {}: {error}", path.display()))
        })?;
        let mut config: Self =
            parse(&text).map_err(|words| Failure::settings(format!("file {}: {words}", path.display())))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        config.faults = config.faults.map(|file| folder.join(file));
        for hook in config.hook.template.iter_mut().chain(config.hook.targets.values_mut()) {
            hook.seen_from(folder);
        }
        Ok(config)
    }
}

impl Hook {
    fn seen_from(&mut self, folder: &Path) {
        match &mut self.0 {
            ProvisioningHook::Program(path) | ProvisioningHook::AllowList(path) => *path = folder.join(&*path),
            ProvisioningHook::Http(_) | _ => {}
        }
    }
}

/// Reads the text; an error names line, key and what was expected.
fn parse<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    toml::from_str(text).map_err(|cause| {
        let line = cause.span().map_or(1, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
        let key = text.lines().nth(line - 1).unwrap_or_default().trim();
        format!("line {line}, `{key}`: {}", cause.message().replace('\n', " "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_with_every_key_is_read() {
        let config: Config = parse(
            "listen = \"127.0.0.1:0\"\ncontrol = \"off\"\ntemplate = \"Line\"\nregion = \"eu-central-1\"\n\
             account_id = \"000000000001\"\ndevice_keys = \"ec-p256\"\ncertificate_life_s = 600\n[limits]\npublishes_per_second = 5\nkeep_alive_min = 5\n",
        )
        .unwrap();
        assert_eq!((config.control, config.device_keys), (Some(Control::Off), Some(DeviceKeys::EcP256)));
        assert_eq!(config.certificate_life_s, Some(600));
        assert_eq!(config.limits.unwrap().publishes_per_second, 5);
    }

    #[test]
    fn a_mistake_is_told_with_line_key_and_what_was_expected() {
        for (text, parts) in [
            ("listen = \"127.0.0.1:0\"\nlimit = 3\n", ["line 2", "`limit`", "expected one of"]),
            ("\n[limits]\npublishes_per_second = \"x\"\n", ["line 3", "publishes_per_second", "expected u32"]),
            ("control = \"8080\"\n", ["line 1", "\"8080\"", "or off"]),
            ("[hook]\ntemplate = \"run.sh\"\n", ["line 2", "run.sh", "exec:PATH"]),
            ("device_keys = \"rsa\"\n", ["line 1", "device_keys", "rsa-2048"]),
        ] {
            let words = parse::<Config>(text).unwrap_err();
            assert!(parts.iter().all(|part| words.contains(part)), "{words}");
        }
    }

    #[test]
    fn paths_are_seen_from_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sandbox.toml");
        let text = "faults = \"faults.json\"\n[hook]\ntemplate = \"exec:hook.sh\"\ntime_limit_s = 2\n\
                    [hook.targets]\n\"arn:aws:lambda:x\" = \"allow-list:/serials.json\"\n";
        std::fs::write(&path, text).unwrap();
        let config = Config::read(&path).unwrap();
        assert_eq!(config.faults, Some(dir.path().join("faults.json")));
        let own = ProvisioningHook::Program(dir.path().join("hook.sh"));
        assert_eq!(config.hook.template, Some(Hook(own)));
        assert_eq!(config.hook.targets["arn:aws:lambda:x"], Hook(ProvisioningHook::AllowList("/serials.json".into())));
        assert_eq!(config.hook.time_limit(), Some(Duration::from_secs(2)));
    }
}
