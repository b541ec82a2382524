//! What the provisioning template gets: texts, and where texts are found when a claim is made.

use std::{collections::BTreeMap, path::Path};

use aether_provisioning::{Parameter, ParameterError};

use super::{invalid, values::Expected};
use crate::{
    error::{BuildError, RunError},
    settings::AwsIotSettings,
    state::serial_number,
};

/// The template's parameters, not looked up yet.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parameters(BTreeMap<String, Parameter>);

impl Parameters {
    /// The parameters as given in code or in the file, unless the environment has others.
    pub(super) fn of(settings: &AwsIotSettings) -> Result<Self, BuildError> {
        let Some(text) = &settings.template_parameters_text else {
            return Ok(Self(settings.template_parameters.clone()));
        };
        let pairs = text.split(',').enumerate().map(|(n, pair)| match pair.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.into())),
            // Not the text: a value may be a secret that a hook asks for.
            _ => Err(invalid(
                "aws_iot.template_parameters",
                format!("pair {} of {}", n + 1, text.split(',').count()),
                Expected("name=value,name=value, and no comma in a value"),
            )),
        });
        pairs.collect::<Result<_, _>>().map(Self)
    }

    /// Says early which of them has no value.
    pub(super) fn check(&self) -> Result<(), BuildError> {
        self.values().map(drop).map_err(|(name, source)| BuildError::Parameter { name, source })
    }

    /// Looks all of them up; without any, it is the serial number that is kept in `state_dir`.
    pub(crate) fn resolve(&self, state_dir: &Path) -> Result<BTreeMap<String, String>, RunError> {
        if self.0.is_empty() {
            let serial =
                serial_number(state_dir).map_err(|source| RunError::State { path: state_dir.to_owned(), source })?;
            return Ok(BTreeMap::from([("SerialNumber".to_owned(), serial)]));
        }
        self.values().map_err(|(name, source)| RunError::Parameter { name, source })
    }

    fn values(&self) -> Result<BTreeMap<String, String>, (String, ParameterError)> {
        let each = self.0.iter().map(|(name, parameter)| match parameter.resolve() {
            Ok(value) => Ok((name.clone(), value)),
            Err(cause) => Err((name.clone(), cause)),
        });
        each.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_parameter_is_looked_up_when_it_is_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("serial");
        let parameters = Parameters(BTreeMap::from([
            ("Line".to_owned(), "7".into()),
            ("SerialNumber".to_owned(), Parameter::File(file.clone())),
        ]));
        let error = parameters.resolve(dir.path()).unwrap_err();
        assert!(error.to_string().contains("aws_iot.template_parameters.SerialNumber"), "{error}");
        assert!(error.is_configuration());
        std::fs::write(&file, "P3-00017\n").unwrap();
        let values = parameters.resolve(dir.path()).unwrap();
        assert_eq!(
            values,
            BTreeMap::from([("Line", "7"), ("SerialNumber", "P3-00017")].map(|(a, b)| (a.into(), b.into())))
        );
        std::fs::write(&file, "P3-00018\n").unwrap();
        assert_eq!(parameters.resolve(dir.path()).unwrap()["SerialNumber"], "P3-00018");
    }
}
