//! Every setting of a runtime, as given: nothing is checked before `build`.

use std::{collections::BTreeMap, fmt, path::PathBuf};

/// The settings that code, a file and the environment can give.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    pub(crate) opc_ua_url: Option<String>,
    pub(crate) device_id: Option<String>,
    pub(crate) namespace: Option<String>,
    pub(crate) opc_ua_security: Option<String>,
    pub(crate) opc_ua_anonymous: Option<String>,
    pub(crate) opc_ua_client_certificates: Option<String>,
    pub(crate) state_dir: Option<PathBuf>,
    pub(crate) token: Option<Secret>,
    pub(crate) token_key: Option<PathBuf>,
    pub(crate) token_audience: Option<String>,
    pub(crate) aws_iot: AwsIotSettings,
}

/// The `[aws_iot]` table.
#[derive(Clone, Debug, Default)]
pub(crate) struct AwsIotSettings {
    pub(crate) endpoint: Option<String>,
    pub(crate) port: Option<String>,
    pub(crate) root_ca: Option<PathBuf>,
    pub(crate) template_name: Option<String>,
    pub(crate) claim_cert: Option<PathBuf>,
    pub(crate) claim_key: Option<PathBuf>,
    pub(crate) template_parameters: BTreeMap<String, String>,
    /// `name=value,name=value` from the environment; takes the place of the map.
    pub(crate) template_parameters_text: Option<String>,
}

impl AwsIotSettings {
    /// Whether anything of the table is set, be it by code, file or environment.
    pub(crate) const fn names_something(&self) -> bool {
        self.port.is_some()
            || self.root_ca.is_some()
            || self.template_name.is_some()
            || self.claim_cert.is_some()
            || self.claim_key.is_some()
    }
}

/// A text that is never printed.
#[derive(Clone)]
pub(crate) struct Secret(pub(crate) String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Where environment variables come from: the process, or a test.
pub trait Environment {
    /// Returns the value of a variable that is set and not empty.
    fn variable(&self, name: &str) -> Option<String>;
}

/// The environment of this process.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct ProcessEnvironment;

impl Environment for ProcessEnvironment {
    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok().filter(|value| !value.is_empty())
    }
}

impl Settings {
    /// Lets the variables that are set win over what is there.
    pub(crate) fn overlay(&mut self, environment: &impl Environment) {
        let text = |name: &str, setting: &mut Option<String>| {
            if let Some(value) = environment.variable(name) {
                *setting = Some(value);
            }
        };
        text("AETHER_OPC_UA_URL", &mut self.opc_ua_url);
        text("AETHER_DEVICE_ID", &mut self.device_id);
        text("AETHER_NAMESPACE", &mut self.namespace);
        text("AETHER_OPC_UA_SECURITY", &mut self.opc_ua_security);
        text("AETHER_OPC_UA_ANONYMOUS", &mut self.opc_ua_anonymous);
        text("AETHER_OPC_UA_CLIENT_CERTIFICATES", &mut self.opc_ua_client_certificates);
        text("AETHER_TOKEN_AUDIENCE", &mut self.token_audience);
        text("AETHER_AWS_IOT_ENDPOINT", &mut self.aws_iot.endpoint);
        text("AETHER_AWS_IOT_PORT", &mut self.aws_iot.port);
        text("AETHER_AWS_IOT_TEMPLATE_NAME", &mut self.aws_iot.template_name);
        text("AETHER_AWS_IOT_TEMPLATE_PARAMETERS", &mut self.aws_iot.template_parameters_text);
        let path = |name: &str, setting: &mut Option<PathBuf>| {
            if let Some(value) = environment.variable(name) {
                *setting = Some(value.into());
            }
        };
        path("AETHER_STATE_DIR", &mut self.state_dir);
        path("AETHER_TOKEN_KEY", &mut self.token_key);
        path("AETHER_AWS_IOT_ROOT_CA", &mut self.aws_iot.root_ca);
        path("AETHER_AWS_IOT_CLAIM_CERT", &mut self.aws_iot.claim_cert);
        path("AETHER_AWS_IOT_CLAIM_KEY", &mut self.aws_iot.claim_key);
        if let Some(token) = environment.variable("AETHER_TOKEN") {
            self.token = Some(Secret(token));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed(&'static [(&'static str, &'static str)]);

    impl Environment for Fixed {
        fn variable(&self, name: &str) -> Option<String> {
            self.0.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned())
        }
    }

    #[test]
    fn variables_win_and_what_is_not_set_stays() {
        let mut settings = Settings { opc_ua_url: Some("opc.tcp://a".to_owned()), ..Settings::default() };
        settings.aws_iot.endpoint = Some("from-code".to_owned());
        settings.overlay(&Fixed(&[("AETHER_AWS_IOT_ENDPOINT", "localhost"), ("AETHER_TOKEN", "secret-text")]));
        assert_eq!(settings.opc_ua_url.as_deref(), Some("opc.tcp://a"));
        assert_eq!(settings.aws_iot.endpoint.as_deref(), Some("localhost"));
        assert_eq!(settings.token.as_ref().map(|t| t.0.as_str()), Some("secret-text"));
        assert!(!format!("{settings:?}").contains("secret-text"), "a token is never printed");
    }
}
