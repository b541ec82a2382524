//! Reads the file into a builder, naming file, line, key and value of whatever is wrong.

use std::{
    error::Error,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use aether_sigil::{AnySigil, SigilSet, ValueType};
use aether_weave::{CallbackError, InvalidWeave, Weave};

use super::{
    duration::parse_duration,
    file::{At, File, SigilTable, WeaveTable},
    value::{natural_type, sigil_value},
};
use crate::{builder::NexusBuilder, nexus::Nexus, settings::Secret};

/// Why a configuration file cannot be used; final until the file is changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file is not TOML, or a key or the kind of a value is not one of those known.
    #[error("{}:{line}: {problem}", file.display())]
    Syntax {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        problem: String,
    },
    /// A value does not fit its key.
    #[error("{}:{line}: setting `{key}`", file.display())]
    Value {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The key, such as `sigil[0].node_id`.
        key: String,
        /// What was found and what is expected.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

impl Nexus {
    /// Reads a configuration file; `docs/aether.example.toml` shows every key. Paths in it are
    /// relative to the file. The result can be changed further before it is built.
    ///
    /// # Errors
    ///
    /// The file cannot be read or holds something else than it should; file, line and key are named.
    pub fn from_file(path: impl AsRef<Path>) -> Result<NexusBuilder, ConfigError> {
        let file = path.as_ref().to_owned();
        let text = std::fs::read_to_string(&file).map_err(|source| ConfigError::Read { file: file.clone(), source })?;
        Loader { file: &file, text: &text }.load()
    }
}

pub(super) struct Loader<'a> {
    file: &'a Path,
    text: &'a str,
}

impl Loader<'_> {
    fn load(&self) -> Result<NexusBuilder, ConfigError> {
        // Only message and place are taken over: the error's own text quotes the line, and that may hold a token.
        let file: File = toml::from_str(self.text).map_err(|cause| self.syntax(&cause))?;
        let mut builder = Nexus::builder();
        let settings = &mut builder.settings;
        settings.opc_ua_url = file.opc_ua_url;
        settings.device_id = file.device_id;
        settings.namespace = file.namespace;
        settings.opc_ua_security = file.opc_ua.security;
        settings.opc_ua_anonymous = file.opc_ua.anonymous;
        settings.opc_ua_client_certificates = file.opc_ua.client_certificates;
        settings.state_dir = Some(self.path(file.state_dir.unwrap_or_else(|| "state".into())));
        settings.token = file.token.map(Secret);
        settings.token_key = file.token_key.map(|path| self.path(path));
        settings.token_audience = file.token_audience;
        if let Some(table) = file.aws_iot {
            settings.aws_iot = self.aws_iot(table)?;
        }
        let sigils = file.sigil.iter().enumerate().map(|(n, table)| self.sigil(n, table));
        builder.sigils = sigils.collect::<Result<_, _>>()?;
        let known = self.known(&builder.sigils, &file.sigil)?;
        let weaves = file.weave.iter().enumerate().map(|(n, table)| self.weave(n, table, &known));
        builder.weaves = weaves.collect::<Result<_, _>>()?;
        self.unique_labels(&file.weave)?;
        Ok(builder)
    }

    fn unique_labels(&self, tables: &[WeaveTable]) -> Result<(), ConfigError> {
        for (n, table) in tables.iter().enumerate() {
            if let Some(first) = tables[..n].iter().position(|earlier| earlier.label.as_ref() == table.label.as_ref()) {
                let taken = LabelTaken {
                    label: table.label.as_ref().clone(),
                    line: self.line(tables[first].label.span().start),
                };
                return Err(self.value(&table.label, &format!("weave[{n}].label"), taken));
            }
        }
        Ok(())
    }

    fn sigil(&self, n: usize, table: &SigilTable) -> Result<AnySigil, ConfigError> {
        let key = |name: &str| format!("sigil[{n}].{name}");
        let initial = &table.initial_value;
        let value_type = match &table.data_type {
            None => natural_type(initial.as_ref()).map_err(|e| self.value(initial, &key("initial_value"), e))?,
            Some(name) => name.as_ref().parse::<ValueType>().map_err(|e| self.value(name, &key("data_type"), e))?,
        };
        let read = |name: &str, at: &At<toml::Value>| {
            sigil_value(at.as_ref(), value_type).map_err(|e| self.value(at, &key(name), e))
        };
        let mut builder = AnySigil::builder(table.node_id.as_ref(), read("initial_value", initial)?);
        if let Some(description) = &table.description {
            builder = builder.description(description);
        }
        if let Some(writable) = table.writable {
            builder = builder.writable(writable);
        }
        if let Some(minimum) = &table.minimum_value {
            builder = builder.minimum_value(read("minimum_value", minimum)?);
        }
        if let Some(maximum) = &table.maximum_value {
            builder = builder.maximum_value(read("maximum_value", maximum)?);
        }
        builder.build().map_err(|e| {
            let setting = e.setting();
            let at = match setting {
                "initial_value" => initial.span(),
                "minimum_value" => table.minimum_value.as_ref().unwrap_or(initial).span(),
                "maximum_value" => table.maximum_value.as_ref().unwrap_or(initial).span(),
                _ => table.node_id.span(),
            };
            self.at(at.start, &key(setting), e)
        })
    }

    /// Finds duplicates here and not in `build`, so that the line of the second one can be named.
    fn known(&self, sigils: &[AnySigil], tables: &[SigilTable]) -> Result<SigilSet, ConfigError> {
        let mut known = SigilSet::default();
        for (n, (sigil, table)) in sigils.iter().zip(tables).enumerate() {
            let duplicate = |e| self.value(&table.node_id, &format!("sigil[{n}].node_id"), e);
            known.insert(sigil.clone()).map_err(duplicate)?;
        }
        Ok(known)
    }

    /// A Weave that reads Sigils, each by its key.
    fn weave(&self, n: usize, table: &WeaveTable, sigils: &SigilSet) -> Result<Weave, ConfigError> {
        let key = |name: &str| format!("weave[{n}].{name}");
        let cycle_time = parse_duration(table.cycle_time.as_ref())
            .map_err(|e| self.value(&table.cycle_time, &key("cycle_time"), e))?;
        let read = table.read.iter().map(|id| {
            let unknown = || self.value(id, &key("read"), UnknownSigil { found: id.as_ref().clone() });
            sigils.by_id(id.as_ref()).cloned().ok_or_else(unknown)
        });
        let read: Arc<[AnySigil]> = read.collect::<Result<Vec<_>, _>>()?.into();
        let mut builder = Weave::builder(table.label.as_ref(), cycle_time, move || {
            let read = Arc::clone(&read);
            async move {
                for sigil in &*read {
                    sigil.read_from(&aether_sigil::Origin::CODE);
                }
                Ok::<_, CallbackError>(())
            }
        });
        if let Some(description) = &table.description {
            builder = builder.description(description);
        }
        builder.build().map_err(|e| match e {
            InvalidWeave::CycleTime { .. } => self.value(&table.cycle_time, &key("cycle_time"), e),
            InvalidWeave::Label { .. } | _ => self.value(&table.label, &key("label"), e),
        })
    }

    pub(super) fn value<T>(&self, at: &At<T>, key: &str, source: impl Error + Send + Sync + 'static) -> ConfigError {
        self.at(at.span().start, key, source)
    }

    fn at(&self, offset: usize, key: &str, source: impl Error + Send + Sync + 'static) -> ConfigError {
        let line = self.line(offset);
        ConfigError::Value { file: self.file.to_owned(), line, key: key.to_owned(), source: Box::new(source) }
    }

    fn syntax(&self, cause: &toml::de::Error) -> ConfigError {
        let line = self.line(cause.span().map_or(0, |span| span.start));
        // The key that stands in the line, where one does: the library names only the kinds.
        let text = self.text.lines().nth(line - 1).unwrap_or_default();
        let key = text.split_once('=').map(|(key, _)| key.trim());
        let problem = match key {
            // Its message may repeat the value, which is nobody's business.
            Some("token") => "setting `token`: expected a text in quotes".to_owned(),
            Some(key) if !cause.message().contains(key) => format!("setting `{key}`: {}", cause.message()),
            _ => cause.message().to_owned(),
        };
        ConfigError::Syntax { file: self.file.to_owned(), line, problem }
    }

    fn line(&self, offset: usize) -> usize {
        1 + self.text.bytes().take(offset).filter(|b| *b == b'\n').count()
    }

    pub(super) fn path(&self, path: PathBuf) -> PathBuf {
        match self.file.parent() {
            Some(directory) => directory.join(path),
            None => path,
        }
    }
}

/// A label that stands in the file twice.
#[derive(Debug, thiserror::Error)]
#[error("the label `{label}` is taken by the weave in line {line}; each needs its own")]
struct LabelTaken {
    label: String,
    line: usize,
}

/// A Weave that names a Sigil which is not there.
#[derive(Debug, thiserror::Error)]
#[error(
    "no sigil has the id `{found}`; expected the identifier of a `node_id` in this file, such as Plant.Temperature"
)]
struct UnknownSigil {
    found: String,
}
