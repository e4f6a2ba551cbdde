//! The settings, read again while the server runs.

use super::command_line::{CommandLine, SubCommand, sentence};
use super::settings::Settings;
use super::{Config, ConfigError};
use clap::Parser;
use std::ffi::OsString;
use std::fmt;

/// Where the settings come from, and as they were at the start.
pub struct Source {
    arguments: Vec<OsString>,
    settings: Settings,
}

/// The settings, read again.
pub struct Reread {
    /// All settings.
    pub config: Config,
    /// The names of settings that have changed since the start and need a restart.
    pub need_restart: Vec<String>,
}

impl Source {
    pub(super) fn new(arguments: Vec<OsString>, settings: Settings) -> Self {
        Self { arguments, settings }
    }

    /// Reads and checks the command line, the environment and the files again.
    pub fn read_again(&self) -> Result<Reread, ConfigError> {
        let command_line = CommandLine::try_parse_from(&self.arguments)
            .map_err(|error| ConfigError(sentence(&error)))?;
        let mut serve = match command_line.command {
            Some(SubCommand::Serve(serve)) => serve,
            _ => command_line.serve,
        };
        serve.settings.complete(serve.config.as_deref())?;
        let changed = serve.settings.changed_since(&self.settings);
        let need_restart = changed.into_iter().filter(|setting| !setting.is_reloaded);
        Ok(Reread {
            config: Config::new(&serve.settings)?,
            need_restart: need_restart.map(|setting| setting.name).collect(),
        })
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Source")
    }
}
