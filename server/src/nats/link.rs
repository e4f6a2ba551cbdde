//! What the two halves of a connection, and the server, hand each other.
//!
//! What the reading half has to say goes out among the messages of the connection's mailbox, at the
//! place where it belongs: an answer comes after the messages that were queued before it. Libraries
//! rely on that: a `PONG` tells them that they have got all.

use super::permissions::Permissions;
use super::session::{Reply, Sid};
use crate::limits::{NATS_OVERTAKING_MESSAGES, REPLY_BYTES, REPLY_ITEMS};
use crate::message::ServerMessage;
use crate::tasks::{Wait, waiting};
use atomic_waker::AtomicWaker;
use fanfare::{Books, Mailbox, SubscriptionId};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

/// What connects the two halves.
#[derive(Default)]
pub(super) struct Link {
    state: Mutex<State>,
    /// The writing half, which waits for something to do.
    writer: AtomicWaker,
    /// The reading half, which waits for answers to go out, or to be asked to end.
    reader: AtomicWaker,
}

#[derive(Default)]
struct State {
    changes: Vec<Change>,
    items: VecDeque<Item>,
    /// How often something was given a place.
    placed: u64,
    reply_bytes: usize,
    ends_after_messages: bool,
    expired: Vec<(Sid, SubscriptionId)>,
    asked: Option<Asked>,
}

/// What the writing half has to know before it does anything else.
pub(super) enum Change {
    /// What the connection's messages come from.
    Mailbox(Box<Mailbox<ServerMessage>>),
    /// A subscription has begun.
    Subscribed {
        id: SubscriptionId,
        sid: Sid,
        /// By what some of it is forbidden.
        filter: Option<Arc<Permissions>>,
    },
    /// The client has connected, and knows headers or does not.
    Connected { with_headers: bool },
}

/// Something that has its place among the messages.
pub(super) struct Item {
    pub what: What,
    place: Place,
    /// The value of `placed` when something was last added to it.
    placed: u64,
}

pub(super) enum What {
    Text(Vec<u8>),
    /// A subscription has ended: there is nothing more for it.
    Forget(SubscriptionId),
    /// A subscription ends when it has got so many messages.
    Limit(SubscriptionId, u64),
    /// Nothing comes after this.
    Close,
}

/// Where something belongs among the messages of a mailbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// After so many messages, counted from the first.
    after: u64,
    /// The messages of one publisher can overtake those of another, so the number alone does not
    /// say that none is missing. True: none may be missing.
    all_before: bool,
}

impl Place {
    /// After the messages that are queued now; roughly, if there are several publishers.
    pub fn now(books: Books) -> Self {
        Self { after: books.offered, all_before: false }
    }

    /// After all messages that are queued now.
    pub fn after_all(books: Books) -> Self {
        // If none is queued, none can be missing.
        Self {
            after: if books.queued == 0 { 0 } else { books.offered },
            all_before: books.queued > 0,
        }
    }

    /// Whether it is reached when so many messages have been taken out of the queue, or the queue
    /// was found empty.
    pub fn is_reached(self, taken: u64, is_empty: bool) -> bool {
        let slack = if self.all_before { NATS_OVERTAKING_MESSAGES } else { 0 };
        is_empty || taken >= self.after + slack
    }
}

/// What the server asks of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// To say what is queued and close.
    Close,
    /// To read no more, and close when the broker has nothing more for it.
    Stop,
}

impl Link {
    pub fn reply(&self, reply: &Reply, place: Place) {
        self.append(place, |out| reply.append(out));
    }

    /// Sends text that `append` makes.
    pub fn append(&self, place: Place, append: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.lock();
        let goes_on = matches!(state.items.back(), Some(Item { what: What::Text(_), place: last, .. }) if *last == place);
        if !goes_on {
            state.push(What::Text(Vec::new()), place);
        }
        state.placed += 1;
        let now = state.placed;
        if let Some(Item { what: What::Text(text), placed, .. }) = state.items.back_mut() {
            *placed = now;
            let before_bytes = text.len();
            append(text);
            let added_bytes = text.len() - before_bytes;
            state.reply_bytes += added_bytes;
        }
        drop(state);
        self.writer.wake();
    }

    pub fn put(&self, what: What, place: Place) {
        self.lock().push(what, place);
        self.writer.wake();
    }

    pub fn change(&self, change: Change) {
        self.lock().changes.push(change);
        self.writer.wake();
    }

    /// Ends the connection when the broker has nothing more for it.
    pub fn end_after_messages(&self) {
        self.lock().ends_after_messages = true;
        self.writer.wake();
    }

    /// The server asks. The first question counts.
    pub fn ask(&self, asked: Asked) {
        self.lock().asked.get_or_insert(asked);
        self.reader.wake();
    }

    /// Waits until the server asks. Cancel safe.
    pub async fn asked(&self) -> Asked {
        self.until(|state| state.asked).await
    }

    /// Waits until the answers that wait are few enough for more. Cancel safe.
    pub async fn has_room(&self) {
        let has_room =
            |state: &State| state.reply_bytes < REPLY_BYTES && state.items.len() < REPLY_ITEMS;
        waiting(
            Wait::fixed("answers to be read"),
            self.until(|state| has_room(state).then_some(())),
        )
        .await;
    }

    /// Waits until everything said has its place in the write buffer. Cancel safe.
    pub async fn settled(&self) {
        let settled = self.until(|state| state.items.is_empty().then_some(()));
        waiting(Wait::fixed("answers to be written"), settled).await;
    }

    async fn until<T>(&self, look: impl Fn(&State) -> Option<T>) -> T {
        poll_fn(|context| {
            // Registered before looking: whoever changes something in between wakes us.
            self.reader.register(context.waker());
            look(&self.lock()).map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    /// The subscriptions that have got all that they were to get since this was asked last.
    pub fn take_expired(&self) -> Vec<(Sid, SubscriptionId)> {
        std::mem::take(&mut self.lock().expired)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn push(&mut self, what: What, place: Place) {
        self.placed += 1;
        self.items.push_back(Item { what, place, placed: self.placed });
    }
}

/// What the writing half does with it.
impl Link {
    pub fn register_writer(&self, waker: &std::task::Waker) {
        self.writer.register(waker);
    }

    /// The changes, and how often something was given a place until now.
    pub fn take_changes(&self) -> (Vec<Change>, u64) {
        let mut state = self.lock();
        (std::mem::take(&mut state.changes), state.placed)
    }

    /// The next item, if its place is reached. `empty_after`: how often something had been given a
    /// place before the mailbox was looked at, and found empty or not there. What was placed later
    /// may belong behind messages that have come since.
    pub fn take_item(&self, taken: u64, empty_after: Option<u64>) -> Option<Item> {
        let mut state = self.lock();
        let next = state.items.front()?;
        let is_empty = empty_after.is_some_and(|placed| next.placed <= placed);
        if !next.place.is_reached(taken, is_empty) {
            return None;
        }
        let item = state.items.pop_front();
        if let Some(Item { what: What::Text(text), .. }) = &item {
            state.reply_bytes -= text.len();
        }
        if state.items.is_empty() {
            // A quiet connection keeps nothing.
            state.items = VecDeque::new();
        }
        drop(state);
        self.reader.wake();
        item
    }

    pub fn expire(&self, sid: Sid, id: SubscriptionId) {
        self.lock().expired.push((sid, id));
    }

    /// Whether nothing waits, and nothing will come but messages.
    pub fn is_ending(&self) -> bool {
        let state = self.lock();
        state.ends_after_messages && state.items.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(item: Option<Item>) -> String {
        match item {
            Some(Item { what: What::Text(text), .. }) => String::from_utf8(text).unwrap(),
            _ => panic!("no text"),
        }
    }

    const LATER: Place = Place { after: 1, all_before: true };

    #[test]
    fn what_was_placed_after_the_look_at_the_mailbox_waits_for_the_next() {
        let link = Link::default();
        let (_, placed) = link.take_changes();
        link.append(LATER, |out| out.extend(b"late"));
        assert!(link.take_item(0, Some(placed)).is_none());
        let (_, placed) = link.take_changes();
        assert_eq!(text(link.take_item(0, Some(placed))), "late");
    }

    /// What is added to an item that has its place already counts as placed anew.
    #[test]
    fn an_item_is_placed_when_the_last_of_it_is() {
        let link = Link::default();
        link.append(LATER, |out| out.extend(b"early"));
        let (_, placed) = link.take_changes();
        link.append(LATER, |out| out.extend(b"+late"));
        assert!(link.take_item(0, Some(placed)).is_none());
        let (_, placed) = link.take_changes();
        assert_eq!(text(link.take_item(0, Some(placed))), "early+late");
    }

    #[test]
    fn what_belongs_before_the_next_message_does_not_wait_for_a_look() {
        let link = Link::default();
        link.append(Place { after: 3, all_before: false }, |out| out.extend(b"now"));
        assert!(link.take_item(2, None).is_none());
        assert_eq!(text(link.take_item(3, None)), "now");
    }
}
