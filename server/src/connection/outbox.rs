//! What the reading half of a connection hands over to the writing half: answers, and changes of
//! what it is to send.

use crate::limits::{REPLY_BYTES, REPLY_ITEMS};
use crate::tasks::{Wait, waiting};
use atomic_waker::AtomicWaker;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

/// What waits for the writing half, in order. `C` is a change of what it is to send.
pub(crate) struct Outbox<C> {
    state: Mutex<State<C>>,
    /// The writing half, which waits for something to do.
    writer: AtomicWaker,
    /// The reading half, which waits for answers to go out.
    reader: AtomicWaker,
}

struct State<C> {
    items: VecDeque<Item<C>>,
    reply_bytes: usize,
    ending: Option<WritingEnd>,
}

pub(crate) enum Item<C> {
    Text(Vec<u8>),
    Change(C),
}

/// When there is nothing more to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WritingEnd {
    /// When the answers have been sent: the peer has left.
    AfterReplies,
    /// When every subscription has ended too, as they do when the broker is closed.
    AfterMessages,
}

/// For the reading half.
impl<C> Outbox<C> {
    /// Sends text that `append` makes.
    pub fn append(&self, append: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.lock();
        if !matches!(state.items.back(), Some(Item::Text(_))) {
            state.items.push_back(Item::Text(Vec::new()));
        }
        if let Some(Item::Text(text)) = state.items.back_mut() {
            let before_bytes = text.len();
            append(text);
            let added_bytes = text.len() - before_bytes;
            state.reply_bytes += added_bytes;
        }
        drop(state);
        self.writer.wake();
    }

    /// Changes what is sent, after the answers that wait already.
    pub fn change(&self, change: C) {
        self.lock().items.push_back(Item::Change(change));
        self.writer.wake();
    }

    pub fn end(&self, ending: WritingEnd) {
        self.lock().ending = Some(ending);
        self.writer.wake();
    }

    /// Waits until the answers that wait are few enough for more. Cancel safe.
    pub async fn has_room(&self) {
        let has_room = poll_fn(|context| {
            // Registered before looking: a writer that takes the answers in between wakes us.
            self.reader.register(context.waker());
            let state = self.lock();
            if state.reply_bytes < REPLY_BYTES && state.items.len() < REPLY_ITEMS {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        });
        waiting(Wait::fixed("answers to be read"), has_room).await;
    }
}

/// For the writing half.
impl<C> Outbox<C> {
    /// Says who is to be woken when something comes. To be called before looking.
    pub fn register_writer(&self, context: &Context<'_>) {
        self.writer.register(context.waker());
    }

    pub fn take(&self) -> Option<Item<C>> {
        let mut state = self.lock();
        let item = state.items.pop_front()?;
        if let Item::Text(text) = &item {
            state.reply_bytes -= text.len();
        }
        if state.items.is_empty() {
            // A quiet connection keeps nothing.
            state.items = VecDeque::new();
        }
        drop(state);
        self.reader.wake();
        Some(item)
    }

    /// When it ends, if nothing waits here.
    pub fn ending(&self) -> Option<WritingEnd> {
        let state = self.lock();
        if state.items.is_empty() { state.ending } else { None }
    }

    fn lock(&self) -> MutexGuard<'_, State<C>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<C> Default for Outbox<C> {
    fn default() -> Self {
        let state = State { items: VecDeque::new(), reply_bytes: 0, ending: None };
        Self { state: Mutex::new(state), writer: AtomicWaker::new(), reader: AtomicWaker::new() }
    }
}
