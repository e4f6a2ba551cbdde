//! What the journal says of pushes that somebody did not get: a line for each push, up to so many
//! in a while, and then one line for all others. So whoever brings about losses, by not reading or
//! by pushing, cannot drive all else out of the journal.

use crate::diagnostics::FrontEnd;
use crate::limits::{PUSH_LOSSES_NOTED, PUSH_LOSSES_NOTED_MS};
use crate::locks::lock;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Notes losses.
pub(super) struct Losses {
    front_end: Arc<FrontEnd>,
    noted: Mutex<Noted>,
}

/// What has been noted since some moment.
#[derive(Default)]
struct Noted {
    since: Option<Instant>,
    /// The entries of single pushes.
    pushes: Vec<Entry>,
    /// The entries of all others.
    others: Vec<Entry>,
}

struct Entry {
    push: u64,
    kind: Loss,
    /// Its number in the journal.
    number: u64,
}

/// What became of deliveries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loss {
    /// There was no room.
    Missed,
    /// It was too old.
    Expired,
    /// It took too long; nobody knows how many got it.
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
    /// How many did not get it.
    pub messages: u64,
    /// How many got it, if that is known.
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

impl Losses {
    pub fn new(front_end: Arc<FrontEnd>) -> Self {
        Self { front_end, noted: Mutex::default() }
    }

    /// Notes a loss.
    pub fn note(&self, lost: Lost<'_>, now: Instant) {
        let mut noted = lock(&self.noted);
        let window = Duration::from_millis(PUSH_LOSSES_NOTED_MS);
        if noted.since.is_none_or(|since| now.saturating_duration_since(since) >= window) {
            *noted = Noted { since: Some(now), ..Noted::default() };
        }
        let kind = lost.kind.as_str();
        // Each client for which it is too old says so by itself: these are one line.
        let known =
            noted.pushes.iter().find(|entry| entry.push == lost.push && entry.kind == lost.kind);
        if let Some(known) = known {
            self.front_end.lost_again(known.number, lost.messages);
        } else if noted.pushes.len() < PUSH_LOSSES_NOTED {
            let reached =
                lost.reached.map(|reached| format!(", reached {reached}")).unwrap_or_default();
            let number = self.front_end.lost(
                kind,
                lost.target,
                &format!("push {}{reached}", lost.id),
                lost.messages,
            );
            noted.pushes.push(Entry { push: lost.push, kind: lost.kind, number });
        } else if let Some(others) = noted.others.iter().find(|entry| entry.kind == lost.kind) {
            self.front_end.lost_again(others.number, lost.messages);
        } else {
            let number =
                self.front_end.lost(kind, "others", "pushes too many to name", lost.messages);
            noted.others.push(Entry { push: 0, kind: lost.kind, number });
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
        let losses = Losses::new(diagnostics.front_end("push"));
        let now = Instant::now();
        for push in 1..=10_000 {
            losses.note(lost(Loss::Missed, push, &format!("o-{push}")), now);
            losses.note(lost(Loss::Expired, push, &format!("o-{push}")), now);
            losses.note(lost(Loss::Expired, 1, "o-1"), now);
        }
        let journal = diagnostics.journal();
        assert_eq!(journal.len(), PUSH_LOSSES_NOTED + 2);
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
        losses.note(
            lost(Loss::TimedOut, 7, "o-7"),
            now + Duration::from_millis(PUSH_LOSSES_NOTED_MS),
        );
        let newest = &journal.newest(0, 1)[0];
        assert_eq!((newest.kind, newest.reason.as_str()), ("timed out", "push o-7"));
    }
}
