//! Times before lines, for those who ask for them, and the day whenever it changes.

use crate::time::Timestamp;
use std::io::Write;

/// How a person wants to see the times of lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimeFormat {
    /// Not at all.
    #[default]
    Off,
    /// `17:05`, and a line with the date before the first line of each day.
    Minutes,
    /// `2026-11-21T17:05:09Z`
    Iso,
}

/// The times shown before consecutive lines.
#[derive(Debug, Default)]
pub struct Times {
    format: TimeFormat,
    /// The day of the line shown last.
    day: Option<u32>,
}

impl Times {
    /// Before any line was shown.
    pub fn new(format: TimeFormat) -> Self {
        Self { format, day: None }
    }

    /// Appends what stands before a line of this time.
    pub fn append(&mut self, out: &mut Vec<u8>, time: Timestamp) {
        if self.format == TimeFormat::Off {
            return;
        }
        if time == Timestamp::UNKNOWN {
            out.extend_from_slice(b"--:-- ");
        } else if self.format == TimeFormat::Iso {
            // Writing to a vector does not fail.
            let _ = write!(out, "{time} ");
        } else {
            let shown = time.to_string();
            if self.day.replace(time.day()) != Some(time.day()) {
                let _ = writeln!(out, "* {}", &shown[..10]);
            }
            let _ = write!(out, "{} ", &shown[11..16]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-21T17:05:09Z
    const EVENING: u64 = 1_795_280_709;

    fn shown(format: TimeFormat, seconds: &[u64]) -> String {
        let (mut times, mut out) = (Times::new(format), Vec::new());
        for seconds in seconds {
            times.append(&mut out, Timestamp::from_seconds(*seconds));
            out.extend_from_slice(b"hi\n");
        }
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn minutes_come_with_the_day_when_it_changes() {
        let next_day = EVENING + 8 * 3600;
        assert_eq!(
            shown(TimeFormat::Minutes, &[EVENING, EVENING + 60, next_day]),
            "* 2026-11-21\n17:05 hi\n17:06 hi\n* 2026-11-22\n01:05 hi\n"
        );
    }

    #[test]
    fn iso_times_have_the_day_in_them() {
        assert_eq!(shown(TimeFormat::Iso, &[EVENING]), "2026-11-21T17:05:09Z hi\n");
    }

    #[test]
    fn times_are_for_those_who_ask_and_an_unknown_one_is_not_made_up() {
        assert_eq!(shown(TimeFormat::Off, &[EVENING]), "hi\n");
        assert_eq!(shown(TimeFormat::Minutes, &[0]), "--:-- hi\n");
    }
}
