//! The file: where it is, what is in it, and whether it is whole.

use super::error::{StoreError, is_damage};
use crate::limits::{DATA_BYTES, DATA_LOCK_WAIT_MS, STORED_DAYS, STORED_LINES};
use rusqlite::{Connection, OpenFlags};
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where the database is, and how much it keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreSettings {
    /// The directory. It is created if it does not exist.
    pub directory: PathBuf,
    /// When a commit is forced to the disk.
    pub fsync: Fsync,
    /// Bytes of the file.
    pub bytes: u64,
    /// Lines kept of each room.
    pub room_lines: u32,
    /// Days for which lines are kept; 0 for ever.
    pub days: u32,
    /// How long to wait for another program that has the file locked.
    pub lock_wait: Duration,
}

/// When a commit is forced to the disk. Either way it survives a crash of the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fsync {
    /// Before it counts: it survives a loss of power.
    Always,
    /// A little later: a loss of power can take the last commits.
    #[default]
    Later,
}

/// The database, opened and checked. No other server has it open.
pub struct Database {
    pub(super) connection: Connection,
    pub(super) settings: StoreSettings,
    /// Held locked for as long as the database is open.
    _lock: File,
}

/// Marks a file as ours: `fanf`.
pub(super) const APPLICATION_ID: i32 = 0x6661_6e66;

/// The changes of each version of the schema. Files depend on them, so they never change.
pub(super) const VERSIONS: [&str; 6] =
    [LINES, ACCOUNTS, INDEX_OF_MANY, PUSHES, PUSH_LOSSES, BLOCKS];

const LINES: &str = "
    CREATE TABLE lines (
        id INTEGER PRIMARY KEY,
        room TEXT NOT NULL,
        time INTEGER NOT NULL,
        kind INTEGER NOT NULL,
        sender TEXT,
        text TEXT NOT NULL
    ) STRICT;
    CREATE INDEX lines_of_room ON lines (room, id);
    CREATE VIRTUAL TABLE words USING fts5 (
        room, text, content = 'lines', content_rowid = 'id'
    );
    CREATE TRIGGER line_stored AFTER INSERT ON lines BEGIN
        INSERT INTO words (rowid, room, text) VALUES (new.id, new.room, new.text);
    END;
    CREATE TRIGGER line_forgotten AFTER DELETE ON lines BEGIN
        INSERT INTO words (words, rowid, room, text)
        VALUES ('delete', old.id, old.room, old.text);
    END;
";

const ACCOUNTS: &str = "
    CREATE TABLE accounts (
        name TEXT PRIMARY KEY,
        shown TEXT NOT NULL,
        created INTEGER NOT NULL,
        salt BLOB NOT NULL,
        digest BLOB NOT NULL,
        recovery_salt BLOB NOT NULL,
        recovery_digest BLOB NOT NULL
    ) STRICT;
    CREATE TABLE rooms (
        name TEXT PRIMARY KEY,
        rules TEXT NOT NULL
    ) STRICT;
";

/// The index of words is written for many lines at once, which no trigger can.
const INDEX_OF_MANY: &str = "
    DROP TRIGGER line_stored;
    DROP TRIGGER line_forgotten;
";

/// The bounds of pushes are checked with each push, so triggers keep the sums.
const PUSHES: &str = "
    CREATE TABLE pushes (
        topic TEXT NOT NULL,
        number INTEGER NOT NULL,
        expires_ms INTEGER NOT NULL,
        wants_ack INTEGER NOT NULL,
        id TEXT NOT NULL,
        payload BLOB NOT NULL,
        PRIMARY KEY (topic, number)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX pushes_by_expiry ON pushes (expires_ms);
    CREATE TABLE push_state (
        pushes INTEGER NOT NULL,
        push_bytes INTEGER NOT NULL,
        last_number INTEGER NOT NULL,
        forgotten TEXT NOT NULL,
        complete_from_s INTEGER
    ) STRICT;
    INSERT INTO push_state VALUES (0, 0, 0, '[]', NULL);
    CREATE TRIGGER push_kept AFTER INSERT ON pushes BEGIN
        UPDATE push_state
        SET pushes = pushes + 1, push_bytes = push_bytes + length(new.payload);
    END;
    CREATE TRIGGER push_forgotten AFTER DELETE ON pushes BEGIN
        UPDATE push_state
        SET pushes = pushes - 1, push_bytes = push_bytes - length(old.payload);
    END;
    CREATE TABLE signatures (
        time_s INTEGER NOT NULL,
        fingerprint BLOB NOT NULL,
        PRIMARY KEY (time_s, fingerprint)
    ) STRICT, WITHOUT ROWID;
";

/// The last deleted push of each topic, until it would have expired.
const PUSH_LOSSES: &str = "
    CREATE TABLE push_losses (
        topic TEXT PRIMARY KEY,
        number INTEGER NOT NULL,
        expires_ms INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX push_losses_by_expiry ON push_losses (expires_ms);
    CREATE TRIGGER push_lost AFTER DELETE ON pushes BEGIN
        INSERT INTO push_losses VALUES (old.topic, old.number, old.expires_ms)
        ON CONFLICT (topic) DO UPDATE
        SET number = max(number, old.number), expires_ms = max(expires_ms, old.expires_ms);
    END;
";

/// Lines are stored in blocks. The index of words is dropped first, so that the file need not grow.
const BLOCKS: &str = "
    DROP TABLE words;
    CREATE TABLE blocks (
        id INTEGER PRIMARY KEY,
        room TEXT NOT NULL,
        oldest INTEGER NOT NULL,
        lines INTEGER NOT NULL,
        body TEXT NOT NULL
    ) STRICT;
    CREATE INDEX blocks_of_room ON blocks (room, id, lines);
    INSERT INTO blocks
        SELECT max(id), room, min(time), count(*),
            json_group_array(json_array(time, kind, sender, text) ORDER BY id)
        FROM lines GROUP BY room, id / 64;
    DROP TABLE lines;
    CREATE VIRTUAL TABLE words USING fts5 (
        room, text, content = '', contentless_delete = 1
    );
    INSERT INTO words (rowid, room, text)
        SELECT id, room, (SELECT group_concat(value ->> 3, char(10)) FROM json_each(body))
        FROM blocks;
";

/// Where a search looks for words in single lines.
const LINE_WORDS: &str = "
    PRAGMA temp_store = MEMORY;
    CREATE VIRTUAL TABLE temp.line_words USING fts5 (text, content = '');
";

impl StoreSettings {
    /// A database in `directory` with the default bounds.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            fsync: Fsync::default(),
            bytes: DATA_BYTES,
            room_lines: STORED_LINES,
            days: STORED_DAYS,
            lock_wait: Duration::from_millis(DATA_LOCK_WAIT_MS),
        }
    }

    /// The file.
    pub fn path(&self) -> PathBuf {
        self.directory.join("fanfare.db")
    }
}

impl Database {
    /// Opens the database, or creates it, and checks that it is whole.
    ///
    /// # Errors
    /// One sentence that names the file and says what to do.
    pub fn open(settings: &StoreSettings) -> Result<Self, StoreError> {
        let lock = take_lock(&settings.directory)?;
        let path = settings.path();
        let connection = connect(&path, settings).map_err(|error| of_file(&path, error))?;
        match check(&connection).map_err(|error| of_file(&path, error))? {
            Found::Whole => {}
            Found::Damaged(problem) => {
                return Err(StoreError::Damaged { path: shown(&path), problem });
            }
            Found::Foreign => {
                let problem = "it is not a database of this server".to_owned();
                return Err(StoreError::Directory { path: shown(&path), problem });
            }
            Found::Newer(version) => {
                return Err(StoreError::Newer { path: shown(&path), version });
            }
        }
        Ok(Self { connection, settings: settings.clone(), _lock: lock })
    }
}

/// The kind of file that was found.
enum Found {
    Whole,
    Damaged(String),
    Foreign,
    Newer(u32),
}

/// Locks the directory: each of two servers would take the other's rooms for its own.
fn take_lock(directory: &Path) -> Result<File, StoreError> {
    let of_directory = |error: std::io::Error| StoreError::Directory {
        path: shown(directory),
        problem: error.to_string(),
    };
    fs::create_dir_all(directory).map_err(of_directory)?;
    let lock = File::create(directory.join("fanfare.lock")).map_err(of_directory)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse(shown(directory))),
        Err(TryLockError::Error(error)) => Err(of_directory(error)),
    }
}

fn connect(path: &Path, settings: &StoreSettings) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
    // The connection's type allows one thread at a time.
    let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(settings.lock_wait)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    let synchronous = match settings.fsync {
        Fsync::Always => "FULL",
        Fsync::Later => "NORMAL",
    };
    connection.pragma_update(None, "synchronous", synchronous)?;
    let page_bytes: u32 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
    let pages = u32::try_from(settings.bytes / u64::from(page_bytes)).unwrap_or(u32::MAX - 1);
    connection.pragma_update(None, "max_page_count", pages)?;
    connection.execute_batch(LINE_WORDS)?;
    Ok(connection)
}

fn check(connection: &Connection) -> rusqlite::Result<Found> {
    let number = |pragma| connection.pragma_query_value(None, pragma, |row| row.get(0));
    let (application, version): (i32, u32) =
        (number("application_id")? as i32, number("user_version")?);
    let tables: u32 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", (), |row| row.get(0))?;
    if tables > 0 && application != APPLICATION_ID {
        return Ok(Found::Foreign);
    }
    let Some(missing) = VERSIONS.get(version as usize..) else {
        return Ok(Found::Newer(version));
    };
    if !missing.is_empty() {
        let (all, newest) = (missing.concat(), VERSIONS.len());
        connection.execute_batch(&format!(
            "BEGIN; {all} PRAGMA application_id = {APPLICATION_ID};
             PRAGMA user_version = {newest}; COMMIT;"
        ))?;
    }
    let verdict: String = connection.query_row("PRAGMA quick_check(1)", (), |row| row.get(0))?;
    Ok(if verdict == "ok" { Found::Whole } else { Found::Damaged(verdict) })
}

fn of_file(path: &Path, error: rusqlite::Error) -> StoreError {
    match is_damage(&error) {
        true => StoreError::Damaged { path: shown(path), problem: error.to_string() },
        false => StoreError::Directory { path: shown(path), problem: error.to_string() },
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
