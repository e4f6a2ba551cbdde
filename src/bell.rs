//! How a publisher calls the task of one of its lanes, or ends it.
//!
//! The lane registers whom to wake, then looks whether the bell was rung. The publisher marks the
//! bell, then wakes whoever is registered. So one of them always sees the other, and no ring is
//! slept through.

use super::sync::{AtomicU32, AtomicWaker, Ordering};
use std::task::Waker;

const RUNG: u32 = 1;
const ENDED: u32 = 2;

pub(super) struct Bell {
    marks: AtomicU32,
    lane: AtomicWaker,
}

/// What a lane finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    Nothing,
    Rung,
    Ended,
}

impl Bell {
    pub fn new() -> Self {
        Self { marks: AtomicU32::new(0), lane: AtomicWaker::new() }
    }

    /// Publisher: there is, or will be in a moment, something to do. Wakes a task, so no lock may
    /// be held.
    pub fn ring(&self) {
        if self.marks.fetch_or(RUNG, Ordering::AcqRel) & RUNG == 0 {
            self.lane.wake();
        }
    }

    /// Publisher: nothing will come any more.
    pub fn end(&self) {
        self.marks.fetch_or(ENDED, Ordering::AcqRel);
        self.lane.wake();
    }

    /// Lane: what it was called for since the last look; if nothing, it is woken by what comes.
    pub fn listen(&self, waker: &Waker) -> Heard {
        // Registered before the look: who marks the bell afterwards wakes this task.
        self.lane.register(waker);
        match self.marks.fetch_and(!RUNG, Ordering::AcqRel) {
            marks if marks & ENDED != 0 => Heard::Ended,
            0 => Heard::Nothing,
            _ => Heard::Rung,
        }
    }

    /// Lane: nobody listens any more.
    pub fn leave(&self) {
        drop(self.lane.take());
    }
}

#[cfg(all(test, fanfare_loom))]
mod loom_models {
    use std::future::poll_fn;
    use std::task::Poll;

    use super::*;
    use loom::future::block_on;
    use loom::sync::Arc;
    use loom::thread;

    /// Listens until it has heard that; hangs, which loom reports, if a ring is slept through.
    fn hear(bell: &Bell, wanted: Heard) {
        block_on(poll_fn(|context| match bell.listen(context.waker()) {
            heard if heard == wanted => Poll::Ready(()),
            _ => Poll::Pending,
        }));
    }

    #[test]
    fn loom_no_ring_is_slept_through() {
        loom::model(|| {
            let bell = Arc::new(Bell::new());
            let publisher = {
                let bell = bell.clone();
                thread::spawn(move || bell.ring())
            };
            hear(&bell, Heard::Rung);
            publisher.join().unwrap();
        });
    }

    #[test]
    fn loom_the_end_is_heard_behind_rings() {
        loom::model(|| {
            let bell = Arc::new(Bell::new());
            let publisher = {
                let bell = bell.clone();
                thread::spawn(move || {
                    bell.ring();
                    bell.ring();
                    bell.end();
                })
            };
            hear(&bell, Heard::Ended);
            publisher.join().unwrap();
        });
    }
}
