//! The `[aws_iot]` table.

use std::{
    collections::BTreeMap,
    error::Error,
    path::{Path, PathBuf},
};

use aether_provisioning::{Encoding, Parameter, TemplateName, ThingName};
use toml::Value;

use super::{
    ConfigError,
    file::{At, AwsIotTable, RetryTable},
    load::Loader,
};
use crate::{
    check,
    settings::{AwsIotSettings, KeyText, RetrySettings},
};

impl Loader<'_> {
    pub(super) fn aws_iot(&self, table: AwsIotTable) -> Result<AwsIotSettings, ConfigError> {
        let path = |path: Option<PathBuf>| path.map(|path| self.path(path));
        let key = |name: &str| format!("aws_iot.{name}");
        let checked_key = |text: &At<String>| {
            let text_of = KeyText(text.as_ref().clone());
            match check::key_choice(&text_of.0) {
                Ok(_) => Ok(text_of),
                Err(cause) => Err(self.value(text, &key("key"), Wrong::new(text_of, cause))),
            }
        };
        Ok(AwsIotSettings {
            endpoint: table.endpoint,
            port: self.number(table.port, &key("port"), check::port)?,
            root_ca: path(table.root_ca),
            template_name: table.template_name,
            claim_cert: path(table.claim_cert),
            claim_key: path(table.claim_key),
            // Standard input is nowhere in particular.
            claim: table.claim.map(|file| if file == Path::new("-") { file } else { self.path(file) }),
            certificate: path(table.certificate),
            private_key: path(table.private_key),
            thing_name: self.text(table.thing_name, &key("thing_name"), str::parse::<ThingName>)?,
            activation_timeout: self.text(table.activation_timeout, &key("activation_timeout"), check::activation)?,
            key: table.key.as_ref().map(checked_key).transpose()?,
            csr: path(table.csr),
            csr_key: path(table.csr_key),
            encoding: self.text(table.encoding, &key("encoding"), str::parse::<Encoding>)?,
            rotation_template: self.text(
                table.rotation_template,
                &key("rotation_template"),
                str::parse::<TemplateName>,
            )?,
            rotate_at: self.number(table.rotate_at, &key("rotate_at"), check::rotate_at)?,
            retry: self.retry(table.retry)?,
            template_parameters: self.template_parameters(table.template_parameters)?,
            template_parameters_text: None,
        })
    }

    fn retry(&self, table: RetryTable) -> Result<RetrySettings, ConfigError> {
        let delay = |at, name: &str| self.text(at, &format!("aws_iot.retry.{name}"), check::delay);
        Ok(RetrySettings {
            first: delay(table.first, "first")?,
            longest: delay(table.longest, "longest")?,
            slow_first: delay(table.slow_first, "slow_first")?,
            slow_longest: delay(table.slow_longest, "slow_longest")?,
            refusals: self.number(table.refusals, "aws_iot.retry.refusals", check::refusals)?,
        })
    }

    /// Each a text, or a table that says where the text is found.
    fn template_parameters(
        &self,
        table: BTreeMap<String, At<Value>>,
    ) -> Result<BTreeMap<String, Parameter>, ConfigError> {
        let parameters = table.into_iter().map(|(name, at)| {
            let key = format!("aws_iot.template_parameters.{name}");
            let wrong = || self.value(&at, &key, Wrong::new(at.as_ref(), ExpectedParameter));
            let parameter = match at.as_ref() {
                Value::String(text) => Parameter::Literal(text.clone()),
                Value::Table(place) => match single(place).ok_or_else(wrong)? {
                    ("file", file) => Parameter::File(self.path(file.into())),
                    ("env", name) => Parameter::Env(name.to_owned()),
                    ("fact", fact) => fact.parse().map(Parameter::Fact).map_err(|e| self.value(&at, &key, e))?,
                    _ => return Err(wrong()),
                },
                Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime(_) | Value::Array(_) => {
                    return Err(wrong());
                }
            };
            Ok((name, parameter))
        });
        parameters.collect()
    }

    /// A text that `read` takes.
    fn text<T, E: Error + Send + Sync + 'static>(
        &self,
        at: Option<At<String>>,
        key: &str,
        read: impl Fn(&str) -> Result<T, E>,
    ) -> Result<Option<String>, ConfigError> {
        let Some(at) = at else { return Ok(None) };
        match read(at.as_ref()) {
            Ok(_) => Ok(Some(at.into_inner())),
            Err(cause) => Err(self.value(&at, key, Wrong::new(at.as_ref(), cause))),
        }
    }

    /// A number, or a word in its place, that `read` takes.
    fn number<T, E: Error + Send + Sync + 'static>(
        &self,
        at: Option<At<Value>>,
        key: &str,
        read: impl Fn(&str) -> Result<T, E>,
    ) -> Result<Option<String>, ConfigError> {
        let Some(at) = at else { return Ok(None) };
        // A number in quotes is none; a word needs them.
        let word = at.as_ref().as_str().filter(|word| word.parse::<f64>().is_err());
        let text = word.map_or_else(|| at.as_ref().to_string(), str::to_owned);
        match read(&text) {
            Ok(_) => Ok(Some(text)),
            Err(cause) => Err(self.value(&at, key, Wrong::new(text, cause))),
        }
    }
}

/// The one pair of a table, if its value is a text.
fn single(table: &toml::Table) -> Option<(&str, &str)> {
    let mut pairs = table.iter();
    match (pairs.next(), pairs.next()) {
        (Some((name, value)), None) => Some((name, value.as_str()?)),
        _ => None,
    }
}

/// A value that does not fit, and why.
#[derive(Debug, thiserror::Error)]
#[error("found `{found}`")]
struct Wrong {
    found: String,
    #[source]
    expected: Box<dyn Error + Send + Sync>,
}

impl Wrong {
    fn new(found: impl ToString, expected: impl Error + Send + Sync + 'static) -> Self {
        Self { found: found.to_string(), expected: Box::new(expected) }
    }
}

/// What a parameter of the template should have been.
#[derive(Debug, thiserror::Error)]
#[error("expected a text in quotes, or one of {{ file = \"…\" }}, {{ env = \"…\" }} and {{ fact = \"serial\" }}")]
struct ExpectedParameter;
