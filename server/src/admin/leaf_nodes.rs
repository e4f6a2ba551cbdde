//! `/leafz`: the links to clusters, with the fields that NATS tools read.

use super::connections::row;
use super::context::AdminContext;
use super::listing::{Listing, Object, Window};
use crate::diagnostics::FrontEnd;
use crate::http::{Asked, Response};
use crate::limits::CLUSTER_TITLES;
use serde_json::Value;
use std::sync::Arc;
use std::time::SystemTime;

/// Each link, connected or not, with its facts and figures.
pub(super) fn links(context: &AdminContext) -> Vec<Object> {
    let link = |front_end: &Arc<FrontEnd>| {
        let name = [("link", front_end.name().into())];
        Object(name.into_iter().chain(front_end.facts()).chain(figures(front_end)).collect())
    };
    front_ends(context).iter().map(link).collect()
}

/// `/leafz`: each connected link, with its figures.
pub(super) fn list(context: Arc<AdminContext>, call: Asked) -> Response {
    let window = match Window::of(&call) {
        Ok(window) => window,
        Err(error) => return error.response(),
    };
    let front_ends = front_ends(&context);
    let now = SystemTime::now();
    let rows = front_ends.iter().flat_map(|front_end| {
        let connections = front_end.connections(0, usize::MAX).into_iter();
        connections.map(move |connection| {
            let Object(mut row) = row(&connection, now);
            row.extend(figures(front_end));
            Object(row)
        })
    });
    let rows: Vec<Object> = rows.skip(window.offset).take(window.limit).collect();
    let mut summary = context.head();
    summary.push(("leafnodes", rows.len().into()));
    let total = front_ends.iter().map(|front_end| front_end.connection_count()).sum();
    let summary = Object(summary);
    Listing { rows_name: "leafs", summary, rows, total, window }.respond()
}

/// The front-ends whose connections are links.
fn front_ends(context: &AdminContext) -> Vec<Arc<FrontEnd>> {
    let mut front_ends = context.diagnostics.front_ends();
    front_ends.retain(|front_end| CLUSTER_TITLES.contains(&front_end.name()));
    front_ends
}

fn figures(link: &FrontEnd) -> Vec<(&'static str, Value)> {
    let mut figures = Vec::new();
    for family in link.counted() {
        figures.extend(family.figures.iter().map(|figure| (family.name, figure.value.into())));
    }
    figures
}
