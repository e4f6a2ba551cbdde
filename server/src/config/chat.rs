//! The settings of chat.

use super::ConfigError;
use super::check::Check;
use super::settings::Settings;
use crate::chat::ChatSettings;
use crate::limits;

impl Check {
    /// All of them, checked.
    pub fn chat(&self, settings: &Settings) -> Result<ChatSettings, ConfigError> {
        let mut chat = ChatSettings::default();
        let number =
            |name, given, target: &mut usize, range| self.number(name, given, target, range);
        let any = (1, 1 << 30);
        number("chat_connections", settings.chat_connections, &mut chat.connections.total, any)?;
        number(
            "chat_connections_per_address",
            settings.chat_connections_per_address,
            &mut chat.connections.per_address,
            any,
        )?;
        number("chat_line_bytes", settings.chat_line_bytes, &mut chat.line_bytes, (16, 1 << 20))?;
        let session = &mut chat.session;
        number(
            "chat_name_characters",
            settings.chat_name_characters,
            &mut session.name_characters,
            (8, limits::NAME_BYTES),
        )?;
        number(
            "chat_topic_characters",
            settings.chat_topic_characters,
            &mut session.topic_characters,
            (1, 1 << 20),
        )?;
        number(
            "chat_history_lines",
            settings.chat_history_lines,
            &mut session.history_lines,
            (0, 100_000),
        )?;
        number(
            "chat_replay_lines",
            settings.chat_replay_lines,
            &mut session.replay_lines,
            (0, 100_000),
        )?;
        number("chat_rooms", settings.chat_rooms, &mut chat.directory.rooms, any)?;
        number(
            "chat_rooms_per_person",
            settings.chat_rooms_per_person,
            &mut chat.directory.rooms_per_person,
            any,
        )?;
        number(
            "chat_room_members",
            settings.chat_room_members,
            &mut chat.directory.room_members,
            any,
        )?;
        number(
            "chat_queue_messages",
            settings.chat_queue_messages,
            &mut chat.queue_messages,
            (1, fanfare::limits::QUEUE_MESSAGES_MAX),
        )?;
        number(
            "chat_queue_bytes",
            settings.chat_queue_bytes,
            &mut chat.queue_bytes,
            (1, fanfare::limits::QUEUE_BYTES_MAX),
        )?;
        let writer = &mut chat.writer;
        number(
            "chat_write_buffer_bytes",
            settings.chat_write_buffer_bytes,
            &mut writer.buffer_bytes,
            (256, 1 << 30),
        )?;
        let deadline_ms = settings.chat_write_deadline_ms;
        writer.deadline =
            self.milliseconds("chat_write_deadline_ms", deadline_ms, limits::WRITE_DEADLINE_MS, 1)?;
        writer.idle.interval =
            self.milliseconds("chat_idle_ms", settings.chat_idle_ms, limits::IDLE_MS, 1)?;
        let mut misses = writer.idle.misses as usize;
        number("chat_idle_misses", settings.chat_idle_misses, &mut misses, (1, 1_000))?;
        writer.idle.misses = misses as u32;
        writer.idle.answer_required = settings.chat_idle_answer_required.unwrap_or(false);
        let mut per_second = 0;
        number(
            "chat_lines_per_second",
            settings.chat_lines_per_second,
            &mut per_second,
            (0, 1_000_000),
        )?;
        chat.lines_per_second = (per_second > 0).then_some(per_second as u32);
        chat.wait =
            self.milliseconds("chat_wait_ms", settings.chat_wait_ms, limits::CHAT_WAIT_MS, 0)?;
        self.fits_a_line(&chat)?;
        Ok(chat)
    }

    /// A queue that takes not even one line would drop everything.
    fn fits_a_line(&self, chat: &ChatSettings) -> Result<(), ConfigError> {
        let needed_bytes = chat.line_bytes + 256;
        if chat.queue_bytes < needed_bytes {
            let problem =
                format!("{} is too small for a line; at least {needed_bytes}", chat.queue_bytes);
            let name = if self.is_set("chat_queue_bytes") {
                "chat_queue_bytes"
            } else {
                "chat_line_bytes"
            };
            return Err(self.error(name, &problem));
        }
        if chat.session.replay_lines > chat.session.history_lines
            && self.is_set("chat_replay_lines")
        {
            let problem = format!(
                "{} is more than chat-history-lines keeps ({})",
                chat.session.replay_lines, chat.session.history_lines
            );
            return Err(self.error("chat_replay_lines", &problem));
        }
        Ok(())
    }
}
