//! Tables of settings. A front-end declares its options once, under short names; from that come its
//! flags (`--chat-line-bytes`), environment variables (`FANFARE_CHAT_LINE_BYTES`) and the keys of
//! its table in the settings file (`line-bytes` in `[chat]`).

use super::ServerOptions;
use super::admin::AdminOptions;
use super::chat::ChatOptions;
use super::cluster::ClusterOptions;
use super::data::DataOptions;
use super::nats::{NatsOptions, NatsWebSocketOptions};
use super::push::{PushHttpOptions, PushOptions, PushUdpOptions};
use clap::builder::OsStringValueParser;
use clap::{Arg, ArgAction, Args, Command};

/// All tables, in the order in which people are shown them.
pub const TABLES: [Table; 10] = [
    Table::of::<ServerOptions>(),
    Table::of::<AdminOptions>(),
    Table::of::<DataOptions>(),
    Table::of::<ChatOptions>(),
    Table::of::<NatsOptions>(),
    Table::of::<NatsWebSocketOptions>(),
    Table::of::<PushOptions>(),
    Table::of::<PushUdpOptions>(),
    Table::of::<PushHttpOptions>(),
    Table::of::<ClusterOptions>(),
];

/// The settings of all tables.
pub fn all_settings() -> impl Iterator<Item = Setting> {
    TABLES.iter().flat_map(Table::settings)
}

/// Options that are a table of the settings file.
pub trait Options: Args {
    /// The table's name, with which its flags begin. Empty for the server's own settings, which
    /// come before all tables.
    const TABLE: &'static str;

    /// The keys that a reload can change while the server runs.
    const RELOADED: &'static [&'static [&'static str]] = &[];

    /// Whether the file may have the table several times: `[[cluster]]`. Flags and variables set
    /// the first.
    const IS_REPEATED: bool = false;

    /// Gives a shared setting what is particular to this front-end: its default, its help.
    fn adapt(shared: Arg) -> Arg {
        shared
    }
}

pub struct Table {
    pub name: &'static str,
    pub is_repeated: bool,
    declare: fn(Command) -> Command,
    adapt: fn(Arg) -> Arg,
    reloaded: &'static [&'static [&'static str]],
}

/// One setting of a table.
pub struct Setting {
    pub table: &'static str,
    /// Its name in the table.
    pub key: String,
    /// The flag, without its dashes.
    pub name: String,
    /// As its front-end declared it.
    pub declared: Arg,
    /// Whether a reload can change it while the server runs.
    pub is_reloaded: bool,
}

impl Table {
    pub const fn of<T: Options>() -> Self {
        Self {
            name: T::TABLE,
            is_repeated: T::IS_REPEATED,
            declare: T::augment_args,
            adapt: T::adapt,
            reloaded: T::RELOADED,
        }
    }

    pub fn settings(&self) -> Vec<Setting> {
        let command = (self.declare)(Command::new(self.name));
        let mut settings = Vec::new();
        for arg in command.get_arguments() {
            let setting = self.setting(optional((self.adapt)(arg.clone())));
            let file = setting.is_secret().then(|| secret_file(&setting.declared));
            settings.push(setting);
            settings.extend(file.map(|file| self.setting(file)));
        }
        settings
    }

    fn setting(&self, declared: Arg) -> Setting {
        let key = declared.get_long().unwrap_or_default().to_owned();
        let name = match (self.name, key.as_str()) {
            ("", key) => key.to_owned(),
            (table, "address") => table.to_owned(),
            (table, key) => format!("{table}-{key}"),
        };
        let is_reloaded = self.reloaded.iter().any(|keys| keys.contains(&key.as_str()));
        Setting { table: self.name, key, name, declared, is_reloaded }
    }
}

impl Setting {
    /// The flag for this setting. Its value is checked later, together with the file's.
    pub fn flag(&self) -> Arg {
        let flag = self
            .declared
            .clone()
            .id(&self.name)
            .long(&self.name)
            .env(self.variable())
            .hide_env(true)
            .value_parser(OsStringValueParser::new());
        match self.key.as_str() {
            "address" => flag.alias(format!("{}-address", self.name)),
            _ => flag,
        }
    }

    /// Whether this setting has a flag of that name.
    pub fn is_called(&self, name: &str) -> bool {
        let is_alias = |arg: Arg| arg.get_all_aliases().is_some_and(|all| all.contains(&name));
        self.name == name || is_alias(self.flag())
    }

    /// The environment variable for this setting.
    pub fn variable(&self) -> String {
        format!("FANFARE_{}", self.name.replace('-', "_").to_uppercase())
    }

    /// Whether the value must not be shown.
    pub fn is_secret(&self) -> bool {
        self.declared.is_hide_env_values_set()
    }

    pub fn default(&self) -> Option<String> {
        let default = self.declared.get_default_values().first()?;
        Some(default.to_string_lossy().into_owned())
    }

    #[cfg(test)]
    pub fn help(&self) -> String {
        self.declared.get_help().map(ToString::to_string).unwrap_or_default()
    }
}

/// Makes a setting optional, and a flag without a value one that a file can also turn off.
fn optional(arg: Arg) -> Arg {
    // A shared setting is declared without the default that its front-end gives it.
    let arg = arg.required(false);
    if !matches!(arg.get_action(), ArgAction::SetTrue) {
        return arg;
    }
    let default = if arg.get_default_values().is_empty() { "false" } else { "true" };
    arg.action(ArgAction::Set)
        .num_args(0..=1)
        .value_name("true|false")
        .default_value(default)
        .default_missing_value("true")
        .hide_possible_values(true)
}

/// The setting that names a file with the secret in it.
fn secret_file(secret: &Arg) -> Arg {
    let key = secret.get_long().unwrap_or_default();
    let file = Arg::new(format!("{key}-file")).long(format!("{key}-file")).value_name("FILE");
    file.help(format!("File that holds the {key}"))
        .help_heading(secret.get_help_heading().unwrap_or_default().to_owned())
}
