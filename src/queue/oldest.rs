//! Making room by passing over the oldest.

use super::super::afterwards::Afterwards;
use super::super::cursor::{Cursor, Taken};
use super::super::locks::lock;
use super::super::stats::DropReason;
use super::{ENDED, Entry, Offered, Queue};
use std::sync::Mutex;

impl<M> Queue<M> {
    pub(super) fn offer_over_oldest(
        &self,
        cursor: &Mutex<Cursor<M>>,
        entry: &Entry<M>,
        afterwards: &mut Afterwards<M>,
        offered: &mut Offered,
    ) {
        if self.attends(ENDED) {
            offered.disconnected = entry.messages();
            return;
        }
        for place in entry.places() {
            if self.is_too_heavy(&entry.frame, place) {
                self.note_dropped(1, DropReason::TooHeavy, afterwards);
                offered.dropped += 1;
                continue;
            }
            while !self.reserve(entry.frame.load(place..place + 1)) {
                if !self.pass_over_oldest(cursor, afterwards) {
                    // Another publisher has taken the room and not yet queued its entry.
                    std::thread::yield_now();
                }
            }
            self.push(entry.part(place..place + 1), afterwards);
            offered.queued += 1;
        }
    }

    /// False if there is none.
    fn pass_over_oldest(&self, cursor: &Mutex<Cursor<M>>, afterwards: &mut Afterwards<M>) -> bool {
        let mut cursor = lock(cursor);
        let mut told = 0;
        let is_passed_over = loop {
            match cursor.take(self, 1, false) {
                Some(Taken::Missed(count)) => told += count,
                None => break false,
                Some(Taken::Batch { frame, from, to, .. }) => {
                    let load = frame.load(from..to);
                    self.note_high_water();
                    self.publishers.drops.add(DropReason::Oldest, u64::from(load.messages));
                    self.reader.consumed.add(load);
                    told += u64::from(load.messages);
                    afterwards.frames.push(frame);
                    break true;
                }
            }
        };
        cursor.miss(told);
        afterwards.frames.append(&mut cursor.finished);
        is_passed_over
    }
}
