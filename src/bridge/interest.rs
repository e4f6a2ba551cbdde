//! The patterns that are subscribed to, to tell another system.

use crate::routing::interest::{Changed, InterestKey, InterestLog};
use crate::shared::Shared;
use crate::topic::Pattern;
use std::collections::HashMap;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Watches which patterns are subscribed to, plainly or in which queue group, by how many. Bridges
/// do not count.
///
/// A subscription is noted before the call that begins it returns. So whoever looks after taking a
/// message out of a [`Bridge`](crate::Bridge) knows of every subscription that its publisher had
/// begun before, its inbox for the answer included.
///
/// ```
/// use fanfare::{Broker, Pattern};
///
/// let broker = Broker::<u8>::new();
/// let mut watch = broker.watch_interest();
/// let pattern = Pattern::parse("orders.*")?;
/// let subscription = broker.subscribe(&pattern)?;
/// let changes = watch.changes();
/// assert_eq!((&changes[0].pattern, changes[0].before, changes[0].now), (&pattern, 0, 1));
///
/// drop(subscription);
/// assert_eq!(watch.changes()[0].now, 0);
/// assert!(watch.changes().is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct InterestWatch<M> {
    shared: Arc<Shared<M>>,
    log: Arc<InterestLog>,
    /// The counts that `changes` has returned.
    told: HashMap<InterestKey, usize>,
}

/// How many subscriptions there are to a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterestChange {
    /// The pattern.
    pub pattern: Pattern,
    /// The queue group, if they are in one.
    pub group: Option<Arc<str>>,
    /// The number that was told before.
    pub before: usize,
    /// The number now.
    pub now: usize,
}

impl<M> InterestWatch<M> {
    pub(crate) fn new(shared: Arc<Shared<M>>) -> Self {
        let log = shared.router.interest.watch();
        Self { shared, log, told: HashMap::new() }
    }

    /// Returns what has changed since the last call; at first, all interest there is. Changes that
    /// were undone in between are left out.
    pub fn changes(&mut self) -> Vec<InterestChange> {
        let router = &self.shared.router;
        let counts: Vec<(InterestKey, usize)> = match self.log.take() {
            Changed::These(keys) => {
                let counted = |key: InterestKey| (router.count_interest(&key), key);
                keys.into_iter().map(counted).map(|(count, key)| (key, count)).collect()
            }
            Changed::Anything => {
                let mut all = router.all_interest();
                for key in self.told.keys() {
                    all.entry(key.clone()).or_default();
                }
                all.into_iter().collect()
            }
        };
        counts.into_iter().filter_map(|(key, now)| self.tell(key, now)).collect()
    }

    /// Ready when there may be changes. The task polled last is the one that is woken.
    pub fn poll_changed(&self, context: &Context<'_>) -> Poll<()> {
        // Registered before the look: who notes something in between wakes this task.
        self.log.register(context.waker());
        if self.log.has_changed() { Poll::Ready(()) } else { Poll::Pending }
    }

    fn tell(&mut self, key: InterestKey, now: usize) -> Option<InterestChange> {
        let before = match now {
            0 => self.told.remove(&key).unwrap_or(0),
            _ => self.told.insert(key.clone(), now).unwrap_or(0),
        };
        let (pattern, group) = key;
        (before != now).then_some(InterestChange { pattern, group, before, now })
    }
}
