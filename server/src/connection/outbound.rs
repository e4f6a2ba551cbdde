//! The queue from the reading half of a connection, and its server, to the writing half.
//!
//! Text has a position among the messages that the connection receives: an answer follows the
//! messages that were queued before it. NATS clients rely on that, since a `PONG` tells them that
//! they have everything. A protocol without that promise uses the default position, which is
//! reached at once.

use crate::limits::{NATS_OVERTAKING_MESSAGES, READER_TURN, REPLY_BYTES, REPLY_ITEMS};
use crate::locks::lock;
use crate::tasks::{Wait, waiting};
use atomic_waker::AtomicWaker;
use fanfare::Books;
use futures_lite::future;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::Instant;

/// Everything queued for the writing half, in order. `C` is a change of what that half sends.
pub(crate) struct OutboundQueue<C> {
    state: Mutex<QueueState<C>>,
    /// The writing half, waiting for something to do.
    writer: AtomicWaker,
    /// The reading half, waiting for room or for a request.
    reader: AtomicWaker,
}

struct QueueState<C> {
    changes: Vec<C>,
    items: VecDeque<Placed<C>>,
    /// How many times something was placed.
    placed: u64,
    reply_bytes: usize,
    ends_after_messages: bool,
    request: Option<Request>,
    /// Whether the settings have changed since the reading half looked.
    review_due: bool,
    /// When the reading half yields to other tasks; `None` before the first operation of a turn.
    turn_ends: Option<Instant>,
}

struct Placed<C> {
    what: QueueItem<C>,
    position: Position,
    /// The value of `placed` when something was last added to it.
    placed: u64,
}

/// An item that the writing half takes from the queue.
pub(crate) enum QueueItem<C> {
    Text(Vec<u8>),
    Change(C),
    /// Nothing comes after this.
    Close,
}

/// The server's request to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// The server will stop: tell the client, so that it can go elsewhere.
    Prepare,
    /// The settings have changed: see whether the client may still do what it does.
    Review,
    /// The client must go elsewhere: send what is queued now, and close.
    Leave,
    /// The server stops: read no more, and close when the broker has nothing more to send.
    Stop,
}

/// A position among the messages of a mailbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Position {
    /// After this many messages, counted from the first.
    after: u64,
    /// One publisher's messages can overtake another's, so the number alone does not prove that
    /// none is missing. True: none may be missing.
    all_before: bool,
}

impl Position {
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

    /// Whether it is reached once this many messages have been taken out of the mailbox, or the
    /// mailbox was found empty.
    fn is_reached(self, taken: u64, is_empty: bool) -> bool {
        let slack = if self.all_before { NATS_OVERTAKING_MESSAGES } else { 0 };
        is_empty || taken >= self.after + slack
    }
}

/// For the reading half and the server.
impl<C> OutboundQueue<C> {
    /// Sends the text that `append` makes.
    pub fn append(&self, position: Position, append: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.lock();
        let goes_on = matches!(
            state.items.back(),
            Some(Placed { what: QueueItem::Text(_), position: last, .. }) if *last == position
        );
        if !goes_on {
            state.push(QueueItem::Text(Vec::new()), position);
        } else {
            state.placed += 1;
        }
        let now = state.placed;
        if let Some(Placed { what: QueueItem::Text(text), placed, .. }) = state.items.back_mut() {
            *placed = now;
            let before_bytes = text.len();
            append(text);
            let added_bytes = text.len() - before_bytes;
            state.reply_bytes += added_bytes;
        }
        drop(state);
        self.writer.wake();
    }

    /// Changes what is sent, at a position.
    pub fn change(&self, position: Position, change: C) {
        self.lock().push(QueueItem::Change(change), position);
        self.writer.wake();
    }

    /// Changes what is sent, before anything that waits.
    pub fn change_first(&self, change: C) {
        self.lock().changes.push(change);
        self.writer.wake();
    }

    /// Ends the connection at a position.
    pub fn close(&self, position: Position) {
        self.lock().push(QueueItem::Close, position);
        self.writer.wake();
    }

    /// Ends the connection when the broker has nothing more for it.
    pub fn close_after_messages(&self) {
        self.lock().ends_after_messages = true;
        self.writer.wake();
    }

    /// Passes a request to the reading half. The first request to close counts.
    pub fn request(&self, request: Request) {
        let mut state = self.lock();
        if request == Request::Review {
            state.review_due = true;
        } else if !state.is_to_close() {
            state.request = Some(request);
        }
        drop(state);
        self.reader.wake();
    }

    /// Waits until the server asks for something. Cancel safe.
    pub async fn requested(&self) -> Request {
        let review = |state: &QueueState<C>| state.review_due.then_some(Request::Review);
        let request = self.until(|state| state.request.or_else(|| review(state))).await;
        let mut state = self.lock();
        match request {
            Request::Prepare if !state.is_to_close() => state.request = None,
            Request::Review => state.review_due = false,
            _ => {}
        }
        request
    }

    /// The reading half has read something: a new turn begins with its first operation.
    pub fn begin_turn(&self) {
        self.lock().turn_ends = None;
    }

    /// Between two operations: waits until the answers that wait are few enough for more, or the
    /// connection is to close, and lets others run after [`READER_TURN`]. Cancel safe.
    pub async fn has_room(&self) {
        let (is_turn_over, has_room) = {
            let mut state = self.lock();
            (state.turn_is_over(Instant::now()), state.has_room())
        };
        if is_turn_over {
            future::yield_now().await;
        }
        if !has_room {
            let room = self.until(|state| state.has_room().then_some(()));
            waiting(Wait::fixed("answers to be read"), room).await;
        }
    }

    /// Waits until everything queued is in the write buffer. Cancel safe.
    pub async fn settled(&self) {
        let settled = self.until(|state| state.items.is_empty().then_some(()));
        waiting(Wait::fixed("answers to be written"), settled).await;
    }

    async fn until<T>(&self, look: impl Fn(&QueueState<C>) -> Option<T>) -> T {
        poll_fn(|context| {
            // Registered before looking: whoever changes something in between wakes us.
            self.reader.register(context.waker());
            look(&self.lock()).map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    fn lock(&self) -> MutexGuard<'_, QueueState<C>> {
        lock(&self.state)
    }
}

impl<C> QueueState<C> {
    fn is_to_close(&self) -> bool {
        matches!(self.request, Some(Request::Leave | Request::Stop))
    }

    fn has_room(&self) -> bool {
        let is_short = self.reply_bytes < REPLY_BYTES && self.items.len() < REPLY_ITEMS;
        is_short || self.is_to_close()
    }

    fn turn_is_over(&mut self, now: Instant) -> bool {
        let is_over = self.turn_ends.is_some_and(|end| end <= now);
        if is_over || self.turn_ends.is_none() {
            self.turn_ends = Some(now + READER_TURN);
        }
        is_over
    }

    fn push(&mut self, what: QueueItem<C>, position: Position) {
        self.placed += 1;
        self.items.push_back(Placed { what, position, placed: self.placed });
    }
}

/// For the writing half.
impl<C> OutboundQueue<C> {
    /// Wakes the writing half when something comes. Call it before looking.
    pub fn register_writer(&self, context: &Context<'_>) {
        self.writer.register(context.waker());
    }

    /// The changes to apply before anything else, and how many times something was placed so far.
    pub fn take_changes(&self) -> (Vec<C>, u64) {
        let mut state = self.lock();
        (std::mem::take(&mut state.changes), state.placed)
    }

    /// The next item, in a protocol without positions.
    pub fn take_next(&self) -> Option<QueueItem<C>> {
        self.take(0, None)
    }

    /// The next item, if its position is reached. `empty_after`: how many times something had been
    /// placed before the mailbox was found empty, or missing. What was placed later may belong
    /// behind messages that have come since.
    pub fn take(&self, taken: u64, empty_after: Option<u64>) -> Option<QueueItem<C>> {
        let mut state = self.lock();
        let next = state.items.front()?;
        let is_empty = empty_after.is_some_and(|placed| next.placed <= placed);
        if !next.position.is_reached(taken, is_empty) {
            return None;
        }
        let what = state.items.pop_front()?.what;
        if let QueueItem::Text(text) = &what {
            state.reply_bytes -= text.len();
        }
        if state.items.is_empty() {
            // A quiet connection keeps nothing.
            state.items = VecDeque::new();
        }
        drop(state);
        self.reader.wake();
        Some(what)
    }

    /// Whether nothing waits, and nothing will come but messages.
    pub fn closes_after_messages(&self) -> bool {
        let state = self.lock();
        state.ends_after_messages && state.items.is_empty()
    }
}

impl<C> Default for OutboundQueue<C> {
    fn default() -> Self {
        let state = QueueState {
            changes: Vec::new(),
            items: VecDeque::new(),
            placed: 0,
            reply_bytes: 0,
            ends_after_messages: false,
            request: None,
            review_due: false,
            turn_ends: None,
        };
        Self { state: Mutex::new(state), writer: AtomicWaker::new(), reader: AtomicWaker::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Queue = OutboundQueue<()>;

    fn text(item: Option<QueueItem<()>>) -> String {
        match item {
            Some(QueueItem::Text(text)) => String::from_utf8(text).unwrap(),
            _ => panic!("no text"),
        }
    }

    const LATER: Position = Position { after: 1, all_before: true };

    #[test]
    fn a_turn_ends_between_two_operations() {
        let now = Instant::now();
        let queue = Queue::default();
        let is_over = |now| queue.lock().turn_is_over(now);
        assert!(!is_over(now), "the first operation begins it");
        assert!(!is_over(now + READER_TURN / 2));
        assert!(is_over(now + READER_TURN));
        assert!(!is_over(now + READER_TURN), "the next has begun");
        queue.begin_turn();
        assert!(!is_over(now + READER_TURN * 9), "what was read since is a turn of its own");
    }

    #[test]
    fn items_placed_after_the_look_at_the_mailbox_wait_for_the_next() {
        let queue = Queue::default();
        let (_, placed) = queue.take_changes();
        queue.append(LATER, |out| out.extend(b"late"));
        assert!(queue.take(0, Some(placed)).is_none());
        let (_, placed) = queue.take_changes();
        assert_eq!(text(queue.take(0, Some(placed))), "late");
    }

    /// Text added to an item that has its position already gives the item a new position.
    #[test]
    fn an_item_is_placed_when_the_last_of_it_is() {
        let queue = Queue::default();
        queue.append(LATER, |out| out.extend(b"early"));
        let (_, placed) = queue.take_changes();
        queue.append(LATER, |out| out.extend(b"+late"));
        assert!(queue.take(0, Some(placed)).is_none());
        let (_, placed) = queue.take_changes();
        assert_eq!(text(queue.take(0, Some(placed))), "early+late");
    }

    #[test]
    fn items_placed_before_the_next_message_do_not_wait_for_a_look() {
        let queue = Queue::default();
        queue.append(Position { after: 3, all_before: false }, |out| out.extend(b"now"));
        assert!(queue.take(2, None).is_none());
        assert_eq!(text(queue.take(3, None)), "now");
    }
}
