//! The settings of chat.

use super::ConfigError;
use super::sources::Sources;
use super::values::{Listen, from, listen, ms, within};
use crate::chat::ChatSettings;
use crate::chat::rooms::DirectoryLimits;
use crate::chat::session::SessionSettings;
use crate::connection::ConnectionLimits;
use crate::limits;
use crate::transport::{Idle, WriterSettings};
use clap::{ArgAction, Args};
use fanfare::limits::{QUEUE_BYTES_MAX, QUEUE_MESSAGES_MAX};
use std::time::Duration;

/// Where chat listens, unless told otherwise.
pub const DEFAULT_ADDRESS: &str = "127.0.0.1:7000";

#[derive(Args, Debug)]
#[command(next_help_heading = "Chat")]
pub struct ChatOptions {
    /// Address for chat, or `off`; port 0 picks a free port
    #[arg(long, value_name = "ADDR|off", default_value = DEFAULT_ADDRESS, value_parser = listen)]
    pub chat: Listen,
    /// Let everybody in on an address that other machines can reach. Chat has no passwords: whoever
    /// reaches it can take any free name
    #[arg(long, value_name = "true|false", default_value_t = false, action = ArgAction::Set,
        num_args = 0..=1, default_missing_value = "true")]
    chat_allow_anonymous: bool,
    /// Maximum number of chat connections
    #[arg(long, value_name = "N", default_value_t = limits::MAX_CONNECTIONS,
        value_parser = from(1))]
    chat_connections: usize,
    /// Maximum number of chat connections from one address (IPv6: from one /64)
    #[arg(long, value_name = "N", default_value_t = limits::MAX_CONNECTIONS_PER_ADDRESS,
        value_parser = from(1))]
    chat_connections_per_address: usize,
    /// Maximum length of a line; longer lines are skipped, and their sender is told
    #[arg(long, value_name = "BYTES", default_value_t = limits::LINE_BYTES,
        value_parser = within::<usize>(16..=1 << 20))]
    chat_line_bytes: usize,
    /// Lines a second that one connection may send before the server slows it down; 0 for no limit
    #[arg(long, value_name = "N", default_value_t = limits::CHAT_LINES_PER_SECOND,
        value_parser = within::<u32>(0..=1_000_000))]
    chat_lines_per_second: u32,
    /// Maximum length of a name, in characters
    #[arg(long, value_name = "N", default_value_t = limits::NAME_CHARACTERS,
        value_parser = within::<usize>(8..=limits::NAME_BYTES as u64))]
    chat_name_characters: usize,
    /// Maximum length of a room's topic, in characters
    #[arg(long, value_name = "N", default_value_t = limits::ROOM_TOPIC_CHARACTERS,
        value_parser = within::<usize>(1..=1 << 20))]
    chat_topic_characters: usize,
    /// Maximum number of rooms
    #[arg(long, value_name = "N", default_value_t = limits::ROOMS, value_parser = from(1))]
    chat_rooms: usize,
    /// Maximum number of rooms that one person is in
    #[arg(long, value_name = "N", default_value_t = limits::ROOMS_PER_PERSON,
        value_parser = from(1))]
    chat_rooms_per_person: usize,
    /// Maximum number of members of a room
    #[arg(long, value_name = "N", default_value_t = limits::ROOM_MEMBERS, value_parser = from(1))]
    chat_room_members: usize,
    /// Lines of history that each room keeps
    #[arg(long, value_name = "N", default_value_t = limits::ROOM_HISTORY_LINES,
        value_parser = within::<usize>(0..=100_000))]
    chat_history_lines: usize,
    /// Lines of history that a person who joins is shown
    #[arg(long, value_name = "N", default_value_t = limits::ROOM_REPLAY_LINES,
        value_parser = within::<usize>(0..=100_000))]
    chat_replay_lines: usize,
    /// Maximum number of messages queued for one person from one room
    #[arg(long, value_name = "N", default_value_t = limits::CHAT_QUEUE_MESSAGES,
        value_parser = within::<usize>(1..=QUEUE_MESSAGES_MAX as u64))]
    chat_queue_messages: usize,
    /// Maximum number of bytes queued for one person from one room
    #[arg(long, value_name = "BYTES", default_value_t = limits::CHAT_QUEUE_BYTES,
        value_parser = within::<usize>(1..=QUEUE_BYTES_MAX as u64))]
    chat_queue_bytes: usize,
    /// How long a line waits for readers whose queue is full; then they miss it
    #[arg(long, value_name = "MS", default_value_t = limits::CHAT_WAIT_MS, value_parser = ms(0))]
    chat_wait_ms: u64,
    /// Bytes rendered ahead for one person while the network is not ready for them
    #[arg(long, value_name = "BYTES", default_value_t = limits::WRITE_BUFFER_BYTES,
        value_parser = from(256))]
    chat_write_buffer_bytes: usize,
    /// A reader that takes none of what waits for it in this time is disconnected
    #[arg(long, value_name = "MS", default_value_t = limits::WRITE_DEADLINE_MS,
        value_parser = ms(1))]
    chat_write_deadline_ms: u64,
    /// A peer that is silent for this long is sent a ping
    #[arg(long, value_name = "MS", default_value_t = limits::IDLE_MS, value_parser = ms(1))]
    chat_idle_ms: u64,
    /// Pings without a sign of life after which a peer is disconnected
    #[arg(long, value_name = "N", default_value_t = limits::IDLE_MISSES,
        value_parser = within::<u32>(1..=1_000))]
    chat_idle_misses: u32,
    /// Disconnect a peer that answers no ping even if it takes what it is sent
    #[arg(long, value_name = "true|false", default_value_t = false, action = ArgAction::Set,
        num_args = 0..=1, default_missing_value = "true")]
    chat_idle_answer_required: bool,
}

impl ChatOptions {
    /// The settings, if they fit together.
    pub fn settings(&self, sources: &Sources) -> Result<ChatSettings, ConfigError> {
        self.check(sources)?;
        Ok(ChatSettings {
            connections: ConnectionLimits {
                total: self.chat_connections,
                per_address: self.chat_connections_per_address,
            },
            directory: DirectoryLimits {
                rooms: self.chat_rooms,
                rooms_per_person: self.chat_rooms_per_person,
                room_members: self.chat_room_members,
            },
            session: SessionSettings {
                name_characters: self.chat_name_characters,
                topic_characters: self.chat_topic_characters,
                replay_lines: self.chat_replay_lines,
                history_lines: self.chat_history_lines,
            },
            writer: WriterSettings {
                buffer_bytes: self.chat_write_buffer_bytes,
                deadline: Duration::from_millis(self.chat_write_deadline_ms),
                idle: Idle {
                    interval: Duration::from_millis(self.chat_idle_ms),
                    misses: self.chat_idle_misses,
                    answer_required: self.chat_idle_answer_required,
                },
            },
            line_bytes: self.chat_line_bytes,
            lines_per_second: (self.chat_lines_per_second > 0)
                .then_some(self.chat_lines_per_second),
            queue_messages: self.chat_queue_messages,
            queue_bytes: self.chat_queue_bytes,
            wait: Duration::from_millis(self.chat_wait_ms),
        })
    }

    fn check(&self, sources: &Sources) -> Result<(), ConfigError> {
        sources.guard("chat", self.chat, self.chat_allow_anonymous, "chat-allow-anonymous")?;
        // A queue that cannot take even one line would drop everything.
        let needed_bytes = self.chat_line_bytes + 256;
        if self.chat_queue_bytes < needed_bytes {
            let (line, queue) = (self.chat_line_bytes, self.chat_queue_bytes);
            return Err(if sources.is_set("chat-queue-bytes") {
                let problem = format!("{queue} is too small for a line; it needs {needed_bytes}");
                sources.error("chat-queue-bytes", &problem)
            } else {
                let problem = format!("{line} does not fit into chat-queue-bytes ({queue})");
                sources.error("chat-line-bytes", &problem)
            });
        }
        if self.chat_replay_lines > self.chat_history_lines && sources.is_set("chat-replay-lines") {
            let problem = format!(
                "{} is more than chat-history-lines keeps ({})",
                self.chat_replay_lines, self.chat_history_lines
            );
            return Err(sources.error("chat-replay-lines", &problem));
        }
        Ok(())
    }
}
