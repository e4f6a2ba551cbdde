//! Turns for work that keeps a core busy: a few at once, and one at a time for each address.
//!
//! An address waits for other addresses, not for each of their requests. So a flood from one
//! address delays the others by one piece of work.

use crate::locks::lock;
use crate::tasks::{Wait, waiting};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::future::poll_fn;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

/// Gives out turns.
pub(crate) struct Turns {
    state: Arc<Mutex<State>>,
}

/// A turn, or a place in the wait queue. Dropping it gives it back.
pub(crate) struct Turn {
    state: Arc<Mutex<State>>,
    address: IpAddr,
    ticket: u64,
}

#[derive(Default)]
struct State {
    /// Free turns.
    free: usize,
    /// Turns given out so far.
    given: u64,
    last_ticket: u64,
    /// The wait queues of the addresses that have a turn or wait for one.
    lines: HashMap<IpAddr, Line>,
    /// The addresses that wait without a turn, by the ticket at which they began to.
    next: BTreeSet<(u64, IpAddr)>,
}

#[derive(Default)]
struct Line {
    /// The ticket that has the turn.
    turn: Option<u64>,
    /// The tickets that wait, in order.
    waiting: BTreeMap<u64, Waker>,
    /// The ticket since which the address has had no turn.
    waits_since: u64,
}

impl Turns {
    /// At most `at_once` have a turn.
    pub fn new(at_once: usize) -> Self {
        let state = State { free: at_once, ..State::default() };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// How many turns were given out.
    #[cfg(test)]
    pub fn given(&self) -> u64 {
        lock(&self.state).given
    }

    /// Takes a turn if one is free, and a place in the wait queue of `address` otherwise.
    pub fn ask(&self, address: IpAddr) -> Turn {
        let ticket = lock(&self.state).enter(address);
        Turn { state: self.state.clone(), address, ticket }
    }
}

impl Turn {
    /// Whether it is its turn.
    pub fn has_come(&self) -> bool {
        lock(&self.state).has_come(self.address, self.ticket)
    }

    /// Waits until it is its turn. Cancel safe.
    pub async fn come(&self) {
        let come =
            poll_fn(|context| lock(&self.state).poll_come(self.address, self.ticket, context));
        waiting(Wait::fixed("a turn"), come).await;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let woken = lock(&self.state).leave(self.address, self.ticket);
        // Not under the lock: it is foreign code.
        woken.into_iter().for_each(Waker::wake);
    }
}

impl State {
    fn enter(&mut self, address: IpAddr) -> u64 {
        self.last_ticket += 1;
        let ticket = self.last_ticket;
        let line = self.lines.entry(address).or_default();
        if line.turn.is_none() && line.waiting.is_empty() {
            line.waits_since = ticket;
            self.next.insert((ticket, address));
        }
        line.waiting.insert(ticket, Waker::noop().clone());
        // Wakes nobody: every other waiter that could have a turn already has it.
        self.give_out();
        ticket
    }

    fn has_come(&self, address: IpAddr, ticket: u64) -> bool {
        self.lines.get(&address).is_some_and(|line| line.turn == Some(ticket))
    }

    fn poll_come(&mut self, address: IpAddr, ticket: u64, context: &Context<'_>) -> Poll<()> {
        if self.has_come(address, ticket) {
            return Poll::Ready(());
        }
        if let Some(line) = self.lines.get_mut(&address) {
            line.waiting.insert(ticket, context.waker().clone());
        }
        Poll::Pending
    }

    fn leave(&mut self, address: IpAddr, ticket: u64) -> Vec<Waker> {
        let Some(line) = self.lines.get_mut(&address) else { return Vec::new() };
        if line.turn == Some(ticket) {
            line.turn = None;
            self.free += 1;
            // Queues up behind the other addresses.
            self.last_ticket += 1;
            line.waits_since = self.last_ticket;
            self.next.insert((line.waits_since, address));
        }
        line.waiting.remove(&ticket);
        if line.turn.is_none() && line.waiting.is_empty() {
            self.next.remove(&(line.waits_since, address));
            self.lines.remove(&address);
        }
        self.give_out()
    }

    fn give_out(&mut self) -> Vec<Waker> {
        let mut woken = Vec::new();
        while self.free > 0
            && let Some((_, address)) = self.next.pop_first()
        {
            let line = self.lines.get_mut(&address);
            if let Some((line, (ticket, waker))) =
                line.and_then(|line| line.waiting.pop_first().map(|first| (line, first)))
            {
                line.turn = Some(ticket);
                self.free -= 1;
                self.given += 1;
                woken.push(waker);
            }
        }
        woken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_lite::future::{block_on, poll_once};

    fn address(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    fn come(turns: &[Turn]) -> Vec<usize> {
        (0..turns.len()).filter(|&index| turns[index].has_come()).collect()
    }

    #[test]
    fn an_address_has_one_turn_and_waits_behind_the_others() {
        let turns = Turns::new(2);
        let mut flood: Vec<Turn> = (0..200).map(|_| turns.ask(address(1))).collect();
        assert_eq!(come(&flood), [0], "one at a time, although two turns are free");
        let second = turns.ask(address(2));
        assert!(second.has_come());
        let third = turns.ask(address(3));
        assert!(!third.has_come());
        drop(flood.remove(0));
        assert!(third.has_come() && come(&flood).is_empty());
        drop(second);
        assert_eq!(come(&flood), [0]);
        // Others of the flood's leave the line, with and without a turn.
        flood.truncate(100);
        flood.drain(..50);
        assert_eq!(come(&flood), [0]);
        drop((flood, third));
        let state = lock(&turns.state);
        assert!(state.lines.is_empty() && state.next.is_empty() && state.free == 2);
    }

    #[test]
    fn a_waiter_is_woken_when_its_turn_comes() {
        let turns = Turns::new(1);
        let first = turns.ask(address(1));
        let (second, third) = (turns.ask(address(2)), turns.ask(address(2)));
        let mut waits = Box::pin(third.come());
        assert!(block_on(poll_once(&mut waits)).is_none());
        drop(second);
        let freed = std::thread::spawn(move || drop(first));
        block_on(waits);
        freed.join().unwrap();
    }
}
