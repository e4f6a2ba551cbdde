//! `/metrics`: everything in figures, in the text of OpenMetrics. Labels are front-ends, policies,
//! reasons and names of tasks, all of which are in our source: whatever clients do, there are no
//! more of them.

use super::context::AdminContext;
use crate::build;
use crate::diagnostics::{Family, FamilyKind, Figure, FrontEndFigures};
use crate::http::{Asked, Response, bytes, text};
use crate::process::Process;
use hyper::StatusCode;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(super) fn metrics(context: Arc<AdminContext>, _: Asked) -> Response {
    let mut registry = Registry::with_prefix("fanfare");
    registry.register_collector(Box::new(Figures { context }));
    let mut out = String::new();
    match prometheus_client::encoding::text::encode(&mut out, &registry) {
        Ok(()) => bytes(StatusCode::OK, CONTENT_TYPE, out),
        Err(fmt::Error) => {
            text(StatusCode::INTERNAL_SERVER_ERROR, "the metrics cannot be written\n")
        }
    }
}

/// Writes one family after the other.
struct Writer<'e>(DescriptorEncoder<'e>);

fn encode(metric: &mut MetricEncoder<'_>, kind: FamilyKind, value: u64) -> fmt::Result {
    match kind {
        FamilyKind::Counter => metric.encode_counter::<NoLabelSet, u64, u64>(&value, None),
        FamilyKind::Gauge => metric.encode_gauge(&(value as f64)),
    }
}

impl Writer<'_> {
    fn counter(&mut self, name: &'static str, help: &'static str, value: u64) -> fmt::Result {
        self.family(&Family::counter(name, help, value))
    }

    fn gauge(&mut self, name: &str, help: &str, unit: Option<&Unit>, value: f64) -> fmt::Result {
        self.0.encode_descriptor(name, help, unit, MetricType::Gauge)?.encode_gauge(&value)
    }

    fn counters(
        &mut self,
        name: &'static str,
        help: &'static str,
        figures: impl Iterator<Item = Figure>,
    ) -> fmt::Result {
        self.family(&Family::counters(name, help, figures.collect()))
    }

    fn family(&mut self, family: &Family) -> fmt::Result {
        let kind = match family.kind {
            FamilyKind::Counter => MetricType::Counter,
            FamilyKind::Gauge => MetricType::Gauge,
        };
        let mut all = self.0.encode_descriptor(family.name, family.help, None, kind)?;
        for figure in &family.figures {
            match figure.labels.is_empty() {
                // A family would be written with empty braces.
                true => encode(&mut all, family.kind, figure.value)?,
                false => {
                    encode(&mut all.encode_family(&figure.labels)?, family.kind, figure.value)?
                }
            }
        }
        Ok(())
    }

    fn histogram(
        &mut self,
        name: &str,
        help: &str,
        sum: f64,
        buckets: &[(f64, u64)],
    ) -> fmt::Result {
        let mut metric =
            self.0.encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Histogram)?;
        let count = buckets.iter().map(|(_, count)| count).sum();
        metric.encode_histogram::<NoLabelSet>(sum, count, buckets, None)
    }
}

/// The figures of the broker, the front-ends, the tasks and the process.
struct Figures {
    context: Arc<AdminContext>,
}

impl fmt::Debug for Figures {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Figures")
    }
}

impl Collector for Figures {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut writer = Writer(encoder);
        let built =
            [("version", build::VERSION), ("commit", build::COMMIT), ("runtime", build::RUNTIME)];
        let help = "Version and commit that the program was built from";
        let mut info = writer.0.encode_descriptor("build_info", help, None, MetricType::Gauge)?;
        info.encode_family(&built)?.encode_gauge(&1.0)?;
        self.broker(&mut writer)?;
        self.queues(&mut writer)?;
        self.waits(&mut writer)?;
        self.front_ends(&mut writer)?;
        let memory = self.context.diagnostics.memory();
        let shed = "Connections ended because they held too much while memory was short";
        writer.counter("connections_shed", shed, memory.shed_connections())?;
        self.families().iter().try_for_each(|family| writer.family(family))?;
        let tasks = self.context.tasks.alive_by_name();
        let alive = tasks.iter().map(|(name, count)| figure(&[("name", name)], *count as u64));
        writer.family(&Family::gauges("tasks", "Tasks alive", alive.collect()))?;
        self.process(&mut writer)
    }
}

impl Figures {
    /// What front-ends tell of themselves, each family once.
    fn families(&self) -> Vec<Family> {
        let mut families: Vec<Family> = Vec::new();
        let front_ends = self.context.diagnostics.front_ends();
        for family in front_ends.iter().flat_map(|front_end| front_end.families()) {
            match families.iter_mut().find(|known| known.name == family.name) {
                Some(known) => known.figures.extend(family.figures),
                None => families.push(family),
            }
        }
        families
    }

    fn broker(&self, writer: &mut Writer<'_>) -> fmt::Result {
        let stats = self.context.broker.stats();
        let deliveries = stats.deliveries;
        writer.counter("published", "Messages published", stats.published)?;
        let outcomes = [
            ("queued", deliveries.queued),
            ("dropped", deliveries.dropped),
            ("disconnected", deliveries.disconnected),
        ];
        let outcomes = outcomes.into_iter();
        writer.counters(
            "deliveries",
            "Messages times the subscriptions they were for, by outcome",
            outcomes.map(|(outcome, count)| figure(&[("outcome", outcome)], count)),
        )?;
        let waited = "Deliveries that had to wait for room";
        writer.counter("deliveries_waited", waited, deliveries.waited)?;
        writer.gauge("subscriptions", "Live subscriptions", None, stats.subscriptions as f64)?;
        writer.gauge("publishers", "Live publishers", None, stats.publishers as f64)?;
        let drops = self.context.broker.drop_stats().by_policy;
        let drops = drops.iter().flat_map(|(policy, counts)| {
            let labels = |reason| [("policy", *policy), ("reason", reason)];
            counts.by_reason().map(|(reason, count)| figure(&labels(reason), count))
        });
        writer.counters(
            "dropped",
            "Messages that subscriptions did not get, by policy and reason",
            drops,
        )
    }

    fn queues(&self, writer: &mut Writer<'_>) -> fmt::Result {
        let queues = self.context.broker.queue_stats();
        writer.gauge("queued_messages", "Messages in all queues", None, queues.messages as f64)?;
        writer.gauge("queued", "Bytes in all queues", Some(&Unit::Bytes), queues.bytes as f64)?;
        let longest = "Messages in the longest queue";
        writer.gauge("queue_longest_messages", longest, None, queues.longest_messages as f64)?;
        let high_water = "The most messages that a live subscription ever had queued";
        writer.gauge(
            "queue_high_water_messages",
            high_water,
            None,
            queues.high_water_messages as f64,
        )?;
        let on_probation = "Subscriptions for which publishers waited in vain";
        writer.gauge("subscriptions_on_probation", on_probation, None, queues.on_probation as f64)
    }

    fn waits(&self, writer: &mut Writer<'_>) -> fmt::Result {
        let waits = self.context.broker.wait_stats();
        writer.gauge(
            "timers_armed",
            "Publishes that wait for room, each with its timer",
            None,
            waits.waiting as f64,
        )?;
        let upper = |duration: Duration| {
            if duration == Duration::MAX { f64::INFINITY } else { duration.as_secs_f64() }
        };
        let buckets: Vec<(f64, u64)> =
            waits.by_duration.iter().map(|(duration, count)| (upper(*duration), *count)).collect();
        writer.histogram(
            "publish_wait",
            "How long publishes waited for room",
            waits.total.as_secs_f64(),
            &buckets,
        )
    }

    fn front_ends(&self, writer: &mut Writer<'_>) -> fmt::Result {
        let figures: Vec<_> = self
            .context
            .diagnostics
            .front_ends()
            .iter()
            .map(|front_end| (front_end.name(), front_end.figures()))
            .collect();
        let of = |name: &&'static str| ("front_end", *name);
        let live = figures.iter();
        let live = live.map(|(name, figures)| figure(&[of(name)], figures.connections as u64));
        writer.family(&Family::gauges("connections", "Live connections", live.collect()))?;
        let ended = figures.iter().flat_map(|(name, figures)| {
            let labels = |reason| [of(name), ("reason", reason)];
            figures.ended.iter().map(move |(reason, count)| figure(&labels(*reason), *count))
        });
        writer.counters("connections_ended", "Connections that ended, by reason", ended)?;
        let mut sum = |name, help, value: fn(&FrontEndFigures) -> u64| {
            let figures = figures.iter().map(|(name, all)| figure(&[of(name)], value(all)));
            writer.counters(name, help, figures)
        };
        sum("connections_accepted", "Connections ever accepted", |figures| figures.accepted)?;
        sum("connections_refused", "Connections not let in", |figures| figures.refused)?;
        let slow = "Connections ended because they did not read what they were sent";
        sum("slow_consumers", slow, |figures| figures.slow_consumers)?;
        sum("messages_in", "Messages from peers", |figures| figures.messages_in)?;
        sum("messages_out", "Messages for peers", |figures| figures.messages_out)?;
        sum("bytes_in", "Bytes read from peers", |figures| figures.bytes_in)?;
        sum("bytes_out", "Bytes written to peers", |figures| figures.bytes_out)
    }

    fn process(&self, writer: &mut Writer<'_>) -> fmt::Result {
        let (process, bytes) = (Process::now(), Some(&Unit::Bytes));
        let resident = process.resident_bytes as f64;
        writer.gauge("process_resident_memory", "Memory in RAM", bytes, resident)?;
        let (help, allocated) = ("Memory allocated and not freed", process.allocated_bytes as f64);
        writer.gauge("process_allocated_memory", help, bytes, allocated)?;
        let budget = self.context.diagnostics.memory().budget_bytes() as f64;
        writer.gauge("process_memory_budget", "Memory that clients may take", bytes, budget)?;
        let open = process.file_descriptors as f64;
        writer.gauge("process_open_fds", "Open file descriptors", None, open)?;
        writer.gauge("process_threads", "Threads", None, process.threads as f64)?;
        let (seconds, started) = (Some(&Unit::Seconds), self.context.diagnostics.started());
        let uptime = started.elapsed().as_secs_f64();
        writer.gauge("process_uptime", "Since the server began", seconds, uptime)?;
        let help = "Processor time that all threads have used";
        let mut cpu =
            writer.0.encode_descriptor("process_cpu", help, seconds, MetricType::Counter)?;
        cpu.encode_counter::<NoLabelSet, f64, u64>(&process.cpu.as_secs_f64(), None)
    }
}

fn figure(labels: &[(&'static str, &'static str)], value: u64) -> Figure {
    Figure::new(labels.to_vec(), value)
}
