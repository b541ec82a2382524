//! The settings file of `aether sandbox up --config`.

use std::net::SocketAddr;
use std::path::Path;

use aether_sandbox::Limits;
use serde::Deserialize;
use serde::de::Error as _;

use super::args::{Control, DeviceKeys, UpOptions};
use crate::failure::Failure;

/// What the file may hold. Every key may be left out.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) listen: Option<SocketAddr>,
    pub(crate) control: Option<Control>,
    pub(crate) template: Option<String>,
    pub(crate) region: Option<String>,
    pub(crate) account_id: Option<String>,
    pub(crate) device_keys: Option<DeviceKeys>,
    pub(crate) limits: Option<Limits>,
}

impl<'de> Deserialize<'de> for Control {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|expected| D::Error::custom(format!("found {text:?}, {expected}")))
    }
}

impl Config {
    /// What file and command line say together; the command line wins.
    pub(crate) fn of(options: &UpOptions) -> Result<Self, Failure> {
        let file = options.config.as_deref().map_or(Ok(Self::default()), Self::read)?;
        Ok(Self {
            listen: options.listen.or(file.listen),
            control: options.control.or(file.control),
            template: options.template.clone().or(file.template),
            region: options.region.clone().or(file.region),
            account_id: options.account_id.clone().or(file.account_id),
            device_keys: options.device_keys.or(file.device_keys),
            limits: file.limits,
        })
    }

    fn read(path: &Path) -> Result<Self, Failure> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            Failure::settings(format!("argument --config: cannot read {}: {error}", path.display()))
        })?;
        Self::parse(&text).map_err(|words| Failure::settings(format!("file {}: {words}", path.display())))
    }

    fn parse(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|cause| {
            let line = cause.span().map_or(1, |span| text[..span.start.min(text.len())].lines().count().max(1));
            let key = text.lines().nth(line - 1).unwrap_or_default().trim();
            format!("line {line}, `{key}`: {}", cause.message().replace('\n', " "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_with_every_key_is_read() {
        let config = Config::parse(
            "listen = \"127.0.0.1:0\"\ncontrol = \"off\"\ntemplate = \"Line\"\nregion = \"eu-central-1\"\n\
             account_id = \"000000000001\"\ndevice_keys = \"ec-p256\"\n[limits]\npublishes_per_second = 5\nkeep_alive_min = 5\n",
        )
        .unwrap();
        assert_eq!((config.control, config.device_keys), (Some(Control::Off), Some(DeviceKeys::EcP256)));
        assert_eq!(config.limits.unwrap().publishes_per_second, 5);
    }

    #[test]
    fn a_mistake_is_told_with_line_key_and_what_was_expected() {
        for (text, parts) in [
            ("listen = \"127.0.0.1:0\"\nlimit = 3\n", ["line 2", "`limit`", "expected one of"]),
            ("\n[limits]\npublishes_per_second = \"x\"\n", ["line 3", "publishes_per_second", "expected u32"]),
            ("control = \"8080\"\n", ["line 1", "\"8080\"", "or off"]),
            ("device_keys = \"rsa\"\n", ["line 1", "device_keys", "rsa-2048"]),
        ] {
            let words = Config::parse(text).unwrap_err();
            assert!(parts.iter().all(|part| words.contains(part)), "{words}");
        }
    }
}
