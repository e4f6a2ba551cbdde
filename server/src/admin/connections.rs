//! `/connz`: connections, with the fields that NATS tools read; and the end of one.

use super::Page;
use super::context::{AdminContext, NAME};
use super::listing::{Listing, Object, Window};
use super::lists::{nats_row, subscription_row};
use super::times::{duration, timestamp};
use crate::diagnostics::ConnectionInfo;
use crate::http::{Asked, Call, QueryError, Response, json, text};
use crate::limits::ADMIN_SUBSCRIPTIONS;
use hyper::StatusCode;
use serde_json::{Value, json};
use std::cmp::Ordering;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// The connections asked for, and their order.
struct Query {
    front_end: Option<String>,
    account: Option<String>,
    user: Option<String>,
    /// Part of a name, a user, an address or a program, in lower case.
    search: String,
    sort: Sort,
    is_reversed: bool,
}

/// How much the query wants to know about each connection's subscriptions.
#[derive(Clone, Copy)]
enum Subs {
    Subjects,
    Detail,
}

impl Subs {
    fn of(call: &Asked) -> Option<Self> {
        match call.query("subs")? {
            "detail" => Some(Self::Detail),
            "1" | "true" => Some(Self::Subjects),
            _ => None,
        }
    }
}

/// Orders connections.
type Compare = fn(&ConnectionInfo, &ConnectionInfo) -> Ordering;

/// What connections are sorted by. `None`: by number, as they are listed.
type Sort = Option<Compare>;

/// The orders of nats-server, which nats-top asks for, and more. Counts are sorted largest first.
const SORTS: &[(&str, Sort)] = &[
    ("cid", None),
    ("start", None),
    ("name", Some(|one, other| called(one).cmp(called(other)))),
    ("ip", Some(|one, other| one.peer.cmp(&other.peer))),
    ("front_end", Some(|one, other| one.front_end.cmp(other.front_end))),
    ("subs", Some(|one, other| other.subscriptions.cmp(&one.subscriptions))),
    ("pending", Some(|one, other| other.pending_bytes.cmp(&one.pending_bytes))),
    ("msgs_from", Some(|one, other| other.messages_in.cmp(&one.messages_in))),
    ("msgs_to", Some(|one, other| other.messages_out.cmp(&one.messages_out))),
    ("bytes_from", Some(|one, other| other.bytes_in.cmp(&one.bytes_in))),
    ("bytes_to", Some(|one, other| other.bytes_out.cmp(&one.bytes_out))),
    // Those that have not answered yet come last.
    ("rtt", Some(|one, other| other.round_trip.cmp(&one.round_trip))),
    ("last", Some(|one, other| one.idle.cmp(&other.idle))),
    ("idle", Some(|one, other| other.idle.cmp(&one.idle))),
    ("uptime", Some(|one, other| other.age.cmp(&one.age))),
];

/// The connection's name on the dashboard.
fn called(connection: &ConnectionInfo) -> &str {
    if connection.name.is_empty() { &connection.user } else { &connection.name }
}

impl Query {
    fn of(call: &Asked) -> Result<Self, QueryError> {
        let sort = call.query("sort").filter(|name| !name.is_empty()).unwrap_or("cid");
        let names = "cid, start, name, ip, front_end, subs, pending, msgs_from, msgs_to, \
                     bytes_from, bytes_to, rtt, last, idle or uptime";
        let known = SORTS.iter().find(|(name, _)| *name == sort);
        let (_, sort) = known.ok_or(QueryError { name: "sort", has_to_be: names })?;
        let states = "open or any; /journal says who has left, and why";
        match call.query("state").map(str::to_ascii_lowercase).as_deref() {
            None | Some("" | "open" | "any" | "all") => {}
            _ => return Err(QueryError { name: "state", has_to_be: states }),
        }
        Ok(Self {
            front_end: call.text("front_end")?,
            account: call.text("acc")?,
            user: call.text("user")?.filter(|name| !name.is_empty()),
            search: call.text("search")?.unwrap_or_default().to_lowercase(),
            sort: *sort,
            is_reversed: call.query("reverse").is_some(),
        })
    }

    /// Whether the list is neither searched nor sorted, so that only one page of it has to be read.
    fn is_plain(&self) -> bool {
        let is_whole = self.search.is_empty() && self.account.is_none() && self.user.is_none();
        is_whole && self.sort.is_none() && !self.is_reversed
    }

    fn finds(&self, connection: &ConnectionInfo) -> bool {
        let ConnectionInfo { name, user, language, version, .. } = connection;
        if self.account.is_some() && self.account.as_deref() != connection.account.as_deref() {
            return false;
        }
        let has = |text: &str| text.to_lowercase().contains(&self.search);
        if self.user.as_ref().is_some_and(|wanted| wanted != user) {
            return false;
        }
        [name, user, language, version].into_iter().any(|text| has(text))
            || has(&connection.peer.to_string())
            || has(connection.front_end)
    }

    fn arrange(&self, connections: &mut Vec<ConnectionInfo>) {
        connections.retain(|connection| self.finds(connection));
        // Stable, so that connections of the same rank keep their order from page to page.
        if let Some(compare) = self.sort {
            connections.sort_by(compare);
        }
        if self.is_reversed {
            connections.reverse();
        }
    }
}

/// `/connz`: `acc`, `user`, `search`, `sort` and `reverse`, or the one connection with the number
/// `cid`, with its queues and what it waits for. With `subs` what each has subscribed to.
pub(super) fn list(context: Arc<AdminContext>, call: Asked) -> Response {
    let (query, window) = match (Query::of(&call), Window::of(&call), call.number("cid", 0)) {
        (Ok(query), Ok(window), Ok(0)) => (query, window),
        (Ok(_), Ok(window), Ok(cid)) => return one(&context, Subs::of(&call), window, cid as u64),
        (Err(error), ..) | (_, Err(error), _) | (_, _, Err(error)) => return error.response(),
    };
    let mut front_ends = context.diagnostics.front_ends();
    // The admin listener's own connections are left out unless the query names it.
    front_ends.retain(|front_end| match &query.front_end {
        Some(wanted) => front_end.name() == wanted,
        None => front_end.name() != NAME,
    });
    // Of such a list, only what comes before the end of the page has to be read.
    let is_plain = query.is_plain();
    let first = if is_plain { window.offset.saturating_add(window.limit) } else { usize::MAX };
    let all = front_ends.iter().flat_map(|front_end| front_end.connections(0, first));
    let mut connections: Vec<_> = all.collect();
    connections.sort_by_key(|connection| connection.id);
    query.arrange(&mut connections);
    let total = match is_plain {
        true => front_ends.iter().map(|front_end| front_end.connection_count()).sum(),
        false => connections.len(),
    };
    let page: Vec<_> = connections.into_iter().skip(window.offset).take(window.limit).collect();
    listing(&context, &page, total, window, Subs::of(&call)).respond()
}

/// `POST /disconnect?cid=N`: ends a connection. The journal says who ended it.
pub(super) async fn disconnect(context: Arc<AdminContext>, call: Call) -> Page {
    let cid = call.number("cid", 0)?;
    Ok(match context.diagnostics.send_away(cid as u64) {
        true => json(StatusCode::OK, &json!({"disconnected": cid})),
        false => text(StatusCode::NOT_FOUND, format!("there is no connection {cid} any more\n")),
    })
}

fn one(context: &AdminContext, subs: Option<Subs>, window: Window, cid: u64) -> Response {
    let front_ends = context.diagnostics.front_ends();
    let found = front_ends.iter().find_map(|front_end| front_end.connection(cid));
    let figures = front_ends.iter().find_map(|front_end| front_end.find(cid));
    let page: Vec<_> = found.into_iter().collect();
    let mut listing = listing(context, &page, 1, window, subs);
    listing.total = listing.rows.len();
    if let (Some(Object(row)), Some(figures)) = (listing.rows.first_mut(), figures) {
        let queues: Vec<Value> =
            figures.queues().iter().map(|queue| json!(subscription_row(queue))).collect();
        row.push(("queues", queues.into()));
        let tasks = figures.task().map(|_| context.tasks.list()).unwrap_or_default();
        let task = tasks.iter().find(|task| Some(task.id) == figures.task());
        row.push(("waits_for", task.map(|task| task.waits_for.as_str()).into()));
    }
    listing.respond()
}

fn listing(
    context: &AdminContext,
    page: &[ConnectionInfo],
    total: usize,
    window: Window,
    subs: Option<Subs>,
) -> Listing {
    let now = SystemTime::now();
    let mut rows: Vec<Object> = page.iter().map(|connection| row(connection, now)).collect();
    if let Some(subs) = subs {
        add_subscriptions(context, page, &mut rows, subs);
    }
    let mut summary = context.head();
    summary.push(("num_connections", page.len().into()));
    Listing { rows_name: "connections", summary: Object(summary), rows, total, window }
}

/// Adds to each row what its connection has subscribed to.
fn add_subscriptions(
    context: &AdminContext,
    page: &[ConnectionInfo],
    rows: &mut [Object],
    subs: Subs,
) {
    let front_ends = context.diagnostics.front_ends();
    let mut left = ADMIN_SUBSCRIPTIONS;
    for (connection, Object(row)) in page.iter().zip(rows) {
        let figures = front_ends.iter().find_map(|front_end| front_end.find(connection.id));
        let mut list = figures.filter(|_| left > 0).map(|it| it.list()).unwrap_or_default();
        list.truncate(left);
        left -= list.len();
        row.push(match subs {
            Subs::Subjects => {
                let subjects: Vec<_> = list.into_iter().map(|info| info.subject).collect();
                ("subscriptions_list", subjects.into())
            }
            Subs::Detail => {
                let cid = connection.id;
                let detail: Vec<_> = list.iter().map(|info| json!(nats_row(info, cid))).collect();
                ("subscriptions_list_detail", detail.into())
            }
        });
    }
}

pub(super) fn row(connection: &ConnectionInfo, now: SystemTime) -> Object {
    let before = |age: Duration| timestamp(now.checked_sub(age).unwrap_or(now));
    let mut row = vec![
        ("cid", connection.id.into()),
        ("front_end", connection.front_end.into()),
        ("kind", "Client".into()),
        ("type", connection.transport.into()),
        ("ip", connection.peer.ip().to_string().into()),
        ("port", connection.peer.port().into()),
        ("name", connection.name.as_str().into()),
        ("authorized_user", connection.user.as_str().into()),
        ("account", connection.account.as_deref().unwrap_or_default().into()),
        ("start", before(connection.age).into()),
        ("last_activity", before(connection.idle).into()),
        ("uptime", duration(connection.age).into()),
        ("idle", duration(connection.idle).into()),
        ("pending_bytes", connection.pending_bytes.into()),
        ("subscriptions", connection.subscriptions.into()),
        ("in_msgs", connection.messages_in.into()),
        ("out_msgs", connection.messages_out.into()),
        ("in_bytes", connection.bytes_in.into()),
        ("out_bytes", connection.bytes_out.into()),
        ("lang", connection.language.as_str().into()),
        ("version", connection.version.as_str().into()),
    ];
    // NATS's exporter for Prometheus panics on a null.
    let round_trip = connection.round_trip.map(|took| format!("{}us", took.as_micros()));
    row.extend(round_trip.map(|took| ("rtt", took.into())));
    Object(row)
}
