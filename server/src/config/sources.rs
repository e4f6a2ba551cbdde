//! Where each setting came from, so that an error about it can say so.

use super::ConfigError;
use super::file::{SettingsFile, id};
use super::values::Listen;
use clap::ArgMatches;
use clap::parser::ValueSource;

/// The command line and the file from which settings were taken.
pub struct Sources {
    pub matches: ArgMatches,
    pub file: Option<SettingsFile>,
}

impl Sources {
    /// Whether somebody set this, as opposed to its default.
    pub fn is_set(&self, name: &str) -> bool {
        self.is_flag(name) || self.place_in_file(name).is_some()
    }

    /// An error about a setting that continues with what is wrong with it. It begins with the flag,
    /// or with the file and line.
    pub fn error(&self, name: &str, problem: &str) -> ConfigError {
        match self.place_in_file(name).filter(|_| !self.is_flag(name)) {
            Some(place) => ConfigError(format!("{place}: {name} = {problem}")),
            None => ConfigError(format!("--{name} {problem}")),
        }
    }

    /// Refuses a door that other machines can reach and that lets everybody in, unless
    /// `is_guarded`.
    pub fn guard(
        &self,
        name: &str,
        address: Listen,
        is_guarded: bool,
        remedy: &str,
    ) -> Result<(), ConfigError> {
        match address.0 {
            Some(address) if !address.ip().is_loopback() && !is_guarded => {
                let problem = format!("{address} lets in everybody who can reach it; set {remedy}");
                Err(self.error(name, &problem))
            }
            _ => Ok(()),
        }
    }

    fn place_in_file(&self, name: &str) -> Option<String> {
        self.file.as_ref()?.place(name)
    }

    /// Whether a flag or the environment sets this; the file's values are defaults.
    fn is_flag(&self, name: &str) -> bool {
        let source = self.matches.value_source(&id(name));
        source.is_some_and(|source| source != ValueSource::DefaultValue)
    }
}
