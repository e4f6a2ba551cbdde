//! How many pushes a second somebody may send.

use super::access::Grant;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// One bucket for each token, and one for this machine: no more than there are tokens.
#[derive(Debug)]
pub(super) struct Rates {
    per_second: usize,
    buckets: HashMap<Option<String>, Bucket>,
}

#[derive(Debug)]
struct Bucket {
    left: f64,
    filled_at: Instant,
}

impl Rates {
    pub fn new(per_second: usize) -> Self {
        Self { per_second, buckets: HashMap::new() }
    }

    /// Counts so many pushes; or says how long to wait until they fit.
    pub fn take(&mut self, grant: &Grant, pushes: usize, now: Instant) -> Result<(), Duration> {
        let holder = match grant {
            Grant::All => None,
            Grant::Key(key) => Some(key.id.clone()),
            Grant::Token(rights) => Some(rights.token.clone()),
        };
        let full = self.per_second as f64;
        let bucket = self.buckets.entry(holder).or_insert(Bucket { left: full, filled_at: now });
        let since = now.saturating_duration_since(bucket.filled_at);
        bucket.left = (bucket.left + since.as_secs_f64() * full).min(full);
        bucket.filled_at = now;
        // A batch larger than the whole bucket passes when the bucket is full, and leaves a debt.
        let needed = (pushes as f64).min(full);
        if bucket.left < needed {
            return Err(Duration::from_secs_f64((needed - bucket.left) / full));
        }
        bucket.left -= pushes as f64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_rate_holds() {
        let mut rates = Rates::new(10);
        let now = Instant::now();
        let after = |ms| now + Duration::from_millis(ms);
        assert!((0..10).all(|_| rates.take(&Grant::All, 1, now).is_ok()));
        assert_eq!(rates.take(&Grant::All, 1, now), Err(Duration::from_millis(100)));
        assert_eq!(rates.take(&Grant::All, 1, after(100)), Ok(()));
        assert!(rates.take(&Grant::All, 1, after(150)).is_err());
        // What nobody used does not add up, and a large batch is paid for afterwards.
        assert_eq!(rates.take(&Grant::All, 30, after(60_000)), Ok(()));
        assert_eq!(rates.take(&Grant::All, 1, after(61_000)), Err(Duration::from_millis(1_100)));
    }
}
