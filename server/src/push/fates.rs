//! What became of the pushes that ask to be acknowledged, and those who wait to be told.

use crate::limits::PUSH_FATES;
use crate::locks::lock;
use crate::tasks::{Wait, waiting};
use event_listener::{Event, listener};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

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
    by_number: BTreeMap<u64, Entry>,
    /// Nobody acknowledges anything any more.
    is_ending: bool,
}

#[derive(Debug)]
struct Entry {
    fate: Fate,
    /// Before that nobody knows how many acknowledgements there can be.
    is_handed_over: bool,
    wait: Option<Arc<FateWait>>,
}

/// Somebody who waits for a fate to be settled: all whom it reached have acknowledged it or were
/// too late for it, or there is no more to wait for.
#[derive(Debug, Default)]
pub(super) struct FateWait {
    settled: Mutex<Option<Fate>>,
    event: Event,
}

/// Who is to be woken when the lock is released: wakers are the runtime's code.
pub(super) type ToWake = Option<Arc<FateWait>>;

impl Fates {
    pub fn begin(&mut self, number: u64, id: &str, wait: Option<Arc<FateWait>>) -> ToWake {
        let is_full = self.by_number.len() >= PUSH_FATES;
        let forgotten = if is_full { self.by_number.pop_first() } else { None };
        let fate = Fate { n: number, id: id.to_owned(), ..Fate::default() };
        self.by_number.insert(number, Entry { fate, is_handed_over: false, wait });
        forgotten.and_then(|(_, mut oldest)| oldest.settle())
    }

    /// The push is queued for whomever it could be.
    pub fn handed_over(&mut self, number: u64, reached: u64, missed: u64) -> ToWake {
        let is_ending = self.is_ending;
        let entry = self.by_number.get_mut(&number)?;
        entry.is_handed_over = true;
        (entry.fate.reached, entry.fate.missed) = (reached, missed);
        if is_ending { entry.settle() } else { entry.settle_if_all_answered() }
    }

    /// Counts something for a push, if it is remembered.
    pub fn count(&mut self, number: u64, count: impl FnOnce(&mut Fate)) -> ToWake {
        let entry = self.by_number.get_mut(&number)?;
        count(&mut entry.fate);
        entry.settle_if_all_answered()
    }

    /// There is no more to wait for, as far as this push goes.
    pub fn settle(&mut self, number: u64) -> ToWake {
        self.by_number.get_mut(&number)?.settle()
    }

    /// There is no more to wait for, whatever the push, from now on.
    pub fn settle_all(&mut self) -> Vec<Arc<FateWait>> {
        self.is_ending = true;
        // A push that is not handed over yet is settled when it is.
        self.by_number
            .values_mut()
            .filter(|entry| entry.is_handed_over)
            .filter_map(Entry::settle)
            .collect()
    }

    /// The latest push of that id.
    pub fn find(&self, id: &str) -> Option<&Fate> {
        self.by_number.values().rev().map(|entry| &entry.fate).find(|fate| fate.id == id)
    }

    /// How many are remembered.
    pub fn len(&self) -> usize {
        self.by_number.len()
    }
}

impl Entry {
    fn settle_if_all_answered(&mut self) -> ToWake {
        let is_answered =
            self.is_handed_over && self.fate.acknowledged + self.fate.expired >= self.fate.reached;
        if is_answered { self.settle() } else { None }
    }

    fn settle(&mut self) -> ToWake {
        let wait = self.wait.take()?;
        *wait.lock() = Some(self.fate.clone());
        Some(wait)
    }
}

impl FateWait {
    /// Tells who waits that it is settled.
    pub fn wake(&self) {
        self.event.notify(usize::MAX);
    }

    /// Waits for as long as it takes; somebody has to bound it. Cancel safe.
    pub async fn settled(&self) {
        loop {
            // Listen before looking: what is settled in between is heard.
            listener!(self.event => event);
            if self.lock().is_some() {
                return;
            }
            waiting(Wait::fixed("acknowledgements"), event).await;
        }
    }

    /// What it was settled as.
    pub fn fate(&self) -> Option<Fate> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Fate>> {
        lock(&self.settled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_lite::future::{block_on, poll_once};

    fn settled(wait: &FateWait) -> Option<(u64, u64)> {
        block_on(poll_once(wait.settled()))?;
        wait.fate().map(|fate| (fate.acknowledged, fate.expired))
    }

    #[test]
    fn the_oldest_makes_room() {
        let mut fates = Fates::default();
        let wait = Arc::<FateWait>::default();
        let _ = fates.begin(1, "odd", Some(wait.clone()));
        for number in 2..=PUSH_FATES as u64 {
            let _ = fates.begin(number, if number % 2 == 0 { "even" } else { "odd" }, None);
        }
        let _ = fates.handed_over(1, 2, 0);
        let _ = fates.count(1, |fate| fate.acknowledged += 1);
        assert_eq!(settled(&wait), None);
        let _ = fates.begin(PUSH_FATES as u64 + 1, "odd", None);
        assert_eq!(
            settled(&wait),
            Some((1, 0)),
            "who waits for one that is forgotten is told what it came to"
        );
        let _ = fates.begin(PUSH_FATES as u64 + 2, "even", None);
        assert_eq!(fates.len(), PUSH_FATES);
        assert_eq!(fates.find("even").map(|fate| fate.n), Some(PUSH_FATES as u64 + 2));
        assert_eq!(fates.by_number.first_key_value().map(|(number, _)| *number), Some(3));
        assert_eq!(fates.find("none"), None);
    }

    #[test]
    fn a_fate_is_settled_when_all_have_answered_and_not_before_it_is_handed_over() {
        let mut fates = Fates::default();
        let wait = Arc::<FateWait>::default();
        let _ = fates.begin(1, "a", Some(wait.clone()));
        let _ = fates.count(1, |fate| fate.acknowledged += 1);
        assert_eq!(settled(&wait), None, "nobody knows yet how many it reaches");
        let _ = fates.handed_over(1, 2, 5);
        assert_eq!(settled(&wait), None);
        let _ = fates.count(1, |fate| fate.expired += 1);
        assert_eq!(settled(&wait), Some((1, 1)));
        let _ = fates.count(1, |fate| fate.acknowledged += 1);
        assert_eq!(
            (settled(&wait), fates.find("a").map(|fate| fate.acknowledged)),
            (Some((1, 1)), Some(2))
        );
        let reached_nobody = Arc::<FateWait>::default();
        let _ = fates.begin(2, "b", Some(reached_nobody.clone()));
        let _ = fates.handed_over(2, 0, 3);
        assert_eq!(settled(&reached_nobody), Some((0, 0)));
    }

    #[test]
    fn at_the_end_nobody_waits_any_more() {
        let mut fates = Fates::default();
        let [early, timely, late] = std::array::from_fn(|_| Arc::<FateWait>::default());
        let _ = fates.begin(1, "early", Some(early.clone()));
        let _ = fates.handed_over(1, 1, 0);
        let _ = fates.begin(2, "timely", Some(timely.clone()));
        let _ = fates.settle_all();
        assert_eq!((settled(&early), settled(&timely)), (Some((0, 0)), None));
        let _ = fates.handed_over(2, 1, 0);
        assert_eq!(
            (settled(&timely), timely.fate().map(|fate| fate.reached)),
            (Some((0, 0)), Some(1))
        );
        let _ = fates.begin(3, "late", Some(late.clone()));
        let _ = fates.handed_over(3, 1, 0);
        assert_eq!(settled(&late), Some((0, 0)));
    }
}
