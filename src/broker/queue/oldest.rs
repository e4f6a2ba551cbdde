//! Making room by passing over the oldest.

use std::ops::Range;
use std::sync::{Arc, Mutex};

use super::super::afterwards::Afterwards;
use super::super::cursor::{Cursor, Taken};
use super::super::frame::Frame;
use super::super::locks::lock;
use super::super::stats::DropReason;
use super::{ENDED, Entry, Offered, Queue};

impl<M> Queue<M> {
    pub(super) fn offer_over_oldest(
        &self,
        cursor: &Mutex<Cursor<M>>,
        frame: &Arc<Frame<M>>,
        places: Range<u32>,
        afterwards: &mut Afterwards<M>,
        offered: &mut Offered,
    ) {
        if self.attends(ENDED) {
            offered.disconnected = places.end - places.start;
            return;
        }
        for place in places {
            if self.is_too_heavy(frame, place) {
                self.note_dropped(1, DropReason::TooHeavy, afterwards);
                offered.dropped += 1;
                continue;
            }
            while !self.reserve(frame.load(place..place + 1)) {
                self.pass_over_oldest(cursor, afterwards);
            }
            let entry = Entry { frame: frame.clone(), from: place, to: place + 1, seat: None, missed_before: 0 };
            self.push(entry, afterwards);
            offered.queued += 1;
        }
    }

    pub(super) fn pass_over_oldest(&self, cursor: &Mutex<Cursor<M>>, afterwards: &mut Afterwards<M>) {
        let mut cursor = lock(cursor);
        let mut told = 0;
        loop {
            match cursor.take(self, 1, false) {
                Taken::Missed(count) => told += count,
                // Another publisher has reserved the room and not yet queued its entry: there is nothing to pass over.
                Taken::Nothing => break std::thread::yield_now(),
                Taken::Run { frame, from, to } => {
                    let load = frame.load(from..to);
                    self.note_high_water();
                    self.publishers.drops.add(DropReason::Oldest, u64::from(load.messages));
                    self.reader.consumed.add(load);
                    told += u64::from(load.messages);
                    afterwards.frames.push(frame);
                    break;
                }
            }
        }
        cursor.miss(told);
        afterwards.frames.append(&mut cursor.finished);
    }
}
