//! The tasks of one owner, in a list without gaps. Each task knows its index, so any can be removed
//! in constant time.

use super::record::Record;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Eight bytes a task, given back once most of the tasks have ended.
#[derive(Default)]
pub(super) struct TaskList {
    records: Vec<Arc<Record>>,
}

/// A shorter list is not worth shrinking.
const SMALLEST: usize = 16;

impl TaskList {
    pub fn add(&mut self, record: Arc<Record>) {
        // 32 bits keep records small, and no machine holds four billion tasks.
        record.index.store(self.records.len() as u32, Ordering::Relaxed);
        self.records.push(record);
    }

    /// Removes a record that [`TaskList::add`] put into this list. Returns it, so that it is
    /// dropped after the lock.
    pub fn take(&mut self, record: &Record) -> Arc<Record> {
        let index = record.index.load(Ordering::Relaxed) as usize;
        let taken = self.records.swap_remove(index);
        if let Some(moved) = self.records.get(index) {
            moved.index.store(index as u32, Ordering::Relaxed);
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
