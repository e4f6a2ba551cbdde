//! What the receiver does with its queue.

use super::super::afterwards::Afterwards;
use super::super::credit::Load;
use super::super::cursor::Cursor;
use super::super::locks::lock;
use super::{CLOSING, ENDED, Entry, PROBATION, Queue, WAITED_FOR};
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::task::Waker;

impl<M> Queue<M> {
    pub fn shared_cursor(&self) -> Option<&Mutex<Cursor<M>>> {
        self.shared_cursor.as_deref()
    }

    pub fn pop_entry(&self) -> Option<Entry<M>> {
        self.entries.1.try_recv().ok()
    }

    pub fn has_no_entry(&self) -> bool {
        self.entries.1.is_empty() && self.gap.load(Ordering::SeqCst) == 0
    }

    /// Messages dropped after the last one that was queued.
    pub fn take_trailing_gap(&self) -> u64 {
        if self.gap.load(Ordering::SeqCst) == 0 {
            return 0;
        }
        let _line = lock(&self.line);
        if self.entries.1.is_empty() { self.gap.swap(0, Ordering::SeqCst) } else { 0 }
    }

    /// Counts messages as received and frees their room.
    #[inline]
    pub fn receive(&self, load: Load) {
        self.note_high_water();
        let received = self.reader.received.load(Ordering::Relaxed) + u64::from(load.messages);
        self.reader.received.store(received, Ordering::Release);
        self.reader.consumed.add(load);
    }

    /// Sees to those who may wait for the room that was freed. After [`receive`](Self::receive),
    /// and under no lock.
    #[inline]
    pub fn attend_if_needed(&self) {
        // After the room was freed: see `park`.
        if self.attention.load(Ordering::SeqCst) != 0 {
            self.attend();
        }
    }

    /// Registers who is to be woken. The caller looks at the queue once more afterwards.
    pub fn register(&self, waker: &Waker) {
        self.receiver.register(waker);
    }

    pub fn is_closing(&self) -> bool {
        self.attends(CLOSING)
    }

    pub fn is_ended(&self) -> bool {
        self.attends(ENDED)
    }

    pub fn is_waited_for(&self) -> bool {
        self.attends(WAITED_FOR)
    }

    #[cold]
    fn attend(&self) {
        self.count_written_off();
        if self.attends(PROBATION) {
            self.end_probation_if_half_empty();
        }
        if self.attends(WAITED_FOR) {
            let mut afterwards = Afterwards::new();
            self.serve(&mut lock(&self.line), &mut afterwards);
            afterwards.run();
        }
        if self.attends(CLOSING) && self.is_drained() {
            self.settled.notify(usize::MAX);
        }
    }

    fn end_probation_if_half_empty(&self) {
        let (queued, bounds) = (self.queued(), self.terms.bounds);
        if queued.messages <= bounds.messages / 2 && queued.bytes <= bounds.bytes / 2 {
            self.attention.fetch_and(!PROBATION, Ordering::SeqCst);
        }
    }
}
