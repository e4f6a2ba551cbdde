//! One look at a server, and what changed since the one before.

use super::admin::Admin;
use super::view::{DROPPED, FULL, HELP, QUEUED, View, WAITED};
use crate::codec::lines::append_text;
use serde_json::Value;
use std::fmt::Write;
use std::time::Instant;

/// Subscriptions that are asked for, so that there is something to sort.
const ASKED_FOR: usize = 100;

/// Subscriptions that a frame shows.
const SLOWEST: usize = 10;

/// Bytes of a name that a frame shows.
const SHOWN_BYTES: usize = 40;

/// A server's figures at one moment.
pub struct Sample {
    at: Instant,
    varz: Value,
    slowest: Value,
    /// Processor time that the server has taken.
    cpu_s: f64,
    /// Names and counts, most first.
    tasks: Vec<(String, f64)>,
}

impl Sample {
    /// Asks for everything that a frame shows.
    pub fn take(admin: &Admin) -> Result<Self, String> {
        let (at, varz) = (Instant::now(), admin.json("/varz")?);
        let slowest =
            admin.json(&format!("/slowz?limit={ASKED_FOR}"))?["subscriptions_list"].take();
        let metrics = admin.text("/metrics")?;
        let mut tasks = tasks(&metrics);
        tasks.sort_by(|one, other| other.1.total_cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
        Ok(Self { at, varz, slowest, cpu_s: cpu_s(&metrics), tasks })
    }

    /// When that was.
    pub fn at(&self) -> Instant {
        self.at
    }

    fn figure(&self, name: &str) -> f64 {
        self.varz[name].as_f64().unwrap_or(0.0)
    }
}

/// The processor time among all metrics. (The share in `/varz` is of the time since anybody last
/// asked for it.)
fn cpu_s(metrics: &str) -> f64 {
    let mut lines = metrics.lines();
    let seconds = lines.find_map(|line| line.strip_prefix("fanfare_process_cpu_seconds_total "));
    seconds.and_then(|seconds| seconds.parse().ok()).unwrap_or(0.0)
}

/// The figures of tasks among all metrics.
fn tasks(metrics: &str) -> Vec<(String, f64)> {
    let of_task = |line: &str| {
        let (name, count) = line.strip_prefix("fanfare_tasks{name=\"")?.split_once("\"} ")?;
        Some((name.to_owned(), count.parse().ok()?))
    };
    metrics.lines().filter_map(of_task).collect()
}

/// A frame: totals, rates since `before`, the slowest subscriptions, and tasks by name.
pub fn render(before: &Sample, now: &Sample, view: &View) -> String {
    if view.is_help {
        return HELP.to_owned();
    }
    let seconds = now.at.saturating_duration_since(before.at).as_secs_f64().max(0.001);
    let rate = |name: &str| (now.figure(name) - before.figure(name)).max(0.0) / seconds;
    let text = |name: &str| clean(now.varz[name].as_str().unwrap_or_default());
    let mut out = String::new();
    let _ = writeln!(
        out,
        "fanfare {}, up {}, {:.1} % of a core",
        text("fanfare_version"),
        text("uptime"),
        (now.cpu_s - before.cpu_s).max(0.0) / seconds * 100.0
    );
    let _ = writeln!(
        out,
        "memory       {} in RAM, {} in use of {}",
        bytes(now.figure("mem")),
        bytes(now.figure("mem_allocated")),
        bytes(now.figure("mem_budget"))
    );
    let _ = writeln!(
        out,
        "connections  {} now, {} in all, {} slow consumers, {} shed",
        now.figure("connections"),
        now.figure("total_connections"),
        now.figure("slow_consumers"),
        now.figure("shed_connections")
    );
    for (direction, messages, of_bytes) in
        [("in", "in_msgs", "in_bytes"), ("out", "out_msgs", "out_bytes")]
    {
        let (messages, of_bytes) = (rate(messages), bytes(rate(of_bytes)));
        let _ = writeln!(out, "{direction:<12} {messages:.0} messages/s, {of_bytes}/s");
    }
    append_links(&mut out, (&before.varz, &now.varz), seconds);
    // Nothing about pushes where nobody pushes.
    if now.figure("push_accepted_udp") + now.figure("push_accepted_http") > 0.0 {
        let pushes = rate("push_accepted_udp") + rate("push_accepted_http");
        let _ = writeln!(
            out,
            "pushes       {pushes:.0}/s to {:.0} clients/s; in all {} missed, {} expired, {} \
             acknowledged",
            rate("push_reached"),
            now.figure("push_missed"),
            now.figure("push_expired"),
            now.figure("push_acknowledged")
        );
    }
    let _ = writeln!(
        out,
        "\n{:<40} {:>8} {:>6} {:>12} {:>10}",
        if view.takes_keys { "SLOWEST (? for the keys)" } else { "SLOWEST" },
        view.title(&QUEUED),
        view.title(&FULL),
        view.title(&WAITED),
        view.title(&DROPPED)
    );
    for row in view.sorted(&now.slowest).into_iter().take(SLOWEST) {
        let figure = |name: &str| row[name].as_f64().unwrap_or(0.0);
        let _ = writeln!(
            out,
            "{:<40} {:>8} {:>4.0} % {:>9.0} ms {:>10}",
            clean(row["subject"].as_str().unwrap_or_default()),
            figure("queued_messages"),
            figure("full_percent"),
            figure("waited_for_ms"),
            figure("dropped")
        );
    }
    let _ = writeln!(out, "\n{:<40} {:>8}", "TASKS", now.figure("tasks"));
    for (name, count) in &now.tasks {
        let _ = writeln!(out, "{:<40} {count:>8}", clean(name));
    }
    out
}

/// The links to clusters.
fn append_links(out: &mut String, (before, now): (&Value, &Value), seconds: f64) {
    let remotes = |varz: &Value| varz["leaf"]["remotes"].as_array().cloned().unwrap_or_default();
    let earlier = remotes(before);
    for (at, link) in remotes(now).iter().enumerate() {
        let of = |link: &Value, name: &str| link[format!("cluster_{name}")].as_f64().unwrap_or(0.0);
        let figure = |name: &str| of(link, name);
        let before = |name: &str| earlier.get(at).map_or(0.0, |link| of(link, name));
        let rate = |name: &str| (figure(name) - before(name)).max(0.0) / seconds;
        let state = match figure("joined") {
            0.0 => "no link".to_owned(),
            _ => format!("a link, {:.1} ms there and back", figure("round_trip_us") / 1e3),
        };
        let _ = writeln!(
            out,
            "{:<12} {state}; in {:.0}/s, out {:.0}/s; in all {} unconfirmed, {} dropped",
            clean(link["link"].as_str().unwrap_or_default()),
            rate("received"),
            rate("sent"),
            figure("unconfirmed"),
            figure("dropped")
        );
    }
}

/// Harmless in a terminal, and short enough for its column.
fn clean(text: &str) -> String {
    let mut out = Vec::new();
    append_text(&mut out, text.as_bytes(), SHOWN_BYTES);
    String::from_utf8_lossy(&out).into_owned()
}

fn bytes(count: f64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let power = units
        .iter()
        .enumerate()
        .rposition(|(power, _)| count >= 1024_f64.powi(power as i32))
        .unwrap_or(0);
    let digits = if power == 0 { 0 } else { 1 };
    format!("{:.digits$} {}", count / 1024_f64.powi(power as i32), units[power])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::time::Duration;

    fn sample(at: Instant, varz: Value) -> Sample {
        Sample { at, varz, slowest: json!([]), cpu_s: 0.0, tasks: Vec::new() }
    }

    #[test]
    fn a_frame_shows_rates_the_slowest_and_tasks() {
        let metrics = "# TYPE fanfare_tasks gauge\nfanfare_tasks{name=\"chat connection\"} 7.0\n\
                       fanfare_process_cpu_seconds_total 1.5\nfanfare_other 3\n";
        let at = Instant::now();
        let before = Sample { cpu_s: 0.5, ..sample(at, json!({"in_msgs": 100})) };
        let now = Sample {
            at: at + Duration::from_secs(2),
            cpu_s: cpu_s(metrics),
            varz: json!({
                "in_msgs": 300, "mem": 3 << 20, "fanfare_version": "1.0", "uptime": "2s",
                "connections": 7
            }),
            slowest: json!([
                {"subject": "a.\u{1b}[2J", "queued_messages": 5, "waited_for_ms": 70.0}
            ]),
            tasks: tasks(metrics),
        };
        let frame = render(&before, &now, &View::default());
        assert!(frame.contains("up 2s, 50.0 % of a core\n"), "{frame}");
        assert!(frame.contains("in           100 messages/s"), "{frame}");
        assert!(frame.contains("\nSLOWEST  "), "no keys for a script: {frame}");
        assert!(
            frame.contains("3.0 MiB in RAM") && frame.contains("connections  7 now"),
            "{frame}"
        );
        assert!(!frame.contains("pushes"), "there is no gateway: {frame}");
        assert!(!frame.contains("cluster"), "there is none: {frame}");
        assert!(
            frame.lines().any(|line| line.starts_with("chat connection") && line.ends_with(" 7")),
            "{frame}"
        );
        assert!(
            frame.lines().any(|line| line.contains("70 ms")) && !frame.contains('\u{1b}'),
            "{frame}"
        );
    }

    #[test]
    fn a_frame_shows_pushes_where_there_is_a_gateway() {
        let at = Instant::now();
        let before = sample(
            at,
            json!({"push_accepted_udp": 1, "push_accepted_http": 0, "push_reached": 10}),
        );
        let now = json!({
            "push_accepted_udp": 5, "push_accepted_http": 2, "push_reached": 40, "push_missed": 3
        });
        let frame = render(&before, &sample(at + Duration::from_secs(2), now), &View::default());
        let expected =
            "pushes       3/s to 15 clients/s; in all 3 missed, 0 expired, 0 acknowledged";
        assert!(frame.lines().any(|line| line == expected), "{frame}");
    }

    #[test]
    fn a_frame_shows_each_link() {
        let at = Instant::now();
        let later = at + Duration::from_secs(2);
        let earlier = json!({"leaf": {"remotes": [{"cluster_received": 10}]}});
        let up = json!({
            "link": "cluster", "cluster_joined": 1, "cluster_round_trip_us": 340,
            "cluster_received": 30, "cluster_sent": 8, "cluster_unconfirmed": 3,
            "cluster_dropped": 1
        });
        let down = json!({"link": "cluster2", "cluster_joined": 0});
        let now = sample(later, json!({"leaf": {"remotes": [up, down]}}));
        let frame = render(&sample(at, earlier), &now, &View::default());
        for expected in [
            "cluster      a link, 0.3 ms there and back; in 10/s, out 4/s; \
             in all 3 unconfirmed, 1 dropped",
            "cluster2     no link; in 0/s, out 0/s; in all 0 unconfirmed, 0 dropped",
        ] {
            assert!(frame.lines().any(|line| line == expected), "{frame}");
        }
    }

    #[test]
    fn sizes_have_the_unit_that_suits_them() {
        for (count, expected) in
            [(0.0, "0 B"), (1023.0, "1023 B"), (1536.0, "1.5 KiB"), (3e9, "2.8 GiB")]
        {
            assert_eq!(bytes(count), expected);
        }
    }
}
