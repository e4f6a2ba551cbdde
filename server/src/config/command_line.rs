//! The command line.

use super::chat::DEFAULT_ADDRESS;
use super::file::mistaken_variables;
use super::settings::Settings;
use super::{Config, ConfigError, Source, Task, listing};
use crate::bench::BenchOptions;
use crate::build;
use crate::login::ClientTls;
use crate::messages::MessagesCommand;
use crate::top::{AdminAddress, TopOptions};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use std::ffi::OsString;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  fanfare                              serve on this machine: chat, NATS, push, admin pages
  nc 127.0.0.1 7000                    talk, in two terminals; or: fanfare chat --nick alice
  fanfare --config fanfare.toml        serve with settings from a file; --check-config checks it
  fanfare --nats 0.0.0.0:4222 --nats-token-file token      serve NATS to other machines
  fanfare top                          watch a running server

";

/// Parses the command line, and reads the files that it names.
pub fn from_command_line(
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<Task, ConfigError> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let command_line = match CommandLine::try_parse_from(&arguments) {
        Ok(command_line) => command_line,
        Err(error)
            if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) =>
        {
            return Ok(Task::Print(error.to_string()));
        }
        Err(error) => return Err(ConfigError(sentence(&error))),
    };
    match command_line.command {
        Some(SubCommand::Chat(client)) => Ok(Task::Chat(client)),
        Some(SubCommand::Bench(options)) => Ok(Task::Bench(options)),
        Some(SubCommand::Top(options)) => Ok(Task::Top(options)),
        Some(SubCommand::Messages(command)) => Ok(Task::Messages(command)),
        Some(SubCommand::Health(server)) => Ok(Task::Health(server)),
        Some(SubCommand::Version) => Ok(Task::Print(format!("fanfare {}\n", build::description()))),
        Some(SubCommand::Completions { shell }) => Ok(Task::Print(completions(shell))),
        Some(SubCommand::Man { command }) => man_page(command.as_deref()).map(Task::Print),
        Some(SubCommand::Serve(serve)) => serve.task(arguments),
        None => command_line.serve.task(arguments),
    }
}

/// A publish/subscribe server with bounded delivery: chat, NATS and push. Without a command it
/// runs the server
#[derive(Parser)]
#[command(
    name = "fanfare",
    version = build::description(),
    args_conflicts_with_subcommands = true,
    before_help = EXAMPLES,
    help_template = "{about-with-newline}\n{before-help}{usage-heading} {usage}\n\n{all-args}"
)]
pub struct CommandLine {
    #[command(subcommand)]
    pub command: Option<SubCommand>,
    #[command(flatten)]
    pub serve: Serve,
}

#[derive(Subcommand)]
pub enum SubCommand {
    /// Run the server, as without a command
    Serve(Serve),
    /// Talk: a terminal client for a chat server
    Chat(ChatClient),
    /// Measure a NATS or Redis server. The client counts and checks every message, which takes
    /// about one core
    Bench(Box<BenchOptions>),
    /// Watch a server through its admin listener: rates, slowest subscriptions, tasks, memory
    Top(TopOptions),
    #[command(flatten)]
    Messages(Box<MessagesCommand>),
    /// Ask a server whether it is healthy; exit with 1 if it is not
    Health(AdminAddress),
    /// Print the version, the commit it is built from, and its features
    Version,
    /// Print a script that completes commands and flags: fanfare completions bash
    Completions {
        /// The shell that will run it
        shell: Shell,
    },
    /// Print the manual page, of fanfare or of one of its commands
    Man {
        /// The command
        command: Option<String>,
    },
}

/// The arguments of `fanfare chat`.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct ChatClient {
    /// Address of the server
    #[arg(value_name = "HOST:PORT", default_value = DEFAULT_ADDRESS)]
    pub server: String,
    /// Name to take
    #[arg(long, value_name = "NAME")]
    pub nick: Option<String>,
    /// The TLS of the connection.
    #[command(flatten)]
    pub tls: ClientTls,
}

#[derive(Args)]
pub struct Serve {
    /// TOML file with settings, a table for each front-end: `line-bytes = 4096` in `[chat]` means
    /// --chat-line-bytes 4096
    #[arg(long, value_name = "FILE", env = "FANFARE_CONFIG", hide_env = true)]
    pub config: Option<PathBuf>,
    /// Check the settings, with the files that they name, and exit
    #[arg(long)]
    check_config: bool,
    /// Print each setting in force and where it was set, as a settings file, and exit
    #[arg(long)]
    print_config: bool,
    /// Print how much memory clients can make each front-end hold with these settings, and exit
    #[arg(long)]
    print_bounds: bool,
    #[command(flatten)]
    pub settings: Settings,
}

impl Serve {
    fn task(mut self, arguments: Vec<OsString>) -> Result<Task, ConfigError> {
        self.settings.complete(self.config.as_deref())?;
        let mut config = Config::new(&self.settings)?;
        let variables = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
        config.warnings.extend(mistaken_variables(variables));
        Ok(if self.print_bounds {
            Task::Print(config.bounds())
        } else if self.print_config {
            Task::Print(listing::in_force(&self.settings))
        } else if self.check_config {
            let warnings = config.warnings.iter().map(|warning| format!("{warning}\n"));
            Task::Print(warnings.collect::<String>() + "the settings are valid\n")
        } else {
            Task::Serve(Box::new(config), Source::new(arguments, self.settings))
        })
    }
}

fn completions(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut CommandLine::command(), "fanfare", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

fn man_page(of: Option<&str>) -> Result<String, ConfigError> {
    let mut command = CommandLine::command();
    command.build();
    let wanted = match of {
        Some(name) => command.find_subcommand(name).cloned(),
        None => Some(command),
    };
    let unknown = || ConfigError(format!("there is no command {}", of.unwrap_or_default()));
    let mut page = Vec::new();
    clap_mangen::Man::new(wanted.ok_or_else(unknown)?)
        .render(&mut page)
        .map_err(|error| ConfigError(error.to_string()))?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}

/// Clap's error in one sentence, with a hint in place of the usage.
pub fn sentence(error: &clap::Error) -> String {
    let text = error.to_string();
    let first: Vec<&str> =
        text.lines().take_while(|line| !line.trim().is_empty()).map(str::trim).collect();
    let first = first.join(" ");
    let hint = match suggestion(error) {
        Some(meant) => format!("did you mean {meant}?"),
        None => "--help lists what there is".to_owned(),
    };
    format!("{}; {hint}", first.strip_prefix("error: ").unwrap_or(&first))
}

/// The flag or command that was probably meant.
pub fn suggestion(error: &clap::Error) -> Option<String> {
    match error.get(ContextKind::SuggestedArg).or(error.get(ContextKind::SuggestedSubcommand))? {
        ContextValue::String(meant) => Some(meant.clone()),
        // The most alike is last.
        ContextValue::Strings(meant) => meant.last().cloned(),
        _ => None,
    }
}
