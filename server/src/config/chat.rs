//! The settings of chat.

use super::ConfigError;
use super::settings::Settings;
use super::shared::{AddressOptions, ConnectionOptions, QueueOptions, TlsOptions, WriterOptions};
use super::table::Options;
use super::values::{choice, from, listed, within};
use crate::chat::ChatSettings;
use crate::chat::names::{Name, NameOf};
use crate::chat::password::Secret;
use crate::chat::rooms::DirectoryLimits;
use crate::chat::session::SessionSettings;
use crate::limits;
use clap::{Arg, ArgAction, Args};
use std::net::SocketAddr;

/// Where chat listens, unless told otherwise.
pub const DEFAULT_ADDRESS: &str = "127.0.0.1:7000";

#[derive(Args, Debug)]
#[command(next_help_heading = "Chat")]
pub struct ChatOptions {
    #[command(flatten)]
    listen: AddressOptions,
    /// Let everybody in on an address that other machines can reach: anybody can then take any free
    /// name, unless there is a password or accounts are required
    #[arg(long)]
    allow_anonymous: bool,
    #[command(flatten)]
    pub tls: TlsOptions,
    /// Password that everybody must give first
    #[arg(long, value_name = "WORD", value_parser = word, hide_env_values = true)]
    password: Option<String>,
    #[command(flatten)]
    connections: ConnectionOptions,
    /// Whether everybody may talk, or only people who have registered a name and log in
    #[arg(long = "accounts", value_name = "optional|required", default_value = "optional",
        action = ArgAction::Set,
        value_parser = choice([("optional", false), ("required", true)]))]
    accounts_required: bool,
    /// Accounts that are operators of every room, separated by commas
    #[arg(long, value_name = "NAMES", default_value = "", value_parser = names)]
    operators: Names,
    /// Maximum length of a line; longer lines are skipped, and their sender is told
    #[arg(long, value_name = "BYTES", default_value_t = limits::LINE_BYTES,
        value_parser = within::<usize>(16..=1 << 20))]
    line_bytes: usize,
    /// Lines a second that one connection may send before the server slows it down; 0 for no limit
    #[arg(long, value_name = "N", default_value_t = limits::CHAT_LINES_PER_SECOND,
        value_parser = within::<u32>(0..=1_000_000))]
    lines_per_second: u32,
    /// Maximum length of a name, in characters
    #[arg(long, value_name = "N", default_value_t = limits::NAME_CHARACTERS,
        value_parser = within::<usize>(8..=limits::NAME_BYTES as u64))]
    name_characters: usize,
    /// Maximum length of a room's topic, in characters
    #[arg(long, value_name = "N", default_value_t = limits::ROOM_TOPIC_CHARACTERS,
        value_parser = within::<usize>(1..=1 << 20))]
    topic_characters: usize,
    /// Maximum number of rooms
    #[arg(long, value_name = "N", default_value_t = limits::ROOMS, value_parser = from(1))]
    rooms: usize,
    /// Maximum number of rooms that one person can be in
    #[arg(long, value_name = "N", default_value_t = limits::ROOMS_PER_PERSON,
        value_parser = from(1))]
    rooms_per_person: usize,
    /// Maximum number of members of a room
    #[arg(long, value_name = "N", default_value_t = limits::ROOM_MEMBERS, value_parser = from(1))]
    room_members: usize,
    /// Lines of history that each room keeps
    #[arg(long, value_name = "N", default_value_t = limits::ROOM_HISTORY_LINES,
        value_parser = within::<usize>(0..=100_000))]
    history_lines: usize,
    /// Lines of history that a room shows to a person who joins
    #[arg(long, value_name = "N", default_value_t = limits::ROOM_REPLAY_LINES,
        value_parser = within::<usize>(0..=100_000))]
    replay_lines: usize,
    #[command(flatten)]
    queue: QueueOptions,
    #[command(flatten)]
    writer: WriterOptions,
}

/// A word as people type it after a command.
fn word(text: &str) -> Result<String, String> {
    match text.is_empty() || text.contains(char::is_whitespace) {
        true => Err("is not a single word".to_owned()),
        false => Ok(text.to_owned()),
    }
}

/// Names of accounts.
#[derive(Clone, Debug)]
struct Names(Vec<String>);

fn names(text: &str) -> Result<Names, String> {
    let name = |name: &str| {
        Name::parse(name, NameOf::Person, limits::NAME_BYTES)
            .map(|_| name.to_owned())
            .map_err(|error| format!("names {name}, which cannot be an account: {error}"))
    };
    listed(text).map(name).collect::<Result<_, _>>().map(Names)
}

impl Options for ChatOptions {
    const TABLE: &'static str = "chat";
    const RELOADED: &'static [&'static [&'static str]] =
        &[&ConnectionOptions::KEYS, &TlsOptions::KEYS, &["password", "password-file"]];

    fn adapt(shared: Arg) -> Arg {
        match shared.get_id().as_str() {
            "address" => shared.default_value(DEFAULT_ADDRESS),
            "queue_messages" => shared.default_value(limits::CHAT_QUEUE_MESSAGES.to_string()),
            "queue_bytes" => shared.default_value(limits::CHAT_QUEUE_BYTES.to_string()),
            "wait_ms" => shared.default_value(limits::CHAT_WAIT_MS.to_string()),
            _ => shared,
        }
    }
}

impl ChatOptions {
    /// Where chat listens, and its settings, if they fit together.
    pub fn config(
        &self,
        settings: &Settings,
    ) -> Result<(Option<SocketAddr>, ChatSettings), ConfigError> {
        self.check(settings)?;
        let chat = ChatSettings {
            connections: self.connections.limits(),
            directory: DirectoryLimits {
                rooms: self.rooms,
                rooms_per_person: self.rooms_per_person,
                room_members: self.room_members,
            },
            session: SessionSettings {
                name_characters: self.name_characters,
                topic_characters: self.topic_characters,
                replay_lines: self.replay_lines,
                history_lines: self.history_lines,
                is_stored: settings.is_set("data-dir"),
                accounts_required: self.accounts_required,
                password: self.password.clone().map(Secret),
            },
            operators: self.operators.0.clone(),
            writer: self.writer.settings(&self.queue),
            line_bytes: self.line_bytes,
            lines_per_second: (self.lines_per_second > 0).then_some(self.lines_per_second),
            queue_messages: self.queue.queue_messages,
            queue_bytes: self.queue.queue_bytes,
            wait: self.queue.wait(),
        };
        Ok((self.listen.address.0, chat))
    }

    fn check(&self, settings: &Settings) -> Result<(), ConfigError> {
        let remedy = "chat-allow-anonymous";
        let is_closed = self.password.is_some() || self.accounts_required;
        let is_guarded = is_closed || self.allow_anonymous;
        settings.guard("chat", self.listen.address, is_guarded, remedy)?;
        if self.accounts_required && !settings.is_set("data-dir") {
            let problem = "needs data-dir, where accounts are kept";
            return Err(settings.error("chat-accounts", problem));
        }
        let line = ("a line", "chat-line-bytes", self.line_bytes + 256);
        self.queue.check_fits(Self::TABLE, line, settings)?;
        if self.replay_lines > self.history_lines && settings.is_set("chat-replay-lines") {
            let kept = self.history_lines;
            let problem = format!("is more than chat-history-lines keeps ({kept})");
            return Err(settings.error("chat-replay-lines", &problem));
        }
        Ok(())
    }
}
