//! What a queue group knows of one of its members: how many messages it may still be given, and
//! which are not for it.

use crate::sync::{AtomicU64, Ordering, lock};
use crate::topic::{Pattern, Topic};
use std::sync::{Arc, Mutex};

/// One subscription's place in a queue group.
pub(crate) struct Membership {
    /// The group's name.
    pub group: Arc<str>,
    pub allowance: Allowance,
    /// Messages of these topics go to another member.
    except: Box<[Pattern]>,
}

impl Membership {
    pub fn new(group: &str, except: &[Pattern]) -> Self {
        Self { group: group.into(), allowance: Allowance::new(), except: except.into() }
    }

    /// The same group and exceptions, for another member.
    pub fn again(&self) -> Self {
        Self { group: self.group.clone(), allowance: Allowance::new(), except: self.except.clone() }
    }

    pub fn is_for_all(&self) -> bool {
        self.except.is_empty()
    }

    pub fn is_for(&self, topic: &Topic) -> bool {
        !self.except.iter().any(|pattern| pattern.matches(topic))
    }
}

/// How many messages a member may be given. They count when they are assigned to it, not when they
/// arrive: so no message is given to a member that no longer wants it, as long as another member
/// does.
pub(crate) struct Allowance {
    /// Without a limit: how many it was given. With one ([`LIMITED`] is set): how many are left. In
    /// one word, so that the thread that sets a limit knows exactly how many were given before.
    word: AtomicU64,
    /// How many it may be given in all, once there is a limit. Locked by whoever sets it.
    total: Mutex<Option<u64>>,
}

const LIMITED: u64 = 1 << 63;

impl Allowance {
    fn new() -> Self {
        Self { word: AtomicU64::new(0), total: Mutex::new(None) }
    }

    /// Takes this many, if that many are left.
    pub fn spend(&self, messages: u32) -> bool {
        self.spend_if(|left| (left >= u64::from(messages)).then_some(messages)).is_some()
    }

    /// Takes this many, or as many as are left, and returns how many that is.
    pub fn spend_up_to(&self, messages: u32) -> u32 {
        self.spend_if(|left| Some(u32::try_from(left).map_or(messages, |left| left.min(messages))))
            .unwrap_or(0)
    }

    /// Takes as many as `decide` says, given how many are left.
    fn spend_if(&self, decide: impl Fn(u64) -> Option<u32>) -> Option<u32> {
        let mut word = self.word.load(Ordering::Acquire);
        loop {
            let is_limited = word & LIMITED != 0;
            let spent = decide(if is_limited { word & !LIMITED } else { u64::MAX })?;
            let after = if is_limited { word - u64::from(spent) } else { word + u64::from(spent) };
            match self.word.compare_exchange_weak(word, after, Ordering::AcqRel, Ordering::Acquire)
            {
                Ok(_) => return Some(spent),
                Err(now) => word = now,
            }
        }
    }

    /// Gives back what was spent on messages that the member did not get after all.
    pub fn give_back(&self, messages: u32) {
        let messages = u64::from(messages);
        let give_back =
            |word: u64| Some(if word & LIMITED == 0 { word - messages } else { word + messages });
        // Never refused.
        let _ = self.word.fetch_update(Ordering::AcqRel, Ordering::Acquire, give_back);
    }

    /// Whether this many are left now.
    pub fn leaves(&self, messages: u32) -> bool {
        let word = self.word.load(Ordering::Acquire);
        word & LIMITED == 0 || word & !LIMITED >= u64::from(messages)
    }

    /// Limits it to `max` in all, those that it was given before counted, and tells how many it
    /// gets: more if it was given more before. A limit that is used up stays.
    pub fn limit(&self, max: u64) -> u64 {
        let mut total = lock(&self.total);
        loop {
            let word = self.word.load(Ordering::Acquire);
            let given = match *total {
                None => word,
                Some(total) if word == LIMITED => return total,
                Some(total) => total - (word & !LIMITED),
            };
            let new_total = max.max(given);
            let limited = LIMITED | (new_total - given);
            if self
                .word
                .compare_exchange(word, limited, Ordering::AcqRel, Ordering::Acquire)
                .is_ok()
            {
                *total = Some(new_total);
                return new_total;
            }
        }
    }
}

#[cfg(all(test, not(fanfare_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_limit_counts_what_was_given_before() {
        let allowance = Allowance::new();
        assert!(allowance.spend(4) && allowance.leaves(u32::MAX));
        assert_eq!(allowance.limit(6), 6);
        assert!(!allowance.spend(3) && allowance.leaves(2) && !allowance.leaves(3));
        assert_eq!((allowance.spend_up_to(3), allowance.spend_up_to(3)), (2, 0));
        assert!(!allowance.spend(1));
    }

    #[test]
    fn a_limit_below_what_was_given_ends_it_there() {
        let allowance = Allowance::new();
        assert!(allowance.spend(4));
        assert_eq!(allowance.limit(3), 4, "it gets what it was given");
        assert!(!allowance.spend(1));
        assert_eq!(allowance.limit(9), 4, "it is over");
    }

    #[test]
    fn a_limit_can_be_changed_until_it_is_used_up() {
        let allowance = Allowance::new();
        assert_eq!(allowance.limit(2), 2);
        assert!(allowance.spend(1));
        assert_eq!(allowance.limit(5), 5);
        assert!(allowance.spend(2));
        assert_eq!(allowance.limit(1), 3);
        assert!(!allowance.spend(1));
    }

    #[test]
    fn allowance_given_back_can_be_spent_again() {
        let allowance = Allowance::new();
        assert!(allowance.spend(3));
        allowance.give_back(1);
        assert_eq!(allowance.limit(3), 3);
        assert!(allowance.spend(1) && !allowance.spend(1));
        allowance.give_back(1);
        assert!(allowance.spend(1) && !allowance.spend(1));
    }
}

#[cfg(all(test, fanfare_loom))]
mod loom_models {
    use super::*;
    use loom::sync::Arc;
    use loom::thread;

    #[test]
    fn loom_a_limit_tells_exactly_how_many_are_given() {
        // Three threads: all interleavings with up to three preemptions.
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(3);
        builder.check(|| {
            let allowance = Arc::new(Allowance::new());
            let spenders = [1, 2].map(|messages| {
                let allowance = allowance.clone();
                thread::spawn(move || allowance.spend_up_to(messages))
            });
            let total = allowance.limit(2);
            let given: u32 = spenders.into_iter().map(|spender| spender.join().unwrap()).sum();
            assert_eq!(u64::from(given + allowance.spend_up_to(9)), total);
        });
    }
}
