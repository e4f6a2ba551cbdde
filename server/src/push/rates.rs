//! The limit on one sender's pushes a second.

use super::access::Grant;
use crate::connection::rate::RateLimit;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// One rate for each token, and one for this machine: no more than there are tokens.
#[derive(Debug)]
pub(super) struct Rates {
    per_second: u32,
    by_holder: HashMap<Option<String>, RateLimit>,
}

impl Rates {
    pub fn new(per_second: usize) -> Self {
        let per_second = u32::try_from(per_second).unwrap_or(u32::MAX);
        Self { per_second, by_holder: HashMap::new() }
    }

    /// Counts these pushes; or says how long to wait until they fit.
    pub fn take(&mut self, grant: &Grant, pushes: usize, now: Instant) -> Result<(), Duration> {
        let holder = match grant {
            Grant::All => None,
            Grant::Key(key) => Some(key.id.clone()),
            Grant::Token(rights) => Some(rights.token.clone()),
        };
        let new = || RateLimit::new(self.per_second, self.per_second, now);
        let rate = self.by_holder.entry(holder).or_insert_with(new);
        let pushes = u32::try_from(pushes).unwrap_or(u32::MAX);
        match rate.due(pushes, now).saturating_duration_since(now) {
            Duration::ZERO => {
                rate.take(pushes);
                Ok(())
            }
            wait => Err(wait),
        }
    }
}
