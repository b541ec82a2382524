//! The command line: a command, a number, and `--name value` options.

use std::collections::BTreeMap;
use std::str::FromStr;

use anyhow::{Context as _, bail};

/// Options without a value; `--bench` is what cargo adds.
const FLAGS: &[&str] = &["json", "quick", "help", "bench"];
/// Options with one.
const OPTIONS: &[&str] = &[
    "keys",
    "parallel",
    "hold",
    "certificates",
    "keep-alive",
    "publishers",
    "subscribers",
    "payload",
    "seconds",
    "rounds",
    "limits",
];

/// What the program was asked for.
#[derive(Debug, Default)]
pub(crate) struct Args {
    words: Vec<String>,
    options: BTreeMap<String, String>,
}

impl Args {
    pub(crate) fn parse(arguments: impl Iterator<Item = String>) -> anyhow::Result<Self> {
        let mut args = Self::default();
        let mut arguments = arguments;
        while let Some(argument) = arguments.next() {
            match argument.strip_prefix("--") {
                None => args.words.push(argument),
                Some(flag) if FLAGS.contains(&flag) => drop(args.options.insert(flag.to_owned(), String::new())),
                Some(option) if OPTIONS.contains(&option) => {
                    let value = arguments.next().with_context(|| format!("--{option} has no value"))?;
                    args.options.insert(option.to_owned(), value);
                }
                Some(other) => bail!("unknown option `--{other}`"),
            }
        }
        Ok(args)
    }

    pub(crate) fn command(&self) -> Option<&str> {
        self.words.first().map(String::as_str)
    }

    /// The word behind the command.
    pub(crate) fn operand(&self) -> Option<&str> {
        self.words.get(1).map(String::as_str)
    }

    pub(crate) fn flag(&self, name: &str) -> bool {
        self.options.contains_key(name)
    }

    pub(crate) fn text<'a>(&'a self, name: &str, default: &'a str) -> &'a str {
        self.options.get(name).map_or(default, String::as_str)
    }

    /// The number behind the command, where the command is `command`.
    pub(crate) fn count(&self, command: &str, default: usize, quick: usize) -> anyhow::Result<usize> {
        match self.operand().filter(|_| self.command() == Some(command)) {
            Some(word) => number(command, word),
            None if self.flag("quick") => Ok(quick),
            None => Ok(default),
        }
    }

    /// A number; `quick` is the default with `--quick`.
    pub(crate) fn number<T: FromStr>(&self, name: &str, default: T, quick: T) -> anyhow::Result<T> {
        match self.options.get(name) {
            Some(word) => number(name, word),
            None if self.flag("quick") => Ok(quick),
            None => Ok(default),
        }
    }
}

fn number<T: FromStr>(name: &str, word: &str) -> anyhow::Result<T> {
    word.parse().ok().with_context(|| format!("{name}: `{word}` is no number in range"))
}
