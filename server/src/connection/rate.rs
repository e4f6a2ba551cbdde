//! A rate limit that allows a burst.
//!
//! State without a clock: times are arguments.

use std::time::{Duration, Instant};

/// A rate with a burst.
#[derive(Debug)]
pub(crate) struct RateLimit {
    interval: Duration,
    burst: u32,
    /// When the last unit was due. Never further in the past than the burst lasts.
    last_due: Instant,
}

impl RateLimit {
    /// Allows `per_second` units a second, and `burst` of them at once.
    pub fn new(per_second: u32, burst: u32, now: Instant) -> Self {
        let interval = Duration::from_secs(1) / per_second.max(1);
        let last_due = now.checked_sub(interval * burst).unwrap_or(now);
        Self { interval, burst, last_due }
    }

    /// When this many units may pass; not later than `now` if they may pass at once. More than the
    /// burst pass as soon as the whole burst may, and leave a debt.
    pub fn due(&mut self, units: u32, now: Instant) -> Instant {
        // Unused time does not accumulate beyond the burst.
        if let Some(oldest) = now.checked_sub(self.interval * self.burst) {
            self.last_due = self.last_due.max(oldest);
        }
        self.last_due + self.interval * units.min(self.burst)
    }

    /// Whether the whole burst may pass.
    pub fn is_rested(&mut self, now: Instant) -> bool {
        self.due(self.burst, now) <= now
    }

    /// Counts units that pass, now or when they are due.
    pub fn take(&mut self, units: u32) {
        self.last_due += self.interval * units;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many units pass at once.
    fn passed(rate: &mut RateLimit, now: Instant) -> usize {
        let passes = |rate: &mut RateLimit| rate.due(1, now) <= now;
        (0..100)
            .take_while(|_| {
                passes(rate) && {
                    rate.take(1);
                    true
                }
            })
            .count()
    }

    #[test]
    fn a_burst_passes_and_then_the_rate_holds() {
        let now = Instant::now();
        let after = |ms| now + Duration::from_millis(ms);
        let mut rate = RateLimit::new(10, 20, now);
        assert!(rate.is_rested(now));
        assert_eq!(passed(&mut rate, now), 20);
        assert!(!rate.is_rested(now));
        assert_eq!(rate.due(1, now), after(100));
        assert_eq!(passed(&mut rate, after(100)), 1);
        assert_eq!(rate.due(1, after(150)), after(200));
        rate.take(1);
        assert_eq!(rate.due(1, after(150)), after(300), "the next waits for the one that waits");
        // Time that nobody used does not add up beyond the burst.
        assert_eq!(passed(&mut rate, after(1_000_000)), 20);
    }

    #[test]
    fn an_amount_beyond_the_burst_is_paid_for_afterwards() {
        let now = Instant::now();
        let mut rate = RateLimit::new(10, 10, now);
        assert!(rate.due(30, now) <= now);
        rate.take(30);
        let later = now + Duration::from_secs(1);
        assert_eq!(rate.due(1, later), later + Duration::from_millis(1_100));
    }
}
