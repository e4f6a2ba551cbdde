//! A task's reasons to wait, in words.
//!
//! Nobody has to say when a wait ends. A task waits for what it noted in its last poll; the note
//! enters the register when that poll is over.

use super::current;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// A task's reason to wait. Cheap to clone.
#[derive(Clone)]
pub struct Wait(Text);

/// Sixteen bytes, since the register keeps two of them for every task.
#[derive(Clone)]
enum Text {
    Fixed(&'static str),
    Made(Arc<Box<str>>),
}

impl Wait {
    /// Waits for bytes to read.
    pub const SOCKET_READ: Self = Self::fixed("socket read");
    /// Waits for room for bytes to write.
    pub const SOCKET_WRITE: Self = Self::fixed("socket write");
    /// Waits for a connection.
    pub const ACCEPT: Self = Self::fixed("accept");
    /// Waits for a time.
    pub const TIMER: Self = Self::fixed("timer");
    /// Waits for messages.
    pub const RECV: Self = Self::fixed("recv");
    /// Waits for room in the queues of subscribers.
    pub const PUBLISH: Self = Self::fixed("publish");

    /// A wait with a fixed name.
    pub const fn fixed(what: &'static str) -> Self {
        Self(Text::Fixed(what))
    }

    /// A wait with a name made at run time, such as `recv chat.room.lobby`. Allocates: make it once
    /// and clone it.
    pub fn named(what: impl Into<Box<str>>) -> Self {
        Self(Text::Made(Arc::new(what.into())))
    }

    /// The wait in words; empty for none.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Text::Fixed(what) => what,
            Text::Made(what) => what,
        }
    }

    fn is_none(&self) -> bool {
        self.as_str().is_empty()
    }

    /// Whether both are the same wait. Two waits with the same text may compare as different, which
    /// does no harm.
    fn is(&self, other: &Self) -> bool {
        std::ptr::eq(self.as_str(), other.as_str())
    }
}

impl fmt::Debug for Wait {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Wait({self})")
    }
}

impl fmt::Display for Wait {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// Everything that a task waits for at the same time: two things, since connections read and write
/// side by side. Of more, the first and the last are kept.
#[derive(Clone, Debug)]
pub(super) struct Waits([Wait; 2]);

impl Waits {
    pub const NONE: Self = Self([Wait::fixed(""), Wait::fixed("")]);

    fn note(&mut self, wait: Wait) {
        let [first, second] = &mut self.0;
        if first.is_none() {
            *first = wait;
        } else if !first.is(&wait) {
            *second = wait;
        }
    }

    fn forget(&mut self, wait: &Wait) {
        let [first, second] = &mut self.0;
        if second.is(wait) {
            *second = Wait::fixed("");
        } else if first.is(wait) {
            *first = std::mem::replace(second, Wait::fixed(""));
        }
    }
}

impl fmt::Display for Waits {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, second] = &self.0;
        match (first.is_none(), second.is_none()) {
            (true, _) => write!(out, "something unnamed"),
            (false, true) => write!(out, "{first}"),
            (false, false) => write!(out, "{first}, {second}"),
        }
    }
}

/// Notes, during a poll, that the current task waits for this. For code that polls by hand, where
/// [`waiting`] cannot wrap a future. Holds until the task is polled again, and does nothing outside
/// of a task.
pub fn note_wait(wait: Wait) {
    current::with_waits(|waits| waits.note(wait));
}

/// Says what the current task waits for while `future` is pending. As cancel safe as `future` is.
///
/// Of several futures polled side by side, the first and the last are noted.
pub fn waiting<F: Future>(wait: Wait, future: F) -> Waiting<F> {
    Waiting { noted: Noted { wait, is_noted: false }, future }
}

pin_project_lite::pin_project! {
    /// The future of [`waiting`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct Waiting<F> {
        noted: Noted,
        #[pin]
        future: F,
    }
}

impl<F: Future> Future for Waiting<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let result = this.future.poll(context);
        // Noted after the poll: an inner future may have said it more exactly, and the first note
        // counts.
        match result {
            Poll::Pending => this.noted.note(),
            Poll::Ready(_) => this.noted.forget(),
        }
        result
    }
}

/// A wait that is taken back when its future is dropped, because the task may wait for something
/// else later in the same poll.
#[derive(Debug)]
struct Noted {
    wait: Wait,
    is_noted: bool,
}

impl Noted {
    fn note(&mut self) {
        note_wait(self.wait.clone());
        self.is_noted = true;
    }

    fn forget(&mut self) {
        if std::mem::take(&mut self.is_noted) {
            current::with_waits(|waits| waits.forget(&self.wait));
        }
    }
}

impl Drop for Noted {
    fn drop(&mut self) {
        self.forget();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_waits_are_kept_the_first_and_the_last() {
        let mut waits = Waits::NONE;
        assert_eq!(waits.to_string(), "something unnamed");
        let (a, b, c) = (Wait::fixed("a"), Wait::named("b".to_owned()), Wait::named("c"));
        waits.note(a.clone());
        waits.note(a.clone());
        assert_eq!(waits.to_string(), "a");
        waits.note(b.clone());
        waits.note(c.clone());
        assert_eq!(waits.to_string(), "a, c");
        waits.forget(&b);
        waits.forget(&a);
        assert_eq!(waits.to_string(), "c");
        waits.forget(&c);
        assert_eq!(waits.to_string(), "something unnamed");
    }

    #[test]
    fn a_wait_is_small() {
        assert_eq!(size_of::<Wait>(), 16);
    }

    #[test]
    fn outside_of_a_task_a_wait_is_noted_nowhere() {
        note_wait(Wait::TIMER);
        assert_eq!(futures_lite::future::block_on(waiting(Wait::RECV, async { 7 })), 7);
    }
}
