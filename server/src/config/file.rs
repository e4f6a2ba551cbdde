//! Files in TOML: the one with settings, and those with users, keys and tokens.

use super::settings::{Place, Settings, Value};
use super::table::{Setting, TABLES, all_settings};
use super::{ConfigError, suggestion};
use clap::{Args, Command};
use serde::de::DeserializeOwned;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A file of settings.
#[derive(Default)]
pub struct SettingsFile {
    /// The values, by the names of the settings.
    pub values: BTreeMap<String, Value>,
    /// The same for the second and each later table of one name.
    pub further: Vec<BTreeMap<String, Value>>,
}

/// The index among tables of the same name, the table's name, and a key and its value there.
type Entry<'t, 'a> = (usize, &'t str, &'t Spanned<Cow<'a, str>>, &'t Spanned<DeValue<'a>>);

impl SettingsFile {
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let shown = path.display();
        let of_config = |problem| ConfigError(format!("--config {shown} {problem}"));
        let text = read(path).map_err(of_config)?;
        let table = DeTable::parse(&text).map_err(|error| of_config(mistake(&text, &error)))?;
        let mut entries = entries(table.get_ref());
        // The error is about the first mistake in the file.
        entries.sort_by_key(|(_, _, key, _)| key.span().start);
        let known: Vec<Setting> = all_settings().collect();
        let mut file = Self::default();
        for (which, table, key, value) in entries {
            let line = line_of(&text, key.span().start);
            let in_line = |problem: String| ConfigError(format!("{shown} line {line}: {problem}"));
            let key = key.get_ref().as_ref();
            let (setting, value) = entry(&known, table, key, value.get_ref()).map_err(in_line)?;
            let key = if table.is_empty() { key.to_owned() } else { format!("{table}.{key}") };
            let place = Place::File { path: path.to_owned(), line, key };
            let value = Value::new(value.into(), place, setting);
            if file.table(which).insert(setting.name.clone(), value).is_some() {
                return Err(in_line(format!("{} is set twice", setting.name)));
            }
        }
        Ok(file)
    }

    fn table(&mut self, which: usize) -> &mut BTreeMap<String, Value> {
        let Some(further) = which.checked_sub(1) else { return &mut self.values };
        self.further.resize_with(self.further.len().max(which), BTreeMap::new);
        &mut self.further[further]
    }
}

/// All entries of a file and its tables.
fn entries<'t, 'a>(file: &'t DeTable<'a>) -> Vec<Entry<'t, 'a>> {
    let mut entries = Vec::new();
    for (key, value) in file {
        let name = key.get_ref().as_ref();
        let known = TABLES.iter().find(|table| table.name == name);
        let tables: Vec<&DeValue<'a>> = match (value.get_ref(), known) {
            (table @ DeValue::Table(_), Some(_)) => vec![table],
            (DeValue::Array(all), Some(known)) if known.is_repeated => {
                all.iter().map(Spanned::get_ref).collect()
            }
            _ => Vec::new(),
        };
        let tables: Option<Vec<_>> = tables.into_iter().map(DeValue::as_table).collect();
        match tables.filter(|tables| !tables.is_empty()) {
            Some(tables) => {
                entries.extend(tables.into_iter().enumerate().flat_map(|(at, table)| {
                    table.iter().map(move |(key, value)| (at, name, key, value))
                }))
            }
            None => entries.push((0, "", key, value)),
        }
    }
    entries
}

/// The setting that a key of a table stands for, and its value in the form of a flag's.
fn entry<'a>(
    known: &'a [Setting],
    table: &str,
    key: &str,
    value: &DeValue<'_>,
) -> Result<(&'a Setting, String), String> {
    let name = if table.is_empty() { key.to_owned() } else { format!("{table}-{key}") };
    let Some(setting) = known.iter().find(|setting| setting.is_called(&name)) else {
        let hint = did_you_mean(known, table, &name)
            .unwrap_or_else(|| "fanfare.example.toml lists what there is".to_owned());
        return Err(format!("{key} is not a setting; {hint}"));
    };
    let value = match value {
        DeValue::String(text) => text.to_string(),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Boolean(flag) => flag.to_string(),
        _ => return Err(format!("{key} must be a text, a whole number, true or false")),
    };
    Ok((setting, value))
}

/// The hint for a mistaken name, with the key and, if it is another one, the table.
fn did_you_mean(known: &[Setting], table: &str, name: &str) -> Option<String> {
    let meant = meant(known, name)?;
    Some(match (meant.key.as_str(), meant.table) {
        (key, of) if of == table => format!("did you mean {key}?"),
        (key, of) => format!("did you mean {key} in [{of}]?"),
    })
}

/// The setting whose name is most like a mistaken one. Clap finds it among the flags.
fn meant<'k>(known: &'k [Setting], name: &str) -> Option<&'k Setting> {
    let command = Settings::augment_args(Command::new("fanfare").no_binary_name(true));
    let flag = suggestion(&command.try_get_matches_from([format!("--{name}")]).err()?)?;
    known.iter().find(|setting| flag == format!("--{}", setting.name))
}

/// A warning for each variable that looks like a misspelt setting. It is not an error, since other
/// programs set variables too: Kubernetes does, for a service that is called fanfare.
pub fn mistaken_variables(names: impl IntoIterator<Item = String>) -> Vec<String> {
    let known: Vec<Setting> = all_settings().collect();
    let warning = |variable: String| {
        let name = variable.strip_prefix("FANFARE_")?.to_lowercase().replace('_', "-");
        let is_known = name == "config" || known.iter().any(|setting| setting.name == name);
        let meant = meant(&known, &name).filter(|_| !is_known)?.variable();
        Some(format!("the variable {variable} is not a setting; did you mean {meant}?"))
    };
    names.into_iter().filter_map(warning).collect()
}

/// Reads and parses a whole file. The error continues a sentence with what is wrong, and the line.
pub fn read_toml<T: DeserializeOwned>(path: &Path) -> Result<T, String> {
    let text = read(path)?;
    toml::from_str(&text).map_err(|error| mistake(&text, &error))
}

/// The text of a file. The error continues a sentence.
pub fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("cannot be read: {error}"))
}

fn mistake(text: &str, error: &toml::de::Error) -> String {
    let line = error.span().map_or(1, |span| line_of(text, span.start));
    let problem = error.message().lines().collect::<Vec<_>>().join(" ");
    format!("line {line}: {problem}")
}

fn line_of(text: &str, at: usize) -> usize {
    text[..at.min(text.len())].matches('\n').count() + 1
}
