//! What was set, and where. A flag wins over the environment, the environment over the file, the
//! file over nats-server's file, and that over the default.

use super::file::{SettingsFile, read};
use super::nats_file::{NatsFile, Said};
use super::table::{Options, Setting, Table, all_settings};
use super::values::Listen;
use super::{ConfigError, sentence};
use clap::error::{ContextKind, ContextValue};
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, Command, FromArgMatches};
use std::collections::BTreeMap;
use std::error::Error;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The settings that somebody set.
#[derive(Clone, Default)]
pub struct Settings {
    /// The values, by the names of the settings.
    values: BTreeMap<String, Value>,
    /// The settings of each further table of one name, such as the second `[[cluster]]`.
    further: Vec<Self>,
    nats_file: Option<Arc<NatsFile>>,
}

#[derive(Clone)]
pub struct Value {
    pub text: OsString,
    pub place: Place,
    is_secret: bool,
}

/// Where a setting was set.
#[derive(Clone)]
pub enum Place {
    Flag(String),
    Environment(String),
    /// The key is as written there, such as `chat.rooms`.
    File {
        path: PathBuf,
        line: usize,
        key: String,
    },
}

impl Settings {
    /// Adds what the file sets, unless a flag or a variable has set it, and reads the files that
    /// hold secrets.
    pub fn complete(&mut self, file: Option<&Path>) -> Result<(), ConfigError> {
        let of_file = file.map(SettingsFile::read).transpose()?.unwrap_or_default();
        for (name, value) in of_file.values {
            self.values.entry(name).or_insert(value);
        }
        self.further = of_file.further.into_iter().map(Self::from).collect();
        self.take_nats_file()?;
        all_settings().filter(Setting::is_secret).try_for_each(|secret| {
            self.read_secret(&secret.name)?;
            self.further.iter_mut().try_for_each(|further| further.read_secret(&secret.name))
        })
    }

    /// The settings by each table of one name, where the file may have several. The first has those
    /// of all other tables too.
    pub fn each(&self) -> impl Iterator<Item = &Self> {
        std::iter::once(self).chain(&self.further)
    }

    /// Adds what nats-server's file sets, unless something else has set it.
    fn take_nats_file(&mut self) -> Result<(), ConfigError> {
        let Some(path) = self.get("nats-config") else { return Ok(()) };
        let file = NatsFile::read(Path::new(&path.text));
        let mut file = file.map_err(|problem| ConfigError(format!("nats-config: {problem}")))?;
        self.take(std::mem::take(&mut file.settings));
        for link in std::mem::take(&mut file.further_links) {
            let mut further = Self::default();
            further.take(link);
            self.further.push(further);
        }
        self.nats_file = Some(Arc::new(file));
        Ok(())
    }

    fn take(&mut self, said: Vec<Said>) {
        let known: Vec<Setting> = all_settings().collect();
        for (name, text, key, at) in said {
            // A file of its own also sets a secret.
            let is_set = self.is_set(name) || self.is_set(&format!("{name}-file"));
            if let Some(setting) = known.iter().find(|setting| setting.name == name)
                && !is_set
            {
                let place = Place::File { path: at.file.to_path_buf(), line: at.line, key };
                self.values.insert(name.to_owned(), Value::new(text.into(), place, setting));
            }
        }
    }

    /// The parts of nats-server's file that are no settings.
    pub fn nats_file(&self) -> Option<&NatsFile> {
        self.nats_file.as_deref()
    }

    fn read_secret(&mut self, name: &str) -> Result<(), ConfigError> {
        let file_name = format!("{name}-file");
        let Some(value) = self.values.get(&file_name) else { return Ok(()) };
        if self.is_set(name) {
            return Err(self.error(&file_name, &format!("and {name} cannot both be set")));
        }
        let text = read(Path::new(&value.text));
        let text = text.map_err(|problem| self.error(&file_name, &problem))?;
        let text = text.trim_end_matches(['\r', '\n']).into();
        let secret = Value { text, place: value.place.clone(), is_secret: true };
        self.values.insert(name.to_owned(), secret);
        Ok(())
    }

    /// Checks the options of a table, each by itself.
    pub fn read<T: Options>(&self) -> Result<T, ConfigError> {
        let settings = Table::of::<T>().settings();
        let arguments = settings.iter().filter_map(|setting| {
            let mut argument = OsString::from(format!("--{}=", setting.key));
            argument.push(&self.values.get(&setting.name)?.text);
            Some(argument)
        });
        let declared = settings.iter().map(|setting| setting.declared.clone());
        let command = Command::new(T::TABLE).no_binary_name(true).args(declared);
        command
            .try_get_matches_from(arguments)
            .and_then(|matches| T::from_arg_matches(&matches))
            .map_err(|error| self.refused(&settings, &error))
    }

    /// Whether somebody set this, as opposed to its default.
    pub fn is_set(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    pub fn get(&self, name: &str) -> Option<&Value> {
        self.values.get(name)
    }

    /// The settings whose values differ from those of `before`.
    pub fn changed_since(&self, before: &Self) -> Vec<Setting> {
        let texts = |settings: &Self, name: &str| -> Vec<(usize, OsString)> {
            let each = settings.each().enumerate();
            each.filter_map(|(at, each)| Some((at, each.get(name)?.text.clone()))).collect()
        };
        all_settings()
            .filter(|setting| texts(self, &setting.name) != texts(before, &setting.name))
            .collect()
    }

    /// The secrets that other users of the machine can read in the list of processes.
    pub fn exposed_secrets(&self) -> Vec<String> {
        let exposed = self.values.iter().filter(|(name, value)| {
            value.is_secret && matches!(&value.place, Place::Flag(flag) if flag == *name)
        });
        exposed.map(|(name, _)| name.clone()).collect()
    }

    /// An error about a setting, which `problem` completes. It begins with what was set: the flag,
    /// the variable, or the line of the file, and the value unless it is a secret. Of a secret from
    /// a file of its own, that file is named.
    pub fn error(&self, name: &str, problem: &str) -> ConfigError {
        match self.get(&format!("{name}-file")).or_else(|| self.get(name)) {
            Some(value) => ConfigError(format!("{value} {problem}")),
            None => ConfigError(format!("--{name} {problem}")),
        }
    }

    /// Refuses an address that other machines can reach, unless `is_guarded`: the front-end would
    /// let in everybody.
    pub fn guard(
        &self,
        name: &str,
        address: Listen,
        is_guarded: bool,
        remedy: &str,
    ) -> Result<(), ConfigError> {
        match address.0 {
            Some(address) if !address.ip().is_loopback() && !is_guarded => {
                let problem = format!("lets in everybody who can reach it; set {remedy}");
                Err(self.error(name, &problem))
            }
            _ => Ok(()),
        }
    }

    /// The error about a value that clap refused.
    fn refused(&self, settings: &[Setting], error: &clap::Error) -> ConfigError {
        let context = |kind| match error.get(kind) {
            Some(ContextValue::String(text)) => Some(text.as_str()),
            _ => None,
        };
        let flag = context(ContextKind::InvalidArg).unwrap_or_default();
        let flag = flag.split(' ').next().unwrap_or_default();
        let setting = settings.iter().find(|setting| flag == format!("--{}", setting.key));
        let Some(setting) = setting else { return ConfigError(sentence(error)) };
        let problem = match (error.source(), error.get(ContextKind::ValidValue)) {
            (Some(problem), _) => problem.to_string(),
            (None, Some(ContextValue::Strings(values))) if !values.is_empty() => {
                format!("is not one of {}", values.join(", "))
            }
            _ => "is empty".to_owned(),
        };
        self.error(&setting.name, &problem)
    }
}

impl Args for Settings {
    fn augment_args(command: Command) -> Command {
        command.args(all_settings().map(|setting| setting.flag()))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Settings {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let value = |setting: Setting| {
            let text = matches.get_one::<OsString>(&setting.name)?.clone();
            let place = match matches.value_source(&setting.name)? {
                ValueSource::CommandLine => Place::Flag(setting.name.clone()),
                ValueSource::EnvVariable => Place::Environment(setting.variable()),
                _ => return None,
            };
            let value = Value::new(text, place, &setting);
            Some((setting.name, value))
        };
        Ok(Self::from(all_settings().filter_map(value).collect::<BTreeMap<_, _>>()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl From<BTreeMap<String, Value>> for Settings {
    fn from(values: BTreeMap<String, Value>) -> Self {
        Self { values, ..Self::default() }
    }
}

impl Value {
    pub fn new(text: OsString, place: Place, setting: &Setting) -> Self {
        Self { text, place, is_secret: setting.is_secret() }
    }
}

/// The value as it was set, such as `--chat-rooms 7`.
impl fmt::Display for Value {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = if self.is_secret { "(secret)".into() } else { self.text.to_string_lossy() };
        match &self.place {
            Place::Flag(name) => write!(out, "--{name} {text}"),
            Place::Environment(name) => write!(out, "{name}={text}"),
            place @ Place::File { key, .. } => write!(out, "{place}: {key} = {text}"),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) => write!(out, "--{name}"),
            Self::Environment(name) => out.write_str(name),
            Self::File { path, line, .. } => write!(out, "{} line {line}", path.display()),
        }
    }
}
