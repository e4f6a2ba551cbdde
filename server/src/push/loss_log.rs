//! What the journal says of pushes that somebody did not get: a line for each push up to a bound,
//! then one line for all others. So a client that does not read, or a sender that pushes too much,
//! cannot drive everything else out of the journal.

use crate::diagnostics::FrontEnd;
use crate::limits::{PUSH_LOSSES_LOGGED, PUSH_LOSSES_LOGGED_MS};
use crate::locks::lock;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Writes losses to the journal.
pub(super) struct LossLog {
    front_end: Arc<FrontEnd>,
    window: Mutex<Window>,
}

/// The losses logged since this window began.
#[derive(Default)]
struct Window {
    since: Option<Instant>,
    /// The entries of single pushes, up to [`PUSH_LOSSES_LOGGED`].
    pushes: Vec<Entry>,
    /// The entries for all other pushes, one for each kind of loss.
    others: Vec<Entry>,
}

struct Entry {
    push: u64,
    kind: Loss,
    /// The entry's number in the journal.
    number: u64,
}

/// Why deliveries were lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loss {
    /// The connection had no room.
    Missed,
    /// The push was too old.
    Expired,
    /// The push took too long; nobody knows how many got it.
    TimedOut,
}

/// A push that somebody did not get.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lost<'p> {
    pub kind: Loss,
    pub push: u64,
    pub id: &'p str,
    /// Whom it was for, as its sender wrote it.
    pub target: &'p str,
    /// Connections that did not get it.
    pub messages: u64,
    /// Connections that got it, if that is known.
    pub reached: Option<u64>,
}

impl Loss {
    fn as_str(self) -> &'static str {
        match self {
            Self::Missed => "missed",
            Self::Expired => "expired",
            Self::TimedOut => "timed out",
        }
    }
}

impl LossLog {
    pub fn new(front_end: Arc<FrontEnd>) -> Self {
        Self { front_end, window: Mutex::default() }
    }

    /// Logs a loss.
    pub fn add(&self, lost: Lost<'_>, now: Instant) {
        let mut window = lock(&self.window);
        let length = Duration::from_millis(PUSH_LOSSES_LOGGED_MS);
        if window.since.is_none_or(|since| now.saturating_duration_since(since) >= length) {
            *window = Window { since: Some(now), ..Window::default() };
        }
        let kind = lost.kind.as_str();
        // Every connection for which a push is too old reports it: these share one line.
        let known =
            window.pushes.iter().find(|entry| entry.push == lost.push && entry.kind == lost.kind);
        if let Some(known) = known {
            self.front_end.lost_again(known.number, lost.messages);
        } else if window.pushes.len() < PUSH_LOSSES_LOGGED {
            let reached =
                lost.reached.map(|reached| format!(", reached {reached}")).unwrap_or_default();
            let number = self.front_end.lost(
                kind,
                lost.target,
                &format!("push {}{reached}", lost.id),
                lost.messages,
            );
            window.pushes.push(Entry { push: lost.push, kind: lost.kind, number });
        } else if let Some(others) = window.others.iter().find(|entry| entry.kind == lost.kind) {
            self.front_end.lost_again(others.number, lost.messages);
        } else {
            let number =
                self.front_end.lost(kind, "others", "pushes too many to name", lost.messages);
            window.others.push(Entry { push: 0, kind: lost.kind, number });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostics::Diagnostics;

    fn lost(kind: Loss, push: u64, id: &str) -> Lost<'_> {
        Lost {
            kind,
            push,
            id,
            target: "all",
            messages: 2,
            reached: (kind == Loss::Missed).then_some(7),
        }
    }

    #[test]
    fn a_push_is_a_line_and_a_flood_is_a_bounded_number_of_them() {
        let diagnostics = Diagnostics::new();
        let losses = LossLog::new(diagnostics.front_end("push"));
        let now = Instant::now();
        for push in 1..=10_000 {
            losses.add(lost(Loss::Missed, push, &format!("o-{push}")), now);
            losses.add(lost(Loss::Expired, push, &format!("o-{push}")), now);
            losses.add(lost(Loss::Expired, 1, "o-1"), now);
        }
        let journal = diagnostics.journal();
        assert_eq!(journal.count(), PUSH_LOSSES_LOGGED + 2);
        let entries = journal.newest(0, 1_000);
        let sum = |kind| {
            entries
                .iter()
                .filter(|entry| entry.kind == kind)
                .map(|entry| entry.messages)
                .sum::<u64>()
        };
        assert_eq!(
            (sum("missed"), sum("expired")),
            (20_000, 40_000),
            "whatever is not named is in the sum"
        );
        let first = &entries[entries.len() - 1];
        assert_eq!((first.about.as_str(), first.reason.as_str()), ("all", "push o-1, reached 7"));
        let expired = &entries[entries.len() - 2];
        assert_eq!((expired.reason.as_str(), expired.messages), ("push o-1", 2 * 10_001));
        // A while later there is room for others.
        losses.add(
            lost(Loss::TimedOut, 7, "o-7"),
            now + Duration::from_millis(PUSH_LOSSES_LOGGED_MS),
        );
        let newest = &journal.newest(0, 1)[0];
        assert_eq!((newest.kind, newest.reason.as_str()), ("timed out", "push o-7"));
    }
}
