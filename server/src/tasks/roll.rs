//! The tasks of one owner: a list without gaps, from which any can be taken in constant time, since
//! each knows its place.

use super::record::Record;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Eight bytes a task, given back when most of them have ended.
#[derive(Default)]
pub(super) struct Roll {
    records: Vec<Arc<Record>>,
}

/// A list shorter than this is not worth making smaller.
const SMALLEST: usize = 16;

impl Roll {
    pub fn add(&mut self, record: Arc<Record>) {
        // Places are numbers of 32 bits to keep records small; four thousand million tasks do not
        // fit into a machine.
        record.place.store(self.records.len() as u32, Ordering::Relaxed);
        self.records.push(record);
    }

    /// Takes a record out, whose place was given by [`Roll::add`] of this roll, and which was not
    /// taken out before. It is given back to be dropped when no lock is held.
    pub fn take(&mut self, record: &Record) -> Arc<Record> {
        let place = record.place.load(Ordering::Relaxed) as usize;
        let taken = self.records.swap_remove(place);
        if let Some(moved) = self.records.get(place) {
            moved.place.store(place as u32, Ordering::Relaxed);
        }
        if self.records.len() < self.records.capacity() / 4 {
            self.records.shrink_to((self.records.len() * 2).max(SMALLEST));
        }
        taken
    }

    pub fn len(&self) -> usize {
        self.records.len()
    }

    pub fn records(&self) -> &[Arc<Record>] {
        &self.records
    }
}
