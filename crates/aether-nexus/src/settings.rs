//! Every setting of a runtime, as given: nothing is checked before `build`.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use aether_provisioning::Parameter;

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
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct AwsIotSettings {
    pub(crate) endpoint: Option<String>,
    pub(crate) port: Option<String>,
    pub(crate) root_ca: Option<PathBuf>,
    pub(crate) template_name: Option<String>,
    pub(crate) claim_cert: Option<PathBuf>,
    pub(crate) claim_key: Option<PathBuf>,
    /// `-` for standard input.
    pub(crate) claim: Option<PathBuf>,
    pub(crate) certificate: Option<PathBuf>,
    pub(crate) private_key: Option<PathBuf>,
    pub(crate) thing_name: Option<String>,
    pub(crate) activation_timeout: Option<String>,
    pub(crate) key: Option<KeyText>,
    pub(crate) csr: Option<PathBuf>,
    pub(crate) csr_key: Option<PathBuf>,
    pub(crate) encoding: Option<String>,
    pub(crate) rotation_template: Option<String>,
    pub(crate) rotate_at: Option<String>,
    pub(crate) retry: RetrySettings,
    pub(crate) template_parameters: BTreeMap<String, Parameter>,
    /// `name=value,name=value` from the environment; takes the place of the map.
    pub(crate) template_parameters_text: Option<String>,
}

/// The `[aws_iot.retry]` table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RetrySettings {
    pub(crate) first: Option<String>,
    pub(crate) longest: Option<String>,
    pub(crate) slow_first: Option<String>,
    pub(crate) slow_longest: Option<String>,
    pub(crate) refusals: Option<String>,
}

impl AwsIotSettings {
    /// Whether anything of the table but the parameters is set, be it by code, file or environment.
    pub(crate) fn names_something(&self) -> bool {
        let others = Self {
            endpoint: None,
            template_parameters: BTreeMap::new(),
            template_parameters_text: None,
            ..self.clone()
        };
        others != Self::default()
    }
}

/// Names a kind of key or a place for it. Of a URI no more than its scheme is ever shown: somebody may have written a
/// PIN into it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct KeyText(pub(crate) String);

impl fmt::Display for KeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.split_once(':') {
            Some((scheme, _)) => write!(f, "{scheme}:…"),
            None => f.write_str(&self.0),
        }
    }
}

impl fmt::Debug for KeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
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
        let aws_iot = &mut self.aws_iot;
        for (name, setting) in [
            ("AETHER_OPC_UA_URL", &mut self.opc_ua_url),
            ("AETHER_DEVICE_ID", &mut self.device_id),
            ("AETHER_NAMESPACE", &mut self.namespace),
            ("AETHER_OPC_UA_SECURITY", &mut self.opc_ua_security),
            ("AETHER_OPC_UA_ANONYMOUS", &mut self.opc_ua_anonymous),
            ("AETHER_OPC_UA_CLIENT_CERTIFICATES", &mut self.opc_ua_client_certificates),
            ("AETHER_TOKEN_AUDIENCE", &mut self.token_audience),
            ("AETHER_AWS_IOT_ENDPOINT", &mut aws_iot.endpoint),
            ("AETHER_AWS_IOT_PORT", &mut aws_iot.port),
            ("AETHER_AWS_IOT_TEMPLATE_NAME", &mut aws_iot.template_name),
            ("AETHER_AWS_IOT_TEMPLATE_PARAMETERS", &mut aws_iot.template_parameters_text),
            ("AETHER_AWS_IOT_THING_NAME", &mut aws_iot.thing_name),
            ("AETHER_AWS_IOT_ACTIVATION_TIMEOUT", &mut aws_iot.activation_timeout),
            ("AETHER_AWS_IOT_ENCODING", &mut aws_iot.encoding),
            ("AETHER_AWS_IOT_ROTATION_TEMPLATE", &mut aws_iot.rotation_template),
            ("AETHER_AWS_IOT_ROTATE_AT", &mut aws_iot.rotate_at),
            ("AETHER_AWS_IOT_RETRY_FIRST", &mut aws_iot.retry.first),
            ("AETHER_AWS_IOT_RETRY_LONGEST", &mut aws_iot.retry.longest),
            ("AETHER_AWS_IOT_RETRY_SLOW_FIRST", &mut aws_iot.retry.slow_first),
            ("AETHER_AWS_IOT_RETRY_SLOW_LONGEST", &mut aws_iot.retry.slow_longest),
            ("AETHER_AWS_IOT_RETRY_REFUSALS", &mut aws_iot.retry.refusals),
        ] {
            set(setting, environment.variable(name));
        }
        for (name, setting) in [
            ("AETHER_STATE_DIR", &mut self.state_dir),
            ("AETHER_TOKEN_KEY", &mut self.token_key),
            ("AETHER_AWS_IOT_ROOT_CA", &mut aws_iot.root_ca),
            ("AETHER_AWS_IOT_CLAIM_CERT", &mut aws_iot.claim_cert),
            ("AETHER_AWS_IOT_CLAIM_KEY", &mut aws_iot.claim_key),
            ("AETHER_AWS_IOT_CLAIM", &mut aws_iot.claim),
            ("AETHER_AWS_IOT_CERTIFICATE", &mut aws_iot.certificate),
            ("AETHER_AWS_IOT_PRIVATE_KEY", &mut aws_iot.private_key),
            ("AETHER_AWS_IOT_CSR", &mut aws_iot.csr),
            ("AETHER_AWS_IOT_CSR_KEY", &mut aws_iot.csr_key),
        ] {
            set(setting, environment.variable(name).map(PathBuf::from));
        }
        set(&mut aws_iot.key, environment.variable("AETHER_AWS_IOT_KEY").map(KeyText));
        set(&mut self.token, environment.variable("AETHER_TOKEN").map(Secret));
    }
}

fn set<T>(setting: &mut Option<T>, found: Option<T>) {
    if found.is_some() {
        *setting = found;
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

    /// Every setting set, each to a text of its own.
    #[derive(Debug)]
    struct Named;

    impl Environment for Named {
        fn variable(&self, name: &str) -> Option<String> {
            Some(format!("of {name}"))
        }
    }

    #[test]
    fn each_setting_has_its_variable() {
        let mut settings = Settings::default();
        settings.overlay(&Named);
        settings.aws_iot.template_parameters.insert("SerialNumber".to_owned(), "7".into());
        let shown = format!("{settings:?}");
        assert!(!shown.contains("None"), "a setting without a variable: {shown}");
        for name in ["CLAIM", "CSR_KEY", "KEY", "RETRY_SLOW_LONGEST", "ROTATE_AT", "THING_NAME", "PRIVATE_KEY"] {
            assert!(shown.contains(&format!("of AETHER_AWS_IOT_{name}")), "{name}: {shown}");
        }
    }

    #[test]
    fn a_pin_that_somebody_wrote_into_a_uri_is_not_printed() {
        let mut settings = Settings::default();
        settings.overlay(&Fixed(&[("AETHER_AWS_IOT_KEY", "pkcs11:token=plant?pin-value=123456")]));
        assert_eq!(settings.aws_iot.key.as_ref().map(ToString::to_string).as_deref(), Some("pkcs11:…"));
        assert!(!format!("{settings:?}").contains("123456"));
    }

    #[test]
    fn any_setting_but_a_parameter_asks_for_the_cloud() {
        let mut settings = AwsIotSettings::default();
        settings.template_parameters.insert("Line".to_owned(), "7".into());
        assert!(!settings.names_something());
        settings.retry.refusals = Some("3".to_owned());
        assert!(settings.names_something());
    }
}
