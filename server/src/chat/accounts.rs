//! Accounts: what sessions ask of them, and who answers, with the database and on other threads.

use super::names::Name;
use super::password::{HashingFailed, PasswordHash, Secret, recovery_code};
use super::rooms::Directory;
use crate::connection::counted_address;
use crate::connection::turns::Turns;
use crate::limits::{ACCOUNTS, PASSWORDS_AT_ONCE};
use crate::store::accounts::{self, Account};
use crate::store::{Store, StoreError, rooms};
use crate::tasks::{Wait, waiting};
use crate::time::Timestamp;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// A session's request about accounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccountRequest {
    /// To own a name from now on.
    Register { name: Name, password: Secret },
    /// To have the name that one owns.
    Login { name: Name, password: Secret },
    /// To set another password.
    Recover {
        name: Name,
        /// The recovery code that was shown last.
        code: Secret,
        password: Secret,
    },
    /// To set another password, knowing the old one.
    ChangePassword { name: Name, old: Secret, new: Secret },
    /// To give up a name.
    Unregister { name: Name, password: Secret },
}

/// A request that was granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Granted {
    /// A name.
    Name {
        /// How its owner writes it.
        shown: String,
        /// The owner's act, for the journal.
        how: &'static str,
        /// The code that recovers it, if that is new.
        code: Option<Secret>,
    },
    /// Another password.
    PasswordChanged,
    /// The name was given up.
    Unregistered,
}

/// Why a request was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccountError {
    /// There is no database to keep accounts in.
    None,
    /// The name is somebody's.
    Taken(Name),
    /// The server has as many accounts as it may have.
    TooMany,
    /// No such account, or another password or code.
    Wrong,
    /// The machine has no random numbers or no memory to give.
    Hashing,
    /// The database.
    Store(StoreError),
}

impl fmt::Display for AccountError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => write!(out, "there are no accounts: the server runs without --data-dir"),
            Self::Taken(name) => write!(out, "{name} is somebody's; choose another name"),
            Self::TooMany => write!(out, "there are {ACCOUNTS} accounts, the most there can be"),
            Self::Wrong => write!(out, "wrong name, password or recovery code"),
            Self::Hashing => write!(out, "the server is out of memory; try again later"),
            Self::Store(error) => error.fmt(out),
        }
    }
}

impl From<StoreError> for AccountError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<HashingFailed> for AccountError {
    fn from(_: HashingFailed) -> Self {
        Self::Hashing
    }
}

/// Answers requests. A few passwords are hashed at a time, one for each address.
pub(super) struct Accounts {
    pub store: Option<Store>,
    pub directory: Arc<Directory>,
    turns: Turns,
}

impl Accounts {
    pub fn new(store: Option<Store>, directory: Arc<Directory>) -> Self {
        Self { store, directory, turns: Turns::new(PASSWORDS_AT_ONCE) }
    }

    /// Does what is asked by somebody at `address`.
    pub async fn answer(
        &self,
        request: AccountRequest,
        address: IpAddr,
    ) -> Result<Granted, AccountError> {
        let store = self.store.as_ref().ok_or(AccountError::None)?;
        match request {
            AccountRequest::Register { name, password } => {
                self.register(store, name, password, address).await
            }
            AccountRequest::Login { name, password } => {
                let found = self.find(store, &name).await?;
                let (shown, kept) = match found {
                    Some(account) => (account.shown, hash(account.password)),
                    // Hashed all the same, so that nobody can tell which names have an account.
                    None => (String::new(), PasswordHash::default()),
                };
                self.prove(kept, password, address).await?;
                Ok(Granted::Name { shown, how: "logged in", code: None })
            }
            AccountRequest::Recover { name, code, password } => {
                let found = self.find(store, &name).await?;
                let kept = found.as_ref().map(|account| hash(account.recovery));
                self.prove(kept.unwrap_or_default(), code, address).await?;
                let account = found.ok_or(AccountError::Wrong)?;
                let (password, recovery, code) = self.hashes(password, address).await?;
                let shown = account.shown.clone();
                let account = Account { password, recovery, ..account };
                store.ask(move |connection| accounts::change(connection, &account)).await?;
                Ok(Granted::Name { shown, how: "recovered", code: Some(code) })
            }
            AccountRequest::ChangePassword { name, old, new } => {
                let account = self.proven(store, &name, old, address).await?;
                let (password, ..) = self.hashes(new, address).await?;
                let account = Account { password, ..account };
                store.ask(move |connection| accounts::change(connection, &account)).await?;
                Ok(Granted::PasswordChanged)
            }
            AccountRequest::Unregister { name, password } => {
                let account = self.proven(store, &name, password, address).await?;
                self.unregister(store, name, account).await
            }
        }
    }

    /// The account of a name, if that is its password.
    async fn proven(
        &self,
        store: &Store,
        name: &Name,
        password: Secret,
        address: IpAddr,
    ) -> Result<Account, AccountError> {
        let account = self.find(store, name).await?.ok_or(AccountError::Wrong)?;
        self.prove(hash(account.password), password, address).await?;
        Ok(account)
    }

    /// Removes an account, also from the rules of rooms, so that the next owner of its name has no
    /// rank there.
    async fn unregister(
        &self,
        store: &Store,
        name: Name,
        account: Account,
    ) -> Result<Granted, AccountError> {
        let directory = self.directory.clone();
        let removed = store.ask(move |connection| {
            accounts::remove(connection, &account.name)?;
            // Here, so that it is done even if whoever asked has left.
            for (room, rules) in directory.disown(&name) {
                let text = serde_json::to_string(&rules).ok().filter(|_| rules.are_kept(&room));
                rooms::keep(connection, room.as_str(), text.as_deref())?;
            }
            Ok(())
        });
        removed.await?;
        Ok(Granted::Unregistered)
    }

    async fn register(
        &self,
        store: &Store,
        name: Name,
        password: Secret,
        address: IpAddr,
    ) -> Result<Granted, AccountError> {
        if self.directory.owned_names() >= ACCOUNTS {
            return Err(AccountError::TooMany);
        }
        let (password, recovery, code) = self.hashes(password, address).await?;
        let shown = name.as_str().to_owned();
        let account = Account { name: name.folded().to_owned(), shown, password, recovery };
        let (directory, owned) = (self.directory.clone(), name.clone());
        let shown = account.shown.clone();
        let added = store.ask(move |connection| {
            let is_added = accounts::add(connection, &account, Timestamp::now())?;
            if is_added {
                // Here, so that the name is owned even if whoever asked has left.
                directory.own(&owned);
            }
            Ok(is_added)
        });
        match added.await? {
            true => Ok(Granted::Name { shown, how: "registered", code: Some(code) }),
            false => Err(AccountError::Taken(name)),
        }
    }

    async fn find(&self, store: &Store, name: &Name) -> Result<Option<Account>, AccountError> {
        let name = name.folded().to_owned();
        let found = store.ask(move |connection| accounts::find(connection, &name));
        Ok(found.await?)
    }

    async fn prove(
        &self,
        kept: PasswordHash,
        secret: Secret,
        address: IpAddr,
    ) -> Result<(), AccountError> {
        match self.hashing(address, move || kept.is_of(&secret)).await? {
            true => Ok(()),
            false => Err(AccountError::Wrong),
        }
    }

    /// The hashes of a password and of a new recovery code.
    async fn hashes(
        &self,
        password: Secret,
        address: IpAddr,
    ) -> Result<(accounts::Hash, accounts::Hash, Secret), AccountError> {
        let hashes = self.hashing(address, move || {
            let code = recovery_code()?;
            Ok((PasswordHash::of(&password)?, PasswordHash::of(&code)?, code))
        });
        let (password, recovery, code) = hashes.await?;
        Ok(((password.salt, password.digest), (recovery.salt, recovery.digest), code))
    }

    /// Does something that keeps a core busy on a thread for that, when it is the address's turn.
    async fn hashing<T: Send + 'static>(
        &self,
        address: IpAddr,
        work: impl FnOnce() -> Result<T, HashingFailed> + Send + 'static,
    ) -> Result<T, AccountError> {
        let turn = self.turns.ask(counted_address(address));
        turn.come().await;
        let worked = blocking::unblock(move || {
            // Work that has begun runs to its end, and keeps its turn until then.
            let _turn = turn;
            work()
        });
        Ok(waiting(Wait::fixed("a worker"), worked).await?)
    }
}

fn hash((salt, digest): accounts::Hash) -> PasswordHash {
    PasswordHash { salt, digest }
}
