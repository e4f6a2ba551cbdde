//! The first page, and whether the server is well.

use super::context::AdminContext;
use super::listing::{escape, page};
use super::times::duration;
use crate::http::{Call, Response, html, text};
use hyper::StatusCode;
use std::fmt::Write;
use std::sync::Arc;

/// What there is, and what it is.
const PAGES: &[(&str, &str)] = &[
    ("/varz", "the server at one glance"),
    ("/connz", "connections"),
    ("/subsz", "subscriptions"),
    ("/slowz", "the slowest subscriptions"),
    ("/topicz", "topics"),
    ("/journal", "the last events"),
    ("/metrics", "everything in figures, for a scraper"),
    ("/healthz", "whether the server runs"),
    ("/readyz", "whether it takes connections"),
    ("/debug/pprof/", "profiles of memory, processor and tasks, for go tool pprof"),
];

/// `/`
pub(super) async fn index(context: Arc<AdminContext>, _: Call) -> Response {
    let mut body =
        format!("<p>up for {}</p>\n<ul>\n", duration(context.diagnostics.started().elapsed()));
    for (path, what) in PAGES {
        let _ = writeln!(body, "<li><a href=\"{path}\">{path}</a> {}</li>", escape(what));
    }
    body.push_str("</ul>\n");
    html(StatusCode::OK, page("fanfare", &body))
}

/// `/healthz`: that it answers is the answer.
pub(super) async fn healthz(_: Arc<AdminContext>, _: Call) -> Response {
    text(StatusCode::OK, "ok\n")
}

/// `/readyz`: not while the server ends, so that a balancer sends nobody here any more.
pub(super) async fn readyz(context: Arc<AdminContext>, _: Call) -> Response {
    match context.broker.is_closed() {
        false => text(StatusCode::OK, "ready\n"),
        true => text(StatusCode::SERVICE_UNAVAILABLE, "draining: the server is ending\n"),
    }
}
