//! The rules of rooms in the database, each as one text.

use super::schema::Database;
use rusqlite::Connection;

/// Stores the rules of a room, or forgets them.
pub fn keep(connection: &Connection, room: &str, rules: Option<&str>) -> rusqlite::Result<()> {
    let done = match rules {
        Some(rules) => connection
            .execute("INSERT OR REPLACE INTO rooms (name, rules) VALUES (?, ?)", [room, rules]),
        None => connection.execute("DELETE FROM rooms WHERE name = ?", [room]),
    };
    done.map(|_| ())
}

impl Database {
    /// The rooms that have rules, and their rules.
    pub fn rooms(&self) -> rusqlite::Result<Vec<(String, String)>> {
        let mut statement = self.connection.prepare("SELECT name, rules FROM rooms")?;
        let rooms = statement.query_map((), |row| Ok((row.get(0)?, row.get(1)?)))?;
        rooms.collect()
    }
}
