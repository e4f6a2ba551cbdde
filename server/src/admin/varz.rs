//! `/varz`: the server at a glance, with the fields that NATS tools read.

use super::context::{AdminContext, NAME};
use super::leaf_nodes;
use super::listing::Object;
use super::times::{duration, timestamp};
use crate::diagnostics::{Ended, FamilyKind, FrontEnd, FrontEndFigures, Serves};
use crate::http::{self, Asked, Response};
use crate::process::Process;
use hyper::StatusCode;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

pub(super) fn varz(context: Arc<AdminContext>, _: Asked) -> Response {
    http::json(StatusCode::OK, &facts(&context))
}

fn facts(context: &AdminContext) -> Object {
    let sums = sums(context);
    let process = Process::now();
    let cpu_percent = (context.cpu_share.percent(process) * 10.0).round() / 10.0;
    let broker = context.broker.stats();
    let main = main_front_end(context);
    let mut own = main.as_ref().map(|(front_end, _)| front_end.facts()).unwrap_or_default();
    let version = own.iter().position(|(name, _)| *name == "version");
    let nats_version = version.map_or(env!("CARGO_PKG_VERSION").into(), |at| own.remove(at).1);
    let mut facts = vec![
        ("server_id", context.diagnostics.server_id().into()),
        ("server_name", "fanfare".into()),
        ("fanfare_version", env!("CARGO_PKG_VERSION").into()),
        ("version", nats_version),
        ("pid", std::process::id().into()),
        ("start", timestamp(context.diagnostics.started_at()).into()),
        ("now", timestamp(SystemTime::now()).into()),
        ("config_load_time", timestamp(context.diagnostics.settings_read_at()).into()),
        ("uptime", duration(context.diagnostics.started().elapsed()).into()),
        ("mem", process.resident_bytes.into()),
        ("mem_allocated", process.allocated_bytes.into()),
        ("mem_budget", context.diagnostics.memory().budget_bytes().into()),
        ("cores", std::thread::available_parallelism().map_or(1, |cores| cores.get()).into()),
        ("cpu", cpu_percent.into()),
        ("connections", sums.connections.into()),
        ("total_connections", sums.accepted.into()),
        ("refused_connections", sums.refused.into()),
        ("in_msgs", sums.messages_in.into()),
        ("out_msgs", sums.messages_out.into()),
        ("in_bytes", sums.payload_in.into()),
        ("out_bytes", sums.payload_out.into()),
        ("in_client_msgs", sums.messages_in.into()),
        ("out_client_msgs", sums.messages_out.into()),
        ("in_client_bytes", sums.payload_in.into()),
        ("out_client_bytes", sums.payload_out.into()),
        ("slow_consumers", sums.slow_consumers.into()),
        ("stale_connections", stale_connections(context).into()),
        ("shed_connections", context.diagnostics.memory().shed_connections().into()),
        ("subscriptions", broker.subscriptions.into()),
        ("publishers", broker.publishers.into()),
        ("published", broker.published.into()),
        ("tasks", context.tasks.alive().into()),
    ];
    facts.extend(at_a_glance(context));
    facts.extend(of_links(context));
    if let Some((_, serves)) = main {
        facts.extend(own);
        facts.extend([
            ("host", serves.address.ip().to_string().into()),
            ("port", serves.address.port().into()),
            ("max_connections", serves.max_connections.into()),
            ("max_payload", serves.max_payload_bytes.into()),
        ]);
    }
    Object(facts)
}

/// Empty fields for the parts of nats-server that this server does not have, and its leaf nodes.
fn of_links(context: &AdminContext) -> impl Iterator<Item = (&'static str, Value)> {
    let links = leaf_nodes::links(context);
    let joined = links.iter().filter(|link| link.get("cluster_joined") == Some(&1.into())).count();
    let leaf = if links.is_empty() { json!({}) } else { json!({"remotes": links}) };
    let none = ["cluster", "gateway", "mqtt", "websocket", "jetstream"];
    let counts = [("routes", 0), ("remotes", 0), ("leafnodes", joined)];
    let counts = counts.into_iter().map(|(name, count)| (name, count.into()));
    none.into_iter().map(|name| (name, json!({}))).chain([("leaf", leaf)]).chain(counts)
}

fn stale_connections(context: &AdminContext) -> u64 {
    let front_ends = context.diagnostics.front_ends();
    let nats = front_ends.iter().filter(|front_end| front_end.name() == "nats");
    nats.filter_map(|nats| nats.figures().ended.get(Ended::Quiet.as_str()).copied()).sum()
}

/// The figures that front-ends want shown at a glance: the sum of counters of one name, and the
/// largest of gauges. Reads only what is counted anyway, since tools ask for this page every
/// second.
fn at_a_glance(context: &AdminContext) -> impl Iterator<Item = (&'static str, Value)> {
    let families =
        context.diagnostics.front_ends().into_iter().flat_map(|front_end| front_end.counted());
    let mut shown = BTreeMap::new();
    for family in families {
        for figure in &family.figures {
            let Some(name) = figure.at_a_glance else { continue };
            let value: &mut u64 = shown.entry(name).or_default();
            *value = match family.kind {
                FamilyKind::Counter => *value + figure.value,
                FamilyKind::Gauge => figure.value.max(*value),
            };
        }
    }
    shown.into_iter().map(|(name, value)| (name, value.into()))
}

/// The sums of all front-ends but the admin listener.
fn sums(context: &AdminContext) -> FrontEndFigures {
    let mut sums = FrontEndFigures::default();
    let front_ends = context.diagnostics.front_ends();
    let others = front_ends.iter().filter(|front_end| front_end.name() != NAME);
    others.for_each(|front_end| sums.add(&front_end.figures()));
    sums
}

/// NATS tools look for the port of the NATS server; without one, that of the first front-end.
fn main_front_end(context: &AdminContext) -> Option<(Arc<FrontEnd>, Serves)> {
    let mut front_ends = context.diagnostics.front_ends();
    // A stable sort: the others keep their order.
    front_ends.sort_by_key(|front_end| front_end.name() != "nats");
    front_ends.into_iter().find_map(|front_end| {
        let serves = front_end.serves()?;
        Some((front_end, serves))
    })
}
