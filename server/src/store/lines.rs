//! Lines of rooms in the database: stored, read back, searched, forgotten. The lines of a room in
//! one commit are a row together, a block: a row for each line would cost five times as much.

use super::schema::Database;
use crate::limits::{BLOCK_LINES, FORGETTING_BLOCKS, LOADED_LINES};
use crate::message::{Kind, ServerMessage};
use crate::time::Timestamp;
use rusqlite::types::FromSqlError;
use rusqlite::{Connection, OptionalExtension, Row};
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

/// A line in a block: its time, kind, sender and text. A block is a JSON array of them.
type Line<'m> = (u32, u8, Option<Cow<'m, str>>, Cow<'m, str>);

/// Stores lines, each with its room, and returns their number. Stores up to `text_bytes` of each
/// text, since people are shown no more.
pub(super) fn insert<'m>(
    connection: &Connection,
    lines: impl Iterator<Item = (&'m str, &'m ServerMessage)>,
    text_bytes: usize,
) -> rusqlite::Result<u64> {
    let mut rooms: HashMap<&str, (u64, Vec<Line<'_>>)> = HashMap::new();
    let mut stored = 0;
    for (room, message) in lines {
        stored += 1;
        let (last, of_room) = rooms.entry(room).or_default();
        *last = stored;
        of_room.push(line(message, text_bytes));
    }
    // The room of the latest line comes last, as `Database::load` expects.
    let mut rooms: Vec<_> = rooms.into_iter().collect();
    rooms.sort_unstable_by_key(|(_, (last, _))| *last);
    for (room, (_, lines)) in &rooms {
        lines.chunks(BLOCK_LINES).try_for_each(|block| insert_block(connection, room, block))?;
    }
    Ok(stored)
}

/// Notes in the history of a room, or of all rooms, that lines are missing.
pub(super) fn insert_gap(
    connection: &Connection,
    room: &str,
    lines: u64,
    time: Timestamp,
) -> rusqlite::Result<()> {
    let (are, of) = (
        if lines == 1 { "line is" } else { "lines are" },
        if room.is_empty() { " of all rooms together" } else { "" },
    );
    let text = format!("{lines} {are} missing here{of}: they could not be stored");
    insert_block(connection, room, &[(time.seconds(), kind_number(Kind::Gap), None, text.into())])
}

fn insert_block(connection: &Connection, room: &str, lines: &[Line<'_>]) -> rusqlite::Result<()> {
    let texts: Vec<&str> = lines.iter().map(|(.., text)| text.as_ref()).collect();
    connection
        .prepare_cached("INSERT INTO blocks (room, oldest, lines, body) VALUES (?, ?, ?, ?)")?
        .execute((room, oldest(lines), lines.len() as u32, encoded(lines)?))?;
    connection
        .prepare_cached("INSERT INTO words (rowid, room, text) VALUES (?, ?, ?)")?
        .execute((connection.last_insert_rowid(), room, texts.join("\n")))
        .map(|_| ())
}

/// Whether a message belongs in the history.
pub(super) fn is_stored(message: &ServerMessage) -> bool {
    message.kind != Kind::Notice
}

/// The last lines of a room, oldest first, with the gaps of all rooms.
pub fn last(
    connection: &Connection,
    room: &str,
    lines: u32,
) -> rusqlite::Result<Vec<ServerMessage>> {
    let mut statement = connection.prepare_cached(NEWEST_BLOCKS)?;
    let mut blocks = statement.query([room])?;
    let mut newest = Vec::new();
    while newest.len() < lines as usize
        && let Some(block) = blocks.next()?
    {
        newest.extend(lines_of(block)?.into_iter().rev());
    }
    Ok(oldest_first(newest, lines))
}

/// The last lines of a room since a moment, oldest first, and the number of all lines since then.
/// Both include the gaps of all rooms.
pub fn since(
    connection: &Connection,
    room: &str,
    time: Timestamp,
    lines: u32,
) -> rusqlite::Result<(Vec<ServerMessage>, u32)> {
    let mut statement = connection.prepare_cached(NEWEST_BLOCKS)?;
    let mut blocks = statement.query([room])?;
    let (mut newest, mut all, mut is_later) = (Vec::new(), 0, true);
    while is_later && let Some(block) = blocks.next()? {
        is_later = block.get::<_, u32>("oldest")? >= time.seconds();
        if is_later && newest.len() >= lines as usize {
            all += block.get::<_, u32>("lines")?;
            continue;
        }
        let before = newest.len();
        let later = |line: &Line<'_>| line.0 >= time.seconds();
        newest.extend(lines_of(block)?.into_iter().rev().filter(later));
        all += (newest.len() - before) as u32;
    }
    Ok((oldest_first(newest, lines), all))
}

/// The blocks of a room, with those of all rooms, which are gaps.
const NEWEST_BLOCKS: &str = "
    SELECT id, oldest, lines, body FROM blocks WHERE room = ?
    UNION ALL SELECT id, oldest, lines, body FROM blocks WHERE room = ''
    ORDER BY id DESC";

/// The last lines of a room that contain all of these words, oldest first. None if no word has a
/// letter or a digit.
pub fn search(
    connection: &Connection,
    room: &str,
    words: &str,
    lines: u32,
) -> rusqlite::Result<Vec<ServerMessage>> {
    let mut statement = connection.prepare_cached(
        "SELECT body FROM words JOIN blocks ON id = words.rowid
         WHERE words MATCH ? AND blocks.room = ? ORDER BY words.rowid DESC",
    )?;
    let quoted = |word: &str| format!("\"{}\"", word.replace('"', "\"\""));
    // The index has no other characters, and a NUL would end the query.
    let words = words.split(|sign: char| sign.is_whitespace() || sign.is_control());
    let words = words.filter(|word| word.contains(char::is_alphanumeric));
    let of_text: Vec<String> = words.map(|word| format!("text : {}", quoted(word))).collect();
    if of_text.is_empty() {
        return Ok(Vec::new());
    }
    let of_text = of_text.join(" AND ");
    let mut blocks = statement.query((format!("room : {} AND {of_text}", quoted(room)), room))?;
    let mut newest = Vec::new();
    while newest.len() < lines as usize
        && let Some(block) = blocks.next()?
    {
        newest.extend(found_in(connection, lines_of(block)?, &of_text)?);
    }
    Ok(oldest_first(newest, lines))
}

/// The lines of a block that match by themselves, newest first. The block may match because its
/// words are in several lines, or in one that is forgotten.
fn found_in<'m>(
    connection: &Connection,
    mut lines: Vec<Line<'m>>,
    query: &str,
) -> rusqlite::Result<Vec<Line<'m>>> {
    let mut insert =
        connection.prepare_cached("INSERT INTO line_words (rowid, text) VALUES (?, ?)")?;
    for (index, (.., text)) in lines.iter().enumerate() {
        insert.execute((index as u32, text))?;
    }
    let mut matching = connection
        .prepare_cached("SELECT rowid FROM line_words WHERE line_words MATCH ? ORDER BY rowid")?;
    let matching = matching.query_map([query], |row| row.get::<_, u32>(0))?;
    let matching = matching.collect::<rusqlite::Result<Vec<_>>>()?;
    connection
        .prepare_cached("INSERT INTO line_words (line_words) VALUES ('delete-all')")?
        .execute(())?;
    let found = matching.iter().rev().map(|index| std::mem::take(&mut lines[*index as usize]));
    Ok(found.collect())
}

/// Forgets the oldest lines of a room, down to `lines`.
pub(super) fn forget_beyond(
    connection: &Connection,
    room: &str,
    lines: u32,
) -> rusqlite::Result<()> {
    let all = "SELECT ifnull(sum(lines), 0) FROM blocks WHERE room = ?";
    let all: i64 = connection.prepare_cached(all)?.query_row([room], |row| row.get(0))?;
    let mut surplus = all - i64::from(lines);
    while surplus > 0 {
        let oldest = "SELECT id FROM blocks WHERE room = ? ORDER BY id LIMIT 1";
        let oldest = connection.prepare_cached(oldest)?.query_row([room], |row| row.get(0))?;
        retain(connection, oldest, |_| {
            surplus -= 1;
            surplus < 0
        })?;
    }
    Ok(())
}

/// Forgets lines from before a moment.
pub(super) fn forget_before(connection: &Connection, time: Timestamp) -> rusqlite::Result<()> {
    let oldest = "SELECT id, oldest FROM blocks ORDER BY id LIMIT 1";
    let mut oldest = connection.prepare_cached(oldest)?;
    for _ in 0..FORGETTING_BLOCKS {
        let block = oldest.query_row((), |row| Ok((row.get(0)?, row.get::<_, u32>(1)?)));
        match block.optional()? {
            Some((id, oldest)) if oldest < time.seconds() => {
                retain(connection, id, |line| line.0 >= time.seconds())?;
            }
            _ => break,
        }
    }
    Ok(())
}

/// Removes all lines from a block but those to keep. The index of words still has those of a block
/// that stays, so a search looks at the lines too.
fn retain(
    connection: &Connection,
    id: i64,
    keep: impl FnMut(&Line<'_>) -> bool,
) -> rusqlite::Result<()> {
    let body = "SELECT body FROM blocks WHERE id = ?";
    let mut lines = connection.prepare_cached(body)?.query_row([id], lines_of)?;
    lines.retain(keep);
    if lines.is_empty() {
        connection.prepare_cached("DELETE FROM blocks WHERE id = ?")?.execute([id])?;
        connection.prepare_cached("DELETE FROM words WHERE rowid = ?")?.execute([id])?;
    } else {
        connection
            .prepare_cached("UPDATE blocks SET oldest = ?, lines = ?, body = ? WHERE id = ?")?
            .execute((oldest(&lines), lines.len() as u32, encoded(&lines)?, id))?;
    }
    Ok(())
}

impl Database {
    /// The last lines of each room, the longest quiet room first. With too many rooms, only the
    /// latest.
    pub fn load(&self, lines: u32) -> rusqlite::Result<Vec<(String, Vec<ServerMessage>)>> {
        let mut statement = self.connection.prepare(
            "SELECT room FROM blocks WHERE room <> '' GROUP BY room ORDER BY max(id) DESC LIMIT ?",
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

fn line(message: &ServerMessage, text_bytes: usize) -> Line<'_> {
    let payload = message.payload();
    // A few bytes more, so that the renderer sees that the line was longer.
    let payload = &payload[..payload.len().min(text_bytes + 8)];
    let sender = message.sender.as_deref().map(Cow::from);
    let kind = kind_number(message.kind);
    (message.time.seconds(), kind, sender, String::from_utf8_lossy(payload))
}

fn message((time, kind_number, sender, text): Line<'_>) -> ServerMessage {
    ServerMessage {
        time: Timestamp::from_seconds(u64::from(time)),
        kind: kind(kind_number),
        sender: sender.map(Arc::from),
        ..ServerMessage::of(text.into_owned())
    }
}

/// The last of these lines, which are newest first.
fn oldest_first(mut newest: Vec<Line<'_>>, lines: u32) -> Vec<ServerMessage> {
    newest.truncate(lines as usize);
    newest.into_iter().rev().map(message).collect()
}

fn oldest(lines: &[Line<'_>]) -> u32 {
    lines.iter().map(|line| line.0).min().unwrap_or(0)
}

fn encoded(lines: &[Line<'_>]) -> rusqlite::Result<String> {
    serde_json::to_string(lines)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
}

/// The lines of a block, oldest first.
fn lines_of(block: &Row<'_>) -> rusqlite::Result<Vec<Line<'static>>> {
    let body = block.get_ref("body")?.as_str()?;
    serde_json::from_str(body).map_err(|error| FromSqlError::Other(error.into()).into())
}

/// These numbers are in files, so they never change.
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
