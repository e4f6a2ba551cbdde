//! Documents about what this server does not have, in nats-server's words.

use super::context::AdminContext;
use super::listing::Object;
use crate::http::{self, Asked, Response};
use hyper::StatusCode;
use serde_json::{Value, json};
use std::sync::Arc;

/// `/routez`, `/gatewayz` and `/jsz`.
pub(super) fn absent(context: Arc<AdminContext>, call: Asked) -> Response {
    let mut facts = context.head();
    facts.extend(own_facts(call.path()));
    http::json(StatusCode::OK, &Object(facts))
}

fn own_facts(path: &str) -> Vec<(&'static str, Value)> {
    match path {
        "/routez" => {
            let name = ("server_name", "fanfare".into());
            vec![name, ("num_routes", 0.into()), ("routes", json!([]))]
        }
        "/gatewayz" => vec![("outbound_gateways", json!({})), ("inbound_gateways", json!({}))],
        _ => {
            let none = ["memory", "storage", "streams", "consumers", "messages", "bytes"];
            let mut facts: Vec<_> = none.map(|name| (name, 0.into())).into();
            facts.push(("disabled", true.into()));
            facts.push(("config", json!({"max_memory": 0, "max_storage": 0})));
            facts
        }
    }
}
