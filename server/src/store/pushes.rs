//! The push gateway's tables: kept pushes, accepted signed datagrams, and the last number.

use super::schema::Database;
use crate::codec::datagram::Remembered;
use crate::limits::{PUSHES_FORGOTTEN, STORED_PUSH_BYTES, STORED_PUSHES};
use crate::message::{PushHeader, ServerMessage};
use fanfare::Topic;
use rusqlite::Connection;

/// Keeps a push for clients that are away. Its topic keeps the last `per_topic`.
pub fn keep(
    connection: &Connection,
    (topic, header, payload): (&Topic, &PushHeader, &[u8]),
    per_topic: usize,
    now_ms: u64,
) -> rusqlite::Result<()> {
    let (number, expires_ms) = (header.number as i64, header.expires_ms.unwrap_or(0) as i64);
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO pushes (topic, number, expires_ms, wants_ack, id, payload)
             VALUES (?, ?, ?, ?, ?, ?)",
        )?
        .execute((topic.as_str(), number, expires_ms, header.wants_ack, &header.id, payload))?;
    connection
        .prepare_cached(
            "DELETE FROM pushes WHERE topic = ?1 AND number <= (SELECT number FROM pushes
             WHERE topic = ?1 ORDER BY number DESC LIMIT 1 OFFSET ?2)",
        )?
        .execute((topic.as_str(), per_topic as i64))?;
    let now_ms = now_ms as i64;
    connection.prepare_cached("DELETE FROM pushes WHERE expires_ms <= ?")?.execute([now_ms])?;
    forget_beyond_bounds(connection)?;
    // A push deleted above is noted as a loss. Once it would have expired, it is none.
    connection
        .prepare_cached("DELETE FROM push_losses WHERE expires_ms <= ?")?
        .execute([now_ms])?;
    Ok(())
}

/// Deletes the pushes that expire first until the rest is within the bounds.
fn forget_beyond_bounds(connection: &Connection) -> rusqlite::Result<()> {
    let mut kept = connection.prepare_cached("SELECT pushes, push_bytes FROM push_state")?;
    while kept.query_row((), |row| {
        Ok(row.get::<_, i64>(0)? > STORED_PUSHES || row.get::<_, i64>(1)? > STORED_PUSH_BYTES)
    })? {
        connection
            .prepare_cached(
                "DELETE FROM pushes WHERE (topic, number) IN
                 (SELECT topic, number FROM pushes ORDER BY expires_ms LIMIT ?)",
            )?
            .execute([PUSHES_FORGOTTEN])?;
    }
    Ok(())
}

/// Reserves the numbers up to this one. The next server begins after it.
pub fn reserve_numbers(connection: &Connection, last: u64) -> rusqlite::Result<()> {
    let update = "UPDATE push_state SET last_number = ?";
    connection.prepare_cached(update)?.execute([last as i64]).map(|_| ())
}

/// Remembers signed datagrams that were taken, and forgets those that were not sent within these
/// seconds, first and last.
pub fn remember(
    connection: &Connection,
    remembered: &Remembered,
    (first_s, last_s): (u64, u64),
) -> rusqlite::Result<()> {
    let mut insert = connection.prepare_cached("INSERT OR IGNORE INTO signatures VALUES (?, ?)")?;
    for (time_s, fingerprint) in &remembered.taken {
        insert.execute((*time_s as i64, fingerprint.to_be_bytes()))?;
    }
    connection
        .prepare_cached("DELETE FROM signatures WHERE time_s < ? OR time_s > ?")?
        .execute((first_s as i64, last_s as i64))?;
    let forgotten = serde_json::to_string(&remembered.forgotten).unwrap_or_default();
    let changed = "UPDATE push_state SET forgotten = ?1 WHERE forgotten <> ?1";
    connection.prepare_cached(changed)?.execute([forgotten]).map(|_| ())
}

/// Notes that no accepted datagram sent from this second on is missing, and that no more will come.
pub fn complete(connection: &Connection, from_s: u64) -> rusqlite::Result<()> {
    let update = "UPDATE push_state SET complete_from_s = ?";
    connection.execute(update, [from_s as i64]).map(|_| ())
}

impl Database {
    /// Passes on each push that has not expired, in the order of their numbers: the broker forgets
    /// the topics that come first if there are too many.
    pub fn each_push(
        &self,
        now_ms: u64,
        mut take: impl FnMut(&Topic, ServerMessage),
    ) -> rusqlite::Result<()> {
        let mut statement = self.connection.prepare(
            "SELECT topic, number, expires_ms, wants_ack, id, payload FROM pushes
             WHERE expires_ms > ? ORDER BY number",
        )?;
        let mut rows = statement.query([now_ms as i64])?;
        while let Some(row) = rows.next()? {
            let header = PushHeader {
                number: row.get::<_, i64>("number")? as u64,
                expires_ms: Some(row.get::<_, i64>("expires_ms")? as u64),
                wants_ack: row.get("wants_ack")?,
                id: row.get::<_, String>("id")?.into(),
            };
            let payload: Vec<u8> = row.get("payload")?;
            if let Ok(topic) = Topic::parse(&row.get::<_, String>("topic")?) {
                let push = Some(header.into());
                take(&topic, ServerMessage { push, ..ServerMessage::of(payload) });
            }
        }
        Ok(())
    }

    /// Passes on the last push of each topic that was forgotten before it expired: its number, and
    /// when it expires.
    pub fn each_push_loss(
        &self,
        now_ms: u64,
        mut take: impl FnMut(&Topic, u64, u64),
    ) -> rusqlite::Result<()> {
        let losses = "SELECT topic, number, expires_ms FROM push_losses WHERE expires_ms > ?";
        let mut statement = self.connection.prepare(losses)?;
        let mut rows = statement.query([now_ms as i64])?;
        while let Some(row) = rows.next()? {
            let (number, expires_ms) =
                (row.get::<_, i64>("number")?, row.get::<_, i64>("expires_ms")?);
            if let Ok(topic) = Topic::parse(&row.get::<_, String>("topic")?) {
                take(&topic, number as u64, expires_ms as u64);
            }
        }
        Ok(())
    }

    /// The last number that pushes may have had.
    pub fn last_push_number(&self) -> rusqlite::Result<u64> {
        let number = "SELECT last_number FROM push_state";
        self.connection.query_row(number, (), |row| row.get::<_, i64>(0)).map(|it| it as u64)
    }

    /// Reserves the numbers up to this one.
    pub fn reserve_push_numbers(&self, last: u64) -> rusqlite::Result<()> {
        reserve_numbers(&self.connection, last)
    }

    /// The last of the signed datagrams that were taken, as many as may be remembered. From now on
    /// they are incomplete, until this server ends in good order.
    pub fn take_signatures(&self, at_most: usize) -> rusqlite::Result<Remembered> {
        let mut statement = self
            .connection
            .prepare("SELECT time_s, fingerprint FROM signatures ORDER BY time_s DESC LIMIT ?")?;
        let taken = statement.query_map([at_most as i64], |row| {
            let (time_s, fingerprint) = (row.get::<_, i64>(0)?, row.get(1)?);
            Ok((time_s as u64, u128::from_be_bytes(fingerprint)))
        })?;
        let taken = taken.collect::<rusqlite::Result<Vec<_>>>()?;
        let state = "SELECT complete_from_s, forgotten FROM push_state";
        let (complete_from_s, forgotten) = self.connection.query_row(state, (), |row| {
            Ok((row.get::<_, Option<i64>>(0)?, row.get::<_, String>(1)?))
        })?;
        self.connection.execute("UPDATE push_state SET complete_from_s = NULL", ())?;
        Ok(Remembered {
            complete_from_s: complete_from_s
                .filter(|_| taken.len() < at_most)
                .map(|second| second as u64),
            taken,
            forgotten: serde_json::from_str(&forgotten).unwrap_or_default(),
        })
    }
}
