//! Whether the server is well.

use super::context::AdminContext;
use crate::http::{Call, Response, json, text};
use hyper::StatusCode;
use std::sync::Arc;

/// `/healthz`: that it answers is the answer.
pub(super) async fn healthz(_: Arc<AdminContext>, _: Call) -> Response {
    json(StatusCode::OK, &serde_json::json!({"status": "ok"}))
}

/// `/readyz`: not while the server ends, so that a balancer sends nobody here any more.
pub(super) async fn readyz(context: Arc<AdminContext>, _: Call) -> Response {
    match context.broker.is_closed() {
        false => text(StatusCode::OK, "ready\n"),
        true => text(StatusCode::SERVICE_UNAVAILABLE, "draining: the server is ending\n"),
    }
}
