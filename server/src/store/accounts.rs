//! Accounts in the database: names, and the hashes of their passwords.

use super::schema::Database;
use crate::time::Timestamp;
use rusqlite::{Connection, OptionalExtension};

/// An account as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The name as it is compared.
    pub name: String,
    /// The name as its owner writes it.
    pub shown: String,
    /// Salt and digest of the password.
    pub password: Hash,
    /// Salt and digest of the recovery code.
    pub recovery: Hash,
}

/// Salt and digest.
pub type Hash = ([u8; 16], [u8; 32]);

/// Adds an account. False if the name has one already.
pub fn add(connection: &Connection, account: &Account, time: Timestamp) -> rusqlite::Result<bool> {
    let Account { name, shown, password, recovery } = account;
    let added = connection.execute(
        "INSERT OR IGNORE INTO accounts
         (name, shown, created, salt, digest, recovery_salt, recovery_digest)
         VALUES (?, ?, ?, ?, ?, ?, ?)",
        (name, shown, time.seconds(), password.0, password.1, recovery.0, recovery.1),
    )?;
    Ok(added == 1)
}

/// The account of a name.
pub fn find(connection: &Connection, name: &str) -> rusqlite::Result<Option<Account>> {
    let account = connection.query_row(
        "SELECT name, shown, salt, digest, recovery_salt, recovery_digest
         FROM accounts WHERE name = ?",
        [name],
        |row| {
            Ok(Account {
                name: row.get(0)?,
                shown: row.get(1)?,
                password: (row.get(2)?, row.get(3)?),
                recovery: (row.get(4)?, row.get(5)?),
            })
        },
    );
    account.optional()
}

/// Changes the password and the recovery code of an account.
pub fn change(connection: &Connection, account: &Account) -> rusqlite::Result<()> {
    let Account { name, password, recovery, .. } = account;
    let change = "UPDATE accounts SET salt = ?, digest = ?, recovery_salt = ?, recovery_digest = ?
        WHERE name = ?";
    let values = (password.0, password.1, recovery.0, recovery.1, name);
    connection.execute(change, values).map(|_| ())
}

/// Removes an account.
pub fn remove(connection: &Connection, name: &str) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM accounts WHERE name = ?", [name]).map(|_| ())
}

impl Database {
    /// The names that have an account, as their owners write them.
    pub fn account_names(&self) -> rusqlite::Result<Vec<String>> {
        let mut statement = self.connection.prepare("SELECT shown FROM accounts")?;
        let names = statement.query_map((), |row| row.get(0))?;
        names.collect()
    }
}
