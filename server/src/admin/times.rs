//! Times as people and NATS tools read them.

use std::time::{Duration, SystemTime};

/// `2026-11-21T04:39:53.123Z`
pub(super) fn timestamp(time: SystemTime) -> String {
    humantime::format_rfc3339_millis(time).to_string()
}

/// `1d2h3m4s`, without leading zero units, as nats-server writes it.
pub(super) fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    let parts = [
        (seconds / 86_400, 'd'),
        (seconds / 3_600 % 24, 'h'),
        (seconds / 60 % 60, 'm'),
        (seconds % 60, 's'),
    ];
    let first = parts.iter().position(|(count, _)| *count > 0).unwrap_or(3);
    parts[first..].iter().map(|(count, unit)| format!("{count}{unit}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_tools_expect_them() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_235_993_007);
        assert_eq!(timestamp(time), "2026-11-21T04:39:53.007Z");
        for (seconds, expected) in
            [(0, "0s"), (59, "59s"), (60, "1m0s"), (3_725, "1h2m5s"), (90_061, "1d1h1m1s")]
        {
            assert_eq!(duration(Duration::from_secs(seconds)), expected);
        }
    }
}
