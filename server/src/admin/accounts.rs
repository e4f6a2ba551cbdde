//! `/accountz`: the accounts of NATS clients, with the fields that NATS tools read.

use super::context::AdminContext;
use super::listing::Object;
use crate::codec::nats::GLOBAL;
use crate::http::{self, Asked, Response, text};
use hyper::StatusCode;
use serde_json::json;
use std::sync::Arc;

/// All accounts, or with `acc=` the details of one.
pub(super) fn accounts(context: Arc<AdminContext>, call: Asked) -> Response {
    let front_ends = context.diagnostics.front_ends();
    let mut accounts: Vec<_> = front_ends.iter().flat_map(|it| it.accounts()).collect();
    if accounts.is_empty() {
        accounts.push((GLOBAL.into(), context.broker.stats().subscriptions));
    }
    let mut known = front_ends.iter().flat_map(|front_end| front_end.facts());
    let system = known.find(|(name, _)| *name == "system_account").map(|(_, name)| name);
    let system = system.unwrap_or_else(|| "$SYS".into());
    let system_name = system.as_str().unwrap_or_default();
    if accounts.iter().all(|(name, _)| **name != *system_name) {
        accounts.push((system_name.into(), 0));
    }
    let mut facts = context.head();
    facts.push(("system_account", system));
    let Some(wanted) = call.query("acc").filter(|name| !name.is_empty()) else {
        let names: Vec<&str> = accounts.iter().map(|(name, _)| &**name).collect();
        facts.push(("accounts", names.into()));
        return http::json(StatusCode::OK, &Object(facts));
    };
    let Some((_, subscriptions)) = accounts.iter().find(|(name, _)| **name == *wanted) else {
        return text(StatusCode::BAD_REQUEST, format!("Account {wanted} does not exist"));
    };
    let clients = front_ends.iter().flat_map(|front_end| front_end.live());
    let is_in = |account: Option<Arc<str>>| account.is_some_and(|name| *name == *wanted);
    let detail = json!({
        "account_name": wanted,
        "name_tag": wanted,
        "expired": false,
        "complete": true,
        "jetstream_enabled": false,
        "leafnode_connections": 0,
        "client_connections": clients.filter(|client| is_in(client.account())).count(),
        "subscriptions": subscriptions,
    });
    facts.push(("account_detail", detail));
    http::json(StatusCode::OK, &Object(facts))
}
