//! The results, for people and for programs.

use super::load::{Load, Outcome};
use super::round_trips::RoundTrips;
use std::io::{self, Write};

/// The figures of one measurement.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The mode that was measured: a word of the command line.
    pub mode: &'static str,
    /// Connections that publish.
    pub publishers: usize,
    /// Subscribers of each publisher.
    pub subscribers: usize,
    /// Messages in one write.
    pub batch: usize,
    /// Bytes of each payload.
    pub payload_bytes: usize,
    /// Messages, deliveries, or round trips a second.
    pub per_second: f64,
    /// How many processors the client kept busy; `None` if not measured.
    pub client_cores: Option<f64>,
    /// How late, or how long; `None` if not measured.
    pub times: Option<Percentiles>,
}

/// Percentiles of a measured time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Percentiles {
    /// Half of the messages take at most this long, in nanoseconds.
    pub p50_ns: u64,
    /// 99 % of the messages take at most this long, in nanoseconds.
    pub p99_ns: u64,
    /// 99.9 % of the messages take at most this long, in nanoseconds.
    pub p999_ns: u64,
    /// The slowest message, in nanoseconds.
    pub max_ns: u64,
}

impl Percentiles {
    /// The percentiles of values in ascending order; `None` if there are none.
    pub fn of(sorted_ns: &[u64]) -> Option<Self> {
        let max_ns = *sorted_ns.last()?;
        let within = |part: f64| {
            let rank = (sorted_ns.len() as f64 * part).ceil() as usize;
            sorted_ns[rank.clamp(1, sorted_ns.len()) - 1]
        };
        Some(Self { p50_ns: within(0.5), p99_ns: within(0.99), p999_ns: within(0.999), max_ns })
    }
}

impl Row {
    /// A row for a run at full speed.
    pub fn throughput(mode: &'static str, load: &Load, outcome: &Outcome) -> Self {
        Self {
            mode,
            publishers: if mode == "sub" { 0 } else { load.publishers },
            subscribers: if mode == "pub" { 0 } else { load.subscribers },
            batch: load.batch,
            payload_bytes: load.payload_bytes,
            per_second: outcome.rate(),
            client_cores: Some(outcome.client_cores()),
            times: None,
        }
    }

    /// A row for a run at a fixed rate.
    pub fn latency(load: &Load, outcome: &Outcome) -> Self {
        Self {
            times: Percentiles::of(&outcome.late_ns),
            ..Self::throughput("latency", load, outcome)
        }
    }

    /// `times_ns` in ascending order.
    pub fn round_trips(what: &RoundTrips, times_ns: Vec<u64>) -> Self {
        Self {
            mode: "request",
            publishers: 1,
            subscribers: 1,
            batch: 1,
            payload_bytes: what.payload_bytes,
            per_second: times_ns.len() as f64 / what.duration.as_secs_f64(),
            client_cores: None,
            times: Percentiles::of(&times_ns),
        }
    }

    /// Name and value of each figure; empty where it was not measured.
    fn figures(&self) -> [(&'static str, String); 10] {
        let time = |which: fn(&Percentiles) -> u64| {
            self.times
                .as_ref()
                .map_or_else(String::new, |times| format!("{:.1}", which(times) as f64 / 1e3))
        };
        [
            ("publishers", self.publishers.to_string()),
            ("subscribers", self.subscribers.to_string()),
            ("batch", self.batch.to_string()),
            ("payload_bytes", self.payload_bytes.to_string()),
            ("per_second", format!("{:.0}", self.per_second)),
            (
                "client_cores",
                self.client_cores.map_or_else(String::new, |cores| format!("{cores:.2}")),
            ),
            ("p50_us", time(|times| times.p50_ns)),
            ("p99_us", time(|times| times.p99_ns)),
            ("p99_9_us", time(|times| times.p999_ns)),
            ("max_us", time(|times| times.max_ns)),
        ]
    }
}

/// A table for people.
pub fn write_table(rows: &[Row], output: &mut impl Write) -> io::Result<()> {
    let Some(first) = rows.first() else { return Ok(()) };
    write!(output, "{:>8}", "mode")?;
    first.figures().iter().try_for_each(|(name, _)| write!(output, " {name:>13}"))?;
    writeln!(output)?;
    for row in rows {
        write!(output, "{:>8}", row.mode)?;
        for (_, value) in row.figures() {
            write!(output, " {:>13}", if value.is_empty() { "-" } else { &value })?;
        }
        writeln!(output)?;
    }
    writeln!(
        output,
        "per_second counts deliveries (pub: messages; request: round trips). The client runs on \
         the same machine"
    )?;
    writeln!(
        output,
        "if the server does, and takes about one core's worth of work too: client_cores says how \
         much."
    )
}

/// An object a line.
pub fn write_json(rows: &[Row], output: &mut impl Write) -> io::Result<()> {
    for row in rows {
        write!(output, "{{\"mode\":\"{}\"", row.mode)?;
        for (name, value) in row.figures() {
            write!(output, ",\"{name}\":{}", if value.is_empty() { "null" } else { &value })?;
        }
        writeln!(output, "}}")?;
    }
    Ok(())
}

/// A line of names, then a line for each.
pub fn write_csv(rows: &[Row], output: &mut impl Write) -> io::Result<()> {
    let Some(first) = rows.first() else { return Ok(()) };
    let names: Vec<&str> = first.figures().iter().map(|(name, _)| *name).collect();
    writeln!(output, "mode,{}", names.join(","))?;
    for row in rows {
        let values: Vec<String> = row.figures().into_iter().map(|(_, value)| value).collect();
        writeln!(output, "{},{}", row.mode, values.join(","))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Row {
        let times = Percentiles::of(&[1_000, 2_000, 3_000]);
        Row { times, ..Row::throughput("latency", &Load::default(), &Outcome::default()) }
    }

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let values: Vec<u64> = (1..=1000).collect();
        let expected = Percentiles { p50_ns: 500, p99_ns: 990, p999_ns: 999, max_ns: 1000 };
        assert_eq!(Percentiles::of(&values), Some(expected));
        let one = Percentiles { p50_ns: 7, p99_ns: 7, p999_ns: 7, max_ns: 7 };
        assert_eq!(Percentiles::of(&[7]), Some(one));
        assert_eq!(Percentiles::of(&[]), None);
    }

    #[test]
    fn json_is_json_and_what_was_not_measured_is_null() {
        let mut text = Vec::new();
        write_json(&[row(), Row { times: None, ..row() }], &mut text).unwrap();
        let lines = String::from_utf8(text).unwrap();
        let objects: Vec<serde_json::Value> =
            lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(objects[0]["p50_us"], 2.0);
        assert_eq!(objects[1]["p50_us"], serde_json::Value::Null);
        assert_eq!(objects[0]["mode"], "latency");
    }

    #[test]
    fn csv_has_as_many_values_as_names() {
        let mut text = Vec::new();
        write_csv(&[row()], &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        let columns: Vec<usize> = text.lines().map(|line| line.split(',').count()).collect();
        assert_eq!(columns, [11, 11]);
    }
}
