//! Accounts: what is published in one is unseen by the others.
//!
//! Each has a broker of its own, and its share of the subscriptions, so that none can take
//! another's. The broker of [`GLOBAL`] is the one of all front-ends.

use super::share::Share;
use crate::locks::lock;
use crate::message::ServerMessage;
use fanfare::{Broker, DrainReport};
use futures_lite::future::{self, Boxed};
use std::collections::BTreeMap;
use std::future::ready;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard};
use std::time::Duration;

pub use crate::codec::nats::GLOBAL;

/// The account that is told of connects and disconnects, unless the settings name another.
pub const SYSTEM: &str = "$SYS";

/// An account's name.
pub type AccountName = Arc<str>;

/// All accounts. Clones share them.
#[derive(Clone)]
pub struct Accounts(Arc<Shared>);

struct Shared {
    global: Arc<Account>,
    /// The accounts that the settings name, and those that still have clients.
    others: Mutex<Others>,
    make: Box<dyn Fn() -> Broker<ServerMessage> + Send + Sync>,
    subscriptions: usize,
}

type Others = BTreeMap<AccountName, Arc<Account>>;

/// One account.
pub struct Account {
    /// Its name.
    pub name: AccountName,
    /// The account's broker.
    pub broker: Broker<ServerMessage>,
    /// The subscriptions that its clients may have together.
    pub(super) share: Arc<Share>,
    /// How many clients are in it.
    pub(super) clients: AtomicUsize,
}

impl Account {
    fn new(name: AccountName, broker: Broker<ServerMessage>, share: Arc<Share>) -> Self {
        Self { name, broker, share, clients: AtomicUsize::new(0) }
    }
}

/// [`GLOBAL`], shared.
pub fn global() -> AccountName {
    static NAME: LazyLock<AccountName> = LazyLock::new(|| GLOBAL.into());
    NAME.clone()
}

impl Accounts {
    /// [`GLOBAL`], with this broker, and room for others that `make` their brokers. All together
    /// have this many subscriptions.
    pub fn new(
        broker: &Broker<ServerMessage>,
        subscriptions: usize,
        make: impl Fn() -> Broker<ServerMessage> + Send + Sync + 'static,
    ) -> Self {
        let share = Share::new(subscriptions);
        let global = Arc::new(Account::new(global(), broker.clone(), share));
        let (others, make) = (Mutex::default(), Box::new(make));
        Self(Arc::new(Shared { global, others, make, subscriptions }))
    }

    /// The account of whoever named none.
    pub fn global(&self) -> &Arc<Account> {
        &self.0.global
    }

    /// The account of this name, made if there is none yet.
    pub fn get(&self, name: &str) -> Arc<Account> {
        self.find(name).unwrap_or_else(|| {
            let mut others = self.others();
            self.add(&mut others, name.into());
            self.share_out(&others);
            others[name].clone()
        })
    }

    /// The account of this name, if there is one.
    pub fn find(&self, name: &str) -> Option<Arc<Account>> {
        if name == GLOBAL { Some(self.0.global.clone()) } else { self.others().get(name).cloned() }
    }

    /// Has these accounts besides [`GLOBAL`], and no other that nobody is in.
    pub fn settle(&self, names: impl IntoIterator<Item = AccountName>) {
        let mut others = self.others();
        // One that somebody is in is held there too.
        let mut former = std::mem::take(&mut *others);
        for name in names.into_iter().filter(|name| **name != *GLOBAL) {
            match former.remove_entry(&name) {
                Some((name, account)) => drop(others.insert(name, account)),
                None => self.add(&mut others, name),
            }
        }
        others.extend(former.into_iter().filter(|(_, account)| Arc::strong_count(account) > 1));
        self.share_out(&others);
    }

    /// All of them, [`GLOBAL`] first.
    pub fn all(&self) -> Vec<Arc<Account>> {
        std::iter::once(&self.0.global).chain(self.others().values()).cloned().collect()
    }

    /// Drains the brokers of all, at the same time.
    pub async fn drain(&self, deadline: Duration) -> DrainReport {
        let mut drained: Boxed<DrainReport> = Box::pin(ready(DrainReport::default()));
        for account in self.all() {
            drained = Box::pin(async move {
                let own = account.broker.drain(deadline);
                let (mut report, own) = future::zip(drained, own).await;
                report.subscriptions.extend(own.subscriptions);
                report
            });
        }
        drained.await
    }

    fn add(&self, others: &mut Others, name: AccountName) {
        let (broker, share) = ((self.0.make)(), Share::new(0));
        let account = Arc::new(Account::new(name.clone(), broker, share));
        others.entry(name).or_insert(account);
    }

    /// Gives each account as many subscriptions as every other. One that has more keeps them, and
    /// gets no new ones.
    fn share_out(&self, others: &Others) {
        let each = (self.0.subscriptions / (1 + others.len())).max(1);
        let all = std::iter::once(&self.0.global).chain(others.values());
        all.for_each(|account| account.share.resize(each));
    }

    fn others(&self) -> MutexGuard<'_, Others> {
        lock(&self.0.others)
    }
}

#[cfg(test)]
mod tests {
    use super::super::share::Places;
    use super::*;

    fn names(accounts: &Accounts) -> Vec<String> {
        accounts.all().iter().map(|account| account.name.to_string()).collect()
    }

    #[test]
    fn accounts_are_those_that_are_named_and_those_that_somebody_is_in() {
        let accounts = Accounts::new(&Broker::new(), 12, Broker::new);
        accounts.settle(["A", "$G", "B"].map(AccountName::from));
        let held = accounts.get("B");
        accounts.settle(["C"].map(AccountName::from));
        assert_eq!(names(&accounts), ["$G", "B", "C"]);
        assert!(Arc::ptr_eq(&held, &accounts.get("B")) && accounts.find("A").is_none());
        drop(held);
        accounts.settle([]);
        assert_eq!(names(&accounts), ["$G"]);
    }

    #[test]
    fn each_account_has_its_share_of_the_subscriptions() {
        let accounts = Accounts::new(&Broker::new(), 4, Broker::new);
        let global = Places::of(&accounts.global().share);
        assert!((0..3).all(|_| global.take()));
        let other = Places::of(&accounts.get("A").share);
        assert!(other.take() && other.take() && !other.take());
        global.give_back();
        assert!(!global.take(), "it has its share still");
        global.give_back();
        assert!(global.take() && !global.take());
    }
}
