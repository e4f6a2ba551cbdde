//! The settings of the chat.

use super::names::{Name, NameOf};
use super::rooms::DirectoryLimits;
use super::session::SessionSettings;
use crate::connection::ConnectionLimits;
use crate::limits;
use crate::transport::{Idle, WriterSettings};
use fanfare::{Pattern, WhenFull};
use std::collections::HashSet;
use std::time::Duration;

/// Every bound of a chat server. The default is what [`limits`] says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatSettings {
    /// Connections in all and per address.
    pub connections: ConnectionLimits,
    /// Rooms and members.
    pub directory: DirectoryLimits,
    /// Names, topics, history.
    pub session: SessionSettings,
    /// Accounts that moderate every room.
    pub operators: Vec<String>,
    /// Write buffer, write deadline, idle times.
    pub writer: WriterSettings,
    /// Bytes of a line.
    pub line_bytes: usize,
    /// Lines a second that are read from one connection. None: as many as come.
    pub lines_per_second: Option<u32>,
    /// Messages queued for one person from one room.
    pub queue_messages: usize,
    /// Bytes queued for one person from one room.
    pub queue_bytes: usize,
    /// How long a line waits for a reader whose queue is full; zero drops it for that reader at
    /// once.
    pub wait: Duration,
}

impl Default for ChatSettings {
    fn default() -> Self {
        Self {
            connections: ConnectionLimits::default(),
            directory: DirectoryLimits {
                rooms: limits::ROOMS,
                rooms_per_person: limits::ROOMS_PER_PERSON,
                room_members: limits::ROOM_MEMBERS,
            },
            session: SessionSettings::default(),
            operators: Vec::new(),
            writer: WriterSettings {
                buffer_bytes: limits::WRITE_BUFFER_BYTES,
                deadline: Duration::from_millis(limits::WRITE_DEADLINE_MS),
                idle: Idle {
                    interval: Duration::from_millis(limits::IDLE_MS),
                    misses: limits::IDLE_MISSES,
                    answer_required: false,
                },
            },
            line_bytes: limits::LINE_BYTES,
            lines_per_second: Some(limits::CHAT_LINES_PER_SECOND),
            queue_messages: limits::CHAT_QUEUE_MESSAGES,
            queue_bytes: limits::CHAT_QUEUE_BYTES,
            wait: Duration::from_millis(limits::CHAT_WAIT_MS),
        }
    }
}

impl ChatSettings {
    /// The history that a broker has to keep for chat: the pattern and the number of messages.
    pub fn history(&self) -> Option<(Pattern, usize)> {
        let pattern = Pattern::parse("chat.room.*").ok()?;
        (self.session.history_lines > 0).then_some((pattern, self.session.history_lines))
    }

    /// The names in [`ChatSettings::operators`]; nobody has an invalid one.
    pub(super) fn operators(&self) -> HashSet<Name> {
        let names = self.operators.iter();
        names.filter_map(|name| Name::parse(name, NameOf::Person, usize::MAX).ok()).collect()
    }

    pub(super) fn when_full(&self) -> WhenFull {
        if self.wait.is_zero() { WhenFull::DropNewest } else { WhenFull::Wait(self.wait) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_settings_keep_their_promises() {
        let settings = ChatSettings::default();
        assert!(settings.connections.per_address >= 5_000);
        assert_eq!(settings.when_full(), WhenFull::Wait(Duration::from_millis(5)));
        assert_eq!(
            ChatSettings { wait: Duration::ZERO, ..settings.clone() }.when_full(),
            WhenFull::DropNewest
        );
        assert!(settings.history().is_some_and(|(pattern, _)| pattern.as_str() == "chat.room.*"));
    }
}
