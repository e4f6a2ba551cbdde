//! Files in TOML: the one with settings, and those with users, keys and tokens.

use super::{ConfigError, sentence};
use clap::Command;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use toml::{Spanned, Value};

/// A file of settings whose values were all checked.
pub struct SettingsFile {
    path: PathBuf,
    /// By the name of the flag.
    settings: BTreeMap<String, Setting>,
}

/// A value as a flag would have it, and its line.
struct Setting {
    value: String,
    line: usize,
}

impl SettingsFile {
    /// Reads a file whose settings are the flags of `command`.
    pub fn read(path: &Path, command: &Command) -> Result<Self, ConfigError> {
        let shown = path.display();
        let text = read(path).map_err(|problem| ConfigError(format!("--config {problem}")))?;
        let table: BTreeMap<String, Spanned<Value>> = parse(path, &text).map_err(ConfigError)?;
        let mut file = Self { path: path.to_owned(), settings: BTreeMap::new() };
        let mut in_order: Vec<_> = table.into_iter().collect();
        in_order.sort_by_key(|(_, value)| value.span().start);
        for (name, value) in in_order {
            let line = line_of(&text, value.span().start);
            let value = check(command, &name, value.into_inner())
                .map_err(|problem| ConfigError(format!("{shown} line {line}: {problem}")))?;
            file.settings.insert(name, Setting { value, line });
        }
        Ok(file)
    }

    /// A command whose defaults are the values of this file.
    pub fn as_defaults(&self, command: Command) -> Command {
        self.settings.iter().fold(command, |command, (name, setting)| {
            command.mut_arg(id(name), |flag| flag.default_value(setting.value.clone()))
        })
    }

    /// Where the file sets this: its path, and the line.
    pub fn place(&self, name: &str) -> Option<String> {
        let setting = self.settings.get(name)?;
        Some(format!("{} line {}", self.path.display(), setting.line))
    }
}

/// The value of a setting as a flag would have it, or what is wrong with it.
fn check(command: &Command, name: &str, value: Value) -> Result<String, String> {
    // Flags without a value, such as --help, say what to do and are no settings.
    let is_setting = |flag: &clap::Arg| {
        flag.get_long() == Some(name) && flag.get_action().takes_values() && name != "config"
    };
    if !command.get_arguments().any(is_setting) {
        return Err(format!("{name} is no setting; --help lists what there is"));
    }
    let value = match value {
        Value::String(text) => text,
        Value::Integer(number) => number.to_string(),
        Value::Boolean(flag) => flag.to_string(),
        _ => return Err(format!("{name} has to be a text, a whole number, true or false")),
    };
    let parsed =
        command.clone().no_binary_name(true).try_get_matches_from([format!("--{name}={value}")]);
    match parsed {
        Ok(_) => Ok(value),
        Err(error) => {
            let flag = format!("--{name} {value}");
            Err(sentence(&error).replace(&flag, &format!("{name} = {value}")))
        }
    }
}

/// The name that clap has for the flag `--name`.
pub fn id(name: &str) -> String {
    name.replace('-', "_")
}

/// Reads and parses a whole file, or continues a sentence with what is wrong, and in which line.
pub fn read_toml<T: DeserializeOwned>(path: &Path) -> Result<T, String> {
    parse(path, &read(path)?)
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path)
        .map_err(|error| format!("{} cannot be read: {error}", path.display()))
}

fn parse<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T, String> {
    toml::from_str(text).map_err(|error| {
        let line = error.span().map_or(1, |span| line_of(text, span.start));
        let problem = error.message().lines().collect::<Vec<_>>().join(" ");
        format!("{} line {line}: {problem}", path.display())
    })
}

fn line_of(text: &str, at: usize) -> usize {
    text[..at.min(text.len())].matches('\n').count() + 1
}
