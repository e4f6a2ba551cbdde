//! Tracks which sent messages the hub has processed: its `PONG` follows everything that was sent
//! before the `PING`. State without a clock.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The unanswered `PING`s of one connection.
#[derive(Debug, Default)]
pub(super) struct Confirmations {
    /// How many messages were sent before each, and when it was sent.
    asked: VecDeque<(u64, Instant)>,
}

impl Confirmations {
    /// A `PING` is sent after this many messages in all.
    pub fn ask(&mut self, sent: u64, now: Instant) {
        self.asked.push_back((sent, now));
    }

    /// A `PONG` has come. Returns how many messages it confirms, and the round-trip time.
    pub fn answer(&mut self, now: Instant) -> Option<(u64, Duration)> {
        let (sent, asked_at) = self.asked.pop_front()?;
        Some((sent, now.saturating_duration_since(asked_at)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_answer_is_to_the_oldest_question() {
        let (mut confirmations, start) = (Confirmations::default(), Instant::now());
        confirmations.ask(3, start);
        confirmations.ask(9, start + Duration::from_millis(5));
        let now = start + Duration::from_millis(7);
        assert_eq!(confirmations.answer(now), Some((3, Duration::from_millis(7))));
        assert_eq!(confirmations.answer(now), Some((9, Duration::from_millis(2))));
        assert_eq!(confirmations.answer(now), None);
    }
}
