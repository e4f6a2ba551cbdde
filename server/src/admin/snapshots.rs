//! `/live`: figures as server-sent events, one snapshot a second, shared by all viewers.
//!
//! Each viewer wakes when the next snapshot is due. The first one to wake makes it, and the others
//! send the same bytes. So there is no task, and nothing is made while nobody looks.

use super::context::{AdminContext, NAME};
use super::leaf_nodes;
use super::problems::{self, Problem};
use super::times::timestamp;
use crate::diagnostics::FrontEndFigures;
use crate::http::{Response, append_event, event, events};
use crate::limits::{ADMIN_LIVE_MS, ADMIN_LIVE_POINTS};
use crate::locks::lock;
use crate::process::Process;
use crate::time::{now_ms, unix_ms};
use async_io::Timer;
use bytes::Bytes;
use futures_lite::stream;
use serde::Serialize;
use serde_json::json;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

/// The snapshots of the last minutes in short, and the last one.
pub(super) struct Snapshots {
    state: Mutex<State>,
}

struct State {
    /// Oldest first. A gap of more than a second means that nobody looked.
    points: VecDeque<Point>,
    last: Bytes,
    due: Instant,
}

/// The figures of one moment, for charts. Counters only grow, so two points give a rate, however
/// far apart they are.
#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Point {
    at_ms: u64,
    in_msgs: u64,
    out_msgs: u64,
    in_bytes: u64,
    out_bytes: u64,
    published: u64,
    queued_msgs: u64,
    queued_bytes: u64,
    dropped: u64,
    missed: u64,
    cpu_ms: u64,
    /// Allocated memory, which the budget bounds.
    mem_bytes: u64,
    resident_bytes: u64,
}

/// One front-end, as a snapshot shows it.
#[derive(Serialize)]
struct Listed {
    name: &'static str,
    address: Option<String>,
    max_connections: Option<usize>,
    connections: usize,
    accepted: u64,
    refused: u64,
    slow_consumers: u64,
    in_msgs: u64,
    out_msgs: u64,
    in_bytes: u64,
    out_bytes: u64,
}

/// `/live`
pub(super) async fn live(context: Arc<AdminContext>, snapshots: Arc<Snapshots>) -> Response {
    // why: one for each viewer, set again for each snapshot.
    let timer = Timer::never();
    let viewer = Viewer { context, snapshots, timer, due: None, knows_the_end: false };
    events(stream::unfold(viewer, Viewer::next))
}

/// Somebody who watches `/live`.
struct Viewer {
    context: Arc<AdminContext>,
    snapshots: Arc<Snapshots>,
    timer: Timer,
    /// When the next snapshot is due. `None` before the first.
    due: Option<Instant>,
    knows_the_end: bool,
}

impl Viewer {
    /// The next event. `None` once the viewer knows that the server is ending.
    async fn next(mut self) -> Option<(Bytes, Self)> {
        if self.knows_the_end {
            return None;
        }
        let snapshots = &self.snapshots;
        let (event, due) = match self.due {
            None => snapshots.opening(&self.context),
            Some(due) => {
                self.timer.set_at(due);
                (&mut self.timer).await;
                snapshots.snapshot(&self.context)
            }
        };
        self.knows_the_end = self.context.broker.is_closed();
        self.due = Some(due);
        Some((event, self))
    }
}

impl Snapshots {
    /// No snapshot yet.
    pub fn new(started_at: SystemTime) -> Self {
        // All that is counted began with the server.
        let start = Point { at_ms: unix_ms(started_at), ..Point::default() };
        let state = State { points: [start].into(), last: Bytes::new(), due: Instant::now() };
        Self { state: Mutex::new(state) }
    }

    /// The first events for a new viewer: what does not change, the last minutes, and a snapshot.
    fn opening(&self, context: &AdminContext) -> (Bytes, Instant) {
        let (last, due) = self.snapshot(context);
        let opening = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "server_id": context.diagnostics.server_id(),
            "pid": std::process::id(),
            "start": timestamp(context.diagnostics.started_at()),
            "cores": std::thread::available_parallelism().map_or(1, |cores| cores.get()),
            "memory_budget_bytes": context.diagnostics.memory().budget_bytes(),
            "points": lock(&self.state).points,
        });
        let mut events = Vec::new();
        append_event(&mut events, "opening", &opening);
        events.extend_from_slice(&last);
        (events.into(), due)
    }

    /// The last snapshot, made anew if one is due, and when the next one is due.
    fn snapshot(&self, context: &AdminContext) -> (Bytes, Instant) {
        let mut state = lock(&self.state);
        let now = Instant::now();
        if now >= state.due || state.last.is_empty() {
            state.last = event("snapshot", &state.look(context));
            state.due = now + Duration::from_millis(ADMIN_LIVE_MS);
        }
        (state.last.clone(), state.due)
    }
}

impl State {
    fn look(&mut self, context: &AdminContext) -> serde_json::Value {
        let mut problems = Vec::new();
        let (front_ends, sums) = front_ends(context, &mut problems);
        let process = Process::now();
        let (broker, queues) = (context.broker.stats(), context.broker.queue_stats());
        let point = Point {
            at_ms: now_ms(),
            in_msgs: sums.messages_in,
            out_msgs: sums.messages_out,
            in_bytes: sums.bytes_in,
            out_bytes: sums.bytes_out,
            published: broker.published,
            dropped: broker.deliveries.dropped,
            missed: missed(context),
            cpu_ms: u64::try_from(process.cpu.as_millis()).unwrap_or(u64::MAX),
            mem_bytes: process.allocated_bytes,
            resident_bytes: process.resident_bytes,
            queued_msgs: queues.messages,
            queued_bytes: queues.bytes,
        };
        let memory = context.diagnostics.memory();
        problems::of_memory(memory.used_bytes(), memory.budget_bytes(), &mut problems);
        if context.broker.is_closed() {
            problems::of_ending(&mut problems);
        }
        problems::of_queues(&queues, &mut problems);
        let links = leaf_nodes::links(context);
        links.iter().for_each(|link| problems::of_link(link, &mut problems));
        problems::of_losses(self.missed_lately(&point), &mut problems);
        problems.sort_by_key(|problem| !problem.is_severe);
        self.keep(point);
        json!({
            "point": point,
            "uptime_s": context.diagnostics.started().elapsed().as_secs(),
            "file_descriptors": process.file_descriptors,
            "threads": process.threads,
            "tasks": context.tasks.alive(),
            "subscriptions": broker.subscriptions,
            "publishers": broker.publishers,
            "waits": broker.waits,
            "deliveries": broker.deliveries.matched,
            "journal": context.diagnostics.journal().last_number(),
            "front_ends": front_ends,
            "links": links,
            "problems": problems,
        })
    }

    /// The messages missed since the last point. Zero after a time without viewers, since nobody
    /// knows when in that time they were missed.
    fn missed_lately(&self, now: &Point) -> u64 {
        let last = self.points.back().filter(|last| last.at_ms + 2 * ADMIN_LIVE_MS > now.at_ms);
        last.map_or(0, |last| now.missed.saturating_sub(last.missed))
    }

    fn keep(&mut self, point: Point) {
        // The oldest makes room first, so that the buffer never grows beyond its bound.
        if self.points.len() >= ADMIN_LIVE_POINTS {
            self.points.pop_front();
        }
        self.points.push_back(point);
    }
}

/// All front-ends, and the sums of all but the admin listener.
fn front_ends(
    context: &AdminContext,
    problems: &mut Vec<Problem>,
) -> (Vec<Listed>, FrontEndFigures) {
    let mut sums = FrontEndFigures::default();
    let front_ends = context.diagnostics.front_ends().into_iter().map(|front_end| {
        let figures = front_end.figures();
        problems::of_front_end(&front_end, &figures, problems);
        if front_end.name() != NAME {
            sums.add(&figures);
        }
        Listed {
            name: front_end.name(),
            address: front_end.serves().map(|serves| serves.address.to_string()),
            max_connections: front_end.serves().map(|serves| serves.max_connections),
            connections: figures.connections,
            accepted: figures.accepted,
            refused: figures.refused,
            slow_consumers: figures.slow_consumers,
            in_msgs: figures.messages_in,
            out_msgs: figures.messages_out,
            in_bytes: figures.bytes_in,
            out_bytes: figures.bytes_out,
        }
    });
    (front_ends.collect(), sums)
}

/// The messages that live subscriptions did not get, for whatever reason.
fn missed(context: &AdminContext) -> u64 {
    let drops = context.broker.drop_stats();
    let counts = drops.by_policy.values().flat_map(|counts| counts.by_reason());
    counts.filter(|(reason, _)| *reason != "ended").map(|(_, count)| count).sum()
}
