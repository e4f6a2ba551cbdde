//! Whether the server is well.

use super::context::AdminContext;
use crate::http::{Asked, Call, Response, json, text};
use hyper::StatusCode;
use std::sync::Arc;

/// `/healthz`: an answer means that the server is well. It also says whether the server is a lame
/// duck.
pub(super) fn healthz(context: Arc<AdminContext>, _: Asked) -> Response {
    let health = match context.diagnostics.is_lame_duck() {
        false => serde_json::json!({"status": "ok"}),
        true => serde_json::json!({"status": "ok", "lame_duck": true}),
    };
    json(StatusCode::OK, &health)
}

/// `/readyz`: 503 while the server is ending, so that balancers send no more clients here.
pub(super) async fn readyz(context: Arc<AdminContext>, _: Call) -> Response {
    match context.broker.is_closed() || context.diagnostics.is_lame_duck() {
        false => text(StatusCode::OK, "ready\n"),
        true => text(StatusCode::SERVICE_UNAVAILABLE, "draining: the server is ending\n"),
    }
}
