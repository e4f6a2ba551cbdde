//! The file of settings.

use super::ConfigError;
use super::settings::Settings;
use std::path::{Path, PathBuf};

/// A file as it was read.
pub struct SettingsFile {
    pub path: PathBuf,
    text: String,
    pub settings: Settings,
}

impl SettingsFile {
    /// Reads it, or says what is wrong and in which line.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let shown = path.display();
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigError(format!("--config {shown} cannot be read: {error}")))?;
        let settings = toml::from_str(&text).map_err(|error| {
            let (line, problem) = line_of_mistake(&text, &error);
            ConfigError(format!("{shown} line {line}: {problem}"))
        })?;
        Ok(Self { path: path.to_owned(), text, settings })
    }

    /// Where a setting is, for an error about its value.
    pub fn line_of(&self, name: &str) -> usize {
        let is_it = |line: &str| {
            line.split('=').next().is_some_and(|key| key.trim().trim_matches(['"', '\'']) == name)
        };
        self.text.lines().position(is_it).map_or(1, |index| index + 1)
    }
}

/// Where in a file a mistake is, and what it is, in one line.
pub fn line_of_mistake(text: &str, error: &toml::de::Error) -> (usize, String) {
    let line =
        error.span().map_or(1, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
    (line, error.message().lines().collect::<Vec<_>>().join(" "))
}
