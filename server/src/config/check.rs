//! Checking values, and saying where a wrong one came from.

use super::ConfigError;
use super::file::SettingsFile;
use super::settings::Settings;
use log::LevelFilter;
use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

/// Checks values, and knows where each came from.
pub struct Check {
    pub flags: Settings,
    pub file: Option<SettingsFile>,
}

impl Check {
    pub fn address(&self, name: &str, text: &str) -> Result<Option<SocketAddr>, ConfigError> {
        if text == "off" {
            return Ok(None);
        }
        let problem =
            |why: String| self.error(name, &format!("{text} is no address to listen on: {why}"));
        let mut addresses = text.to_socket_addrs().map_err(|error| match error.kind() {
            std::io::ErrorKind::InvalidInput => problem("write it as HOST:PORT, or off".to_owned()),
            _ => problem(error.to_string()),
        })?;
        addresses.next().map(Some).ok_or_else(|| problem("the name has no address".to_owned()))
    }

    pub fn level(&self, text: Option<&str>) -> Result<LevelFilter, ConfigError> {
        let Some(text) = text else { return Ok(LevelFilter::Info) };
        let problem = || {
            self.error(
                "log",
                &format!("{text} is no level; off, error, warn, info, debug or trace"),
            )
        };
        text.parse().map_err(|_| problem())
    }

    pub fn number(
        &self,
        name: &str,
        given: Option<u64>,
        target: &mut usize,
        range: (usize, usize),
    ) -> Result<(), ConfigError> {
        let Some(given) = given else { return Ok(()) };
        match usize::try_from(given) {
            Ok(value) if (range.0..=range.1).contains(&value) => *target = value,
            _ => {
                return Err(self.error(
                    name,
                    &format!("{given} is out of range; from {} to {}", range.0, range.1),
                ));
            }
        }
        Ok(())
    }

    pub fn milliseconds(
        &self,
        name: &str,
        given: Option<u64>,
        default_ms: u64,
        least_ms: u64,
    ) -> Result<Duration, ConfigError> {
        let mut value_ms = default_ms as usize;
        self.number(name, given, &mut value_ms, (least_ms as usize, DAY_MS))?;
        Ok(Duration::from_millis(value_ms as u64))
    }

    pub fn is_set(&self, name: &str) -> bool {
        self.flags.sets(name) || self.file.as_ref().is_some_and(|file| file.settings.sets(name))
    }

    /// One sentence that begins with the flag, or with the file and line.
    pub fn error(&self, field: &str, problem: &str) -> ConfigError {
        let name = field.replace('_', "-");
        match &self.file {
            Some(file) if !self.flags.sets(field) && file.settings.sets(field) => ConfigError(
                format!("{} line {}: {name} = {problem}", file.path.display(), file.line_of(&name)),
            ),
            _ => ConfigError(format!("--{name} {problem}")),
        }
    }
}

/// The longest time that can be set, in milliseconds.
const DAY_MS: usize = 24 * 60 * 60 * 1000;
