//! What became of the pushes that ask to be acknowledged.

use crate::limits::PUSH_FATES;
use serde::Serialize;
use std::collections::BTreeMap;

/// What became of one push. Counts are connections.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Fate {
    /// Its number.
    pub n: u64,
    /// Its id.
    pub id: String,
    /// It was queued for so many.
    pub reached: u64,
    /// So many had no room for it.
    pub missed: u64,
    /// For so many it was too old when their turn came.
    pub expired: u64,
    /// So many have acknowledged it.
    pub acknowledged: u64,
}

/// The fates of the last pushes, by number. The oldest makes room for a new one.
#[derive(Debug, Default)]
pub(super) struct Fates {
    by_number: BTreeMap<u64, Fate>,
}

impl Fates {
    pub fn begin(&mut self, number: u64, id: &str) {
        if self.by_number.len() >= PUSH_FATES {
            self.by_number.pop_first();
        }
        self.by_number.insert(number, Fate { n: number, id: id.to_owned(), ..Fate::default() });
    }

    /// The fate of a push, if it is remembered.
    pub fn of(&mut self, number: u64) -> Option<&mut Fate> {
        self.by_number.get_mut(&number)
    }

    /// The latest push of that id.
    pub fn find(&self, id: &str) -> Option<&Fate> {
        self.by_number.values().rev().find(|fate| fate.id == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_makes_room() {
        let mut fates = Fates::default();
        for number in 1..=PUSH_FATES as u64 + 2 {
            fates.begin(number, if number % 2 == 0 { "even" } else { "odd" });
        }
        assert_eq!(fates.by_number.len(), PUSH_FATES);
        assert!(fates.of(2).is_none() && fates.of(3).is_some());
        assert_eq!(fates.find("even").map(|fate| fate.n), Some(PUSH_FATES as u64 + 2));
        assert_eq!(fates.find("none"), None);
    }
}
