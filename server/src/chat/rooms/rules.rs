//! The rules of a room: its founder and operators, and who may join and talk.

use crate::chat::names::{LOBBY, Name};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use subtle::ConstantTimeEq;

/// The rules of a room, as they are stored. Names are in the form in which they are compared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rules {
    /// The room's topic.
    pub topic: Option<String>,
    /// The account that opened the room.
    pub founder: Option<String>,
    /// Accounts that moderate the room.
    pub operators: BTreeSet<String>,
    /// Names that may not come in.
    pub banned: BTreeSet<String>,
    /// Names that may read but not talk.
    pub muted: BTreeSet<String>,
    /// Names that need no password, and may come into a private room.
    pub invited: BTreeSet<String>,
    /// The digest of the password.
    pub password: Option<String>,
    /// Whether the room is for the invited, and hidden from others.
    pub is_private: bool,
    /// Seconds between two lines of one person.
    pub slow_s: u32,
}

/// A person's rank in a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// May talk.
    Member,
    /// May also moderate.
    Operator,
    /// May also appoint operators.
    Founder,
    /// May do all that in every room, by the server's settings.
    ServerOperator,
}

/// Somebody in a room. The session and the writing half of the connection look at it.
#[derive(Debug, Default)]
pub struct Membership {
    /// The notice to somebody who was put out.
    removed: OnceLock<String>,
    is_muted: AtomicBool,
    slow_s: AtomicU32,
}

impl Rules {
    /// Whether they stay when the last member has left: those of the lobby do, and those of a room
    /// with a founder.
    pub fn are_kept(&self, room: &Name) -> bool {
        let bare = Self { founder: self.founder.clone(), ..Self::default() };
        (self.founder.is_some() || room.as_str() == LOBBY) && *self != bare
    }

    /// Removes an account from the ranks. Returns whether it had one.
    pub fn disown(&mut self, account: &Name) -> bool {
        let account = account.folded();
        let was_operator = self.operators.remove(account);
        let was_founder = self.founder.as_deref() == Some(account);
        if was_founder {
            self.founder = self.operators.pop_first();
        }
        was_operator || was_founder
    }

    /// The rank of an account by these rules. The server's settings may give a higher one.
    pub fn rank(&self, account: Option<&Name>) -> Rank {
        let Some(account) = account.map(Name::folded) else { return Rank::Member };
        match () {
            () if self.founder.as_deref() == Some(account) => Rank::Founder,
            () if self.operators.contains(account) => Rank::Operator,
            () => Rank::Member,
        }
    }

    /// Whether this is the room's password.
    pub fn is_password(&self, room: &Name, given: Option<&str>) -> bool {
        let given = given.map(|given| password_digest(room, given)).unwrap_or_default();
        let password = self.password.as_deref().unwrap_or_default();
        bool::from(password.as_bytes().ct_eq(given.as_bytes()))
    }
}

/// The digest kept of a room's password, which all of its members know.
pub fn password_digest(room: &Name, password: &str) -> String {
    let digest = Sha256::new().chain_update(room.folded()).chain_update([0]);
    data_encoding::HEXLOWER.encode(&digest.chain_update(password).finalize())
}

impl Membership {
    /// The membership of somebody who joins a room with these rules.
    pub fn new(is_muted: bool, slow_s: u32) -> Self {
        let membership = Self::default();
        membership.update(is_muted, slow_s);
        membership
    }

    /// Applies changed rules.
    pub fn update(&self, is_muted: bool, slow_s: u32) {
        self.is_muted.store(is_muted, Ordering::Relaxed);
        self.slow_s.store(slow_s, Ordering::Relaxed);
    }

    /// Puts the person out, with a notice. Only the first notice counts.
    pub fn remove(&self, notice: String) {
        let _ = self.removed.set(notice);
    }

    /// The notice, if the person was put out.
    pub fn removed(&self) -> Option<&str> {
        self.removed.get().map(String::as_str)
    }

    /// Whether the person may not talk.
    pub fn is_muted(&self) -> bool {
        self.is_muted.load(Ordering::Relaxed)
    }

    /// Seconds between two lines of one person; 0 where there is no slow mode.
    pub fn slow_s(&self) -> u32 {
        self.slow_s.load(Ordering::Relaxed)
    }
}
