//! `/leafz`: the links to clusters, with the fields that NATS tools read.

use super::connections::row;
use super::context::AdminContext;
use super::listing::{Listing, Object, Window};
use super::times::timestamp;
use crate::diagnostics::FrontEnd;
use crate::http::{Call, Response};
use serde_json::Value;
use std::sync::Arc;
use std::time::SystemTime;

/// The front-end whose connections are links.
const CLUSTER: &str = "cluster";

/// The link as the dashboard shows it, while it stands and while it does not; none without one.
pub(super) fn link(context: &AdminContext) -> Option<Object> {
    let front_ends = context.diagnostics.front_ends();
    let cluster = front_ends.iter().find(|front_end| front_end.name() == CLUSTER)?;
    let mut link = cluster.facts();
    link.extend(figures(cluster));
    Some(Object(link))
}

/// Each link, with all figures that its front-end has.
pub(super) fn list(context: Arc<AdminContext>, call: Call) -> Response {
    let window = match Window::of(&call) {
        Ok(window) => window,
        Err(error) => return error.response(),
    };
    let front_ends = context.diagnostics.front_ends();
    let cluster = front_ends.iter().find(|front_end| front_end.name() == CLUSTER);
    let now = SystemTime::now();
    let rows = |cluster: &Arc<FrontEnd>| -> Vec<Object> {
        let figures = figures(cluster);
        let links = cluster.connections(window.offset, window.limit);
        links
            .iter()
            .map(|link| {
                let Object(mut row) = row(link, now);
                row.extend(figures.iter().cloned());
                Object(row)
            })
            .collect()
    };
    let rows = cluster.map(rows).unwrap_or_default();
    let summary = vec![
        ("server_id", context.diagnostics.server_id().into()),
        ("now", timestamp(now).into()),
        ("leafnodes", rows.len().into()),
    ];
    let total = cluster.map_or(0, |cluster| cluster.connection_count());
    let summary = Object(summary);
    Listing { rows_name: "leafs", summary, rows, total, window }.respond()
}

fn figures(cluster: &FrontEnd) -> Vec<(&'static str, Value)> {
    let mut figures = Vec::new();
    for family in cluster.counted() {
        figures.extend(family.figures.iter().map(|figure| (family.name, figure.value.into())));
    }
    figures
}
