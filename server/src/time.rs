//! The system's clock: the time of messages, and milliseconds for programs.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A moment in whole seconds since 1970, in UTC, up to the year 2106.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(u32);

impl Timestamp {
    /// Stands for a time that was not recorded.
    pub const UNKNOWN: Self = Self(0);

    /// The present.
    pub fn now() -> Self {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self::from_seconds(since_1970.as_secs())
    }

    /// A moment this many seconds after the beginning of 1970. Later than 2106 is 2106.
    pub fn from_seconds(seconds: u64) -> Self {
        Self(u32::try_from(seconds).unwrap_or(u32::MAX))
    }

    /// Parses what [`Display`](fmt::Display) writes.
    pub fn parse(text: &str) -> Option<Self> {
        let since_1970 = humantime::parse_rfc3339(text).ok()?.duration_since(UNIX_EPOCH).ok()?;
        Some(Self::from_seconds(since_1970.as_secs()))
    }

    /// The seconds since 1970.
    pub fn seconds(self) -> u32 {
        self.0
    }

    /// The number of the day, from 1970 on.
    pub fn day(self) -> u32 {
        self.0 / (24 * 3600)
    }
}

/// The moment as RFC 3339 has it: `2026-11-21T17:05:09Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = UNIX_EPOCH + Duration::from_secs(u64::from(self.0));
        write!(out, "{}", humantime::format_rfc3339_seconds(time))
    }
}

/// Milliseconds since 1970 until now.
pub fn now_ms() -> u64 {
    unix_ms(SystemTime::now())
}

/// Milliseconds since 1970 until `time`.
pub fn unix_ms(time: SystemTime) -> u64 {
    let since_1970 = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_is_a_moment_in_utc() {
        let time = Timestamp::from_seconds(1_795_280_709);
        assert_eq!(time.to_string(), "2026-11-21T17:05:09Z");
        assert_eq!(Timestamp::parse("2026-11-21T17:05:09Z"), Some(time));
        assert_eq!(["", "17:05", "1960-11-21T17:05:09Z"].map(Timestamp::parse), [None; 3]);
        assert_eq!(time.day(), Timestamp::from_seconds(1_795_280_709 + 6 * 3600).day());
        assert_eq!(time.day() + 1, Timestamp::from_seconds(1_795_280_709 + 7 * 3600).day());
        assert_eq!(Timestamp::from_seconds(u64::MAX).seconds(), u32::MAX);
        assert!(Timestamp::now() > time || Timestamp::now() > Timestamp::UNKNOWN);
    }
}
