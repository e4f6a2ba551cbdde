//! Lines of rooms in the database: stored, read back, searched, forgotten.

use super::schema::Database;
use crate::limits::{FORGETTING_LINES, LOADED_LINES};
use crate::message::{Kind, ServerMessage};
use crate::time::Timestamp;
use rusqlite::{CachedStatement, Connection, OptionalExtension, Params, Row};
use std::sync::Arc;

/// Stores lines in one transaction.
pub(super) struct Insert<'c>(CachedStatement<'c>);

impl<'c> Insert<'c> {
    pub fn new(connection: &'c Connection) -> rusqlite::Result<Self> {
        let insert = "INSERT INTO lines (room, time, kind, sender, text) VALUES (?, ?, ?, ?, ?)";
        connection.prepare_cached(insert).map(Self)
    }

    /// Of the text, `text_bytes` are stored: people are shown no more.
    pub fn line(
        &mut self,
        room: &str,
        message: &ServerMessage,
        text_bytes: usize,
    ) -> rusqlite::Result<()> {
        let payload = message.payload();
        // A few bytes more, so that it shows that the line was longer.
        let payload = &payload[..payload.len().min(text_bytes + 8)];
        let text = String::from_utf8_lossy(payload);
        let kind = kind_number(message.kind);
        let sender = message.sender.as_deref();
        self.0.execute((room, message.time.seconds(), kind, sender, text)).map(|_| ())
    }

    /// Says in the history of a room, or of all rooms, that lines are missing.
    pub fn gap(&mut self, room: &str, lines: u64, time: Timestamp) -> rusqlite::Result<()> {
        let (are, of) = (
            if lines == 1 { "line is" } else { "lines are" },
            if room.is_empty() { " of all rooms together" } else { "" },
        );
        let text = format!("{lines} {are} missing here{of}: they could not be stored");
        let message = ServerMessage { kind: Kind::Gap, time, ..ServerMessage::of(text) };
        self.line(room, &message, usize::MAX - 8)
    }
}

/// Whether a message belongs into the history.
pub(super) fn is_stored(message: &ServerMessage) -> bool {
    message.kind != Kind::Notice
}

/// The last lines of a room, oldest first, with the gaps of all rooms.
pub fn last(
    connection: &Connection,
    room: &str,
    lines: u32,
) -> rusqlite::Result<Vec<ServerMessage>> {
    let of_room = "SELECT * FROM (SELECT id, time, kind, sender, text FROM lines
        WHERE room = ? ORDER BY id DESC LIMIT ?)";
    let both = format!("{of_room} UNION ALL {of_room} ORDER BY id DESC LIMIT ?");
    let mut statement = connection.prepare(&both)?;
    oldest_first(statement.query_map((room, lines, "", lines, lines), message)?)
}

/// The last lines of a room from a moment on, oldest first, and how many there are from then on;
/// both with the gaps of all rooms.
pub fn since(
    connection: &Connection,
    room: &str,
    time: Timestamp,
    lines: u32,
) -> rusqlite::Result<(Vec<ServerMessage>, u32)> {
    let mut messages = last(connection, room, lines)?;
    let are_all =
        messages.len() < lines as usize || messages.first().is_none_or(|oldest| oldest.time < time);
    messages.retain(|message| message.time >= time);
    if are_all {
        let all = u32::try_from(messages.len()).unwrap_or(lines);
        return Ok((messages, all));
    }
    let count = "SELECT count(*) FROM lines WHERE room IN (?, '') AND time >= ?";
    let all = connection.query_row(count, (room, time.seconds()), |row| row.get(0))?;
    Ok((messages, all))
}

/// The last lines of a room that contain all of these words, oldest first.
pub fn search(
    connection: &Connection,
    room: &str,
    words: &str,
    lines: u32,
) -> rusqlite::Result<Vec<ServerMessage>> {
    index(connection, 1)?;
    let mut statement = connection.prepare(
        "SELECT id, time, kind, sender, lines.text FROM words JOIN lines ON id = words.rowid
         WHERE words MATCH ? AND lines.room = ? ORDER BY words.rowid DESC LIMIT ?",
    )?;
    let quoted = |word: &str| format!("\"{}\"", word.replace('"', "\"\""));
    let mut query = format!("room : {}", quoted(room));
    for word in words.split_whitespace() {
        query += &format!(" AND text : {}", quoted(word));
    }
    oldest_first(statement.query_map((query, room, lines), message)?)
}

/// Adds stored lines to the index of words, once at least `waiting` of them are not in it. Many at
/// once take a fifth of the time that each takes alone.
pub(super) fn index(connection: &Connection, waiting: u32) -> rusqlite::Result<()> {
    let last = connection.prepare_cached("SELECT max(id) FROM lines")?.query_row((), id)?;
    let indexed = connection.prepare_cached(LAST_INDEXED)?.query_row((), id)?;
    if last - indexed >= i64::from(waiting) {
        connection
            .prepare_cached(
                "INSERT INTO words (rowid, room, text)
                 SELECT id, room, text FROM lines WHERE id > ?",
            )?
            .execute([indexed])?;
    }
    Ok(())
}

/// Every line up to this one is in the index of words, which has a row for each line here.
const LAST_INDEXED: &str = "SELECT max(id) FROM words_docsize";

/// 0 if there is none.
fn id(row: &Row<'_>) -> rusqlite::Result<i64> {
    Ok(row.get::<_, Option<i64>>(0)?.unwrap_or(0))
}

/// Forgets lines of a room beyond those it may have.
pub(super) fn forget_beyond(
    connection: &Connection,
    room: &str,
    lines: u32,
) -> rusqlite::Result<()> {
    let oldest_kept = "SELECT id FROM lines WHERE room = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2";
    let older = format!("SELECT id FROM lines WHERE room = ?1 AND id <= ({oldest_kept})");
    forget(connection, &older, (room, lines))
}

/// Forgets some lines that were said before a moment.
pub(super) fn forget_before(connection: &Connection, time: Timestamp) -> rusqlite::Result<()> {
    // The oldest come first, so a look at them is enough.
    let oldest = "SELECT time FROM lines ORDER BY id LIMIT 1";
    let oldest = connection.prepare_cached(oldest)?.query_row((), |row| row.get(0)).optional()?;
    if oldest.is_none_or(|oldest: u32| oldest >= time.seconds()) {
        return Ok(());
    }
    let oldest = "SELECT id, time FROM lines ORDER BY id LIMIT ?2";
    let older = format!("SELECT id FROM ({oldest}) WHERE time < ?1");
    forget(connection, &older, (time.seconds(), FORGETTING_LINES))
}

/// Forgets the lines that a query names, first in the index of words, which has no text of its own.
fn forget(connection: &Connection, ids: &str, values: impl Params + Copy) -> rusqlite::Result<()> {
    let words = format!(
        "INSERT INTO words (words, rowid, room, text) SELECT 'delete', id, room, text FROM lines
         WHERE id IN ({ids}) AND id <= ({LAST_INDEXED})"
    );
    connection.prepare_cached(&words)?.execute(values)?;
    let lines = format!("DELETE FROM lines WHERE id IN ({ids})");
    connection.prepare_cached(&lines)?.execute(values).map(|_| ())
}

impl Database {
    /// The last lines of each room, the room that was quiet longest first; of the latest rooms, if
    /// there are too many.
    ///
    /// # Errors
    /// As SQLite has it.
    pub fn load(&self, lines: u32) -> rusqlite::Result<Vec<(String, Vec<ServerMessage>)>> {
        let mut statement = self.connection.prepare(
            "SELECT room FROM lines WHERE room <> '' GROUP BY room ORDER BY max(id) DESC LIMIT ?",
        )?;
        let rooms = LOADED_LINES / lines.max(1);
        let names = statement.query_map([rooms], |row| row.get::<_, String>(0))?;
        let mut loaded = Vec::new();
        for name in names {
            let name = name?;
            let messages = last(&self.connection, &name, lines)?;
            loaded.push((name, messages));
        }
        loaded.reverse();
        Ok(loaded)
    }
}

fn oldest_first(
    newest_first: impl Iterator<Item = rusqlite::Result<ServerMessage>>,
) -> rusqlite::Result<Vec<ServerMessage>> {
    let mut messages = newest_first.collect::<rusqlite::Result<Vec<_>>>()?;
    messages.reverse();
    Ok(messages)
}

fn message(row: &Row<'_>) -> rusqlite::Result<ServerMessage> {
    let text: String = row.get("text")?;
    Ok(ServerMessage {
        time: Timestamp::from_seconds(u64::from(row.get::<_, u32>("time")?)),
        kind: kind(row.get("kind")?),
        sender: row.get::<_, Option<String>>("sender")?.map(Arc::from),
        ..ServerMessage::of(text)
    })
}

/// These numbers are in files: they stay.
fn kind_number(kind: Kind) -> u8 {
    match kind {
        Kind::Said | Kind::Notice => 0,
        Kind::Action => 1,
        Kind::Gap => 2,
    }
}

fn kind(number: u8) -> Kind {
    match number {
        1 => Kind::Action,
        2 => Kind::Gap,
        _ => Kind::Said,
    }
}
