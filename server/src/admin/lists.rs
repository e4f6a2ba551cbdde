//! Connections, subscriptions, topics, and what happened: each a list.

use super::context::AdminContext;
use super::listing::{Listing, Object, Window};
use super::times::{duration, timestamp};
use crate::diagnostics::{ConnectionInfo, FrontEnd, JournalEntry};
use crate::http::{Call, Response};
use fanfare::{SubscriptionStats, TopicStats};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// `/connz`: connections. Has the fields that NATS tools read.
pub(super) async fn connections(context: Arc<AdminContext>, call: Call) -> Response {
    listed(&call, |window| {
        let mut front_ends = context.diagnostics.front_ends();
        if let Some(wanted) = call.query("front_end") {
            front_ends.retain(|front_end| front_end.name() == wanted);
        }
        let total = front_ends.iter().map(|front_end| front_end.connection_count()).sum();
        let page = page_of_connections(&front_ends, window);
        let now = SystemTime::now();
        Listing {
            title: "Connections",
            rows_name: "connections",
            summary: Object(vec![
                ("server_id", context.diagnostics.server_id().into()),
                ("now", timestamp(now).into()),
                ("num_connections", page.len().into()),
            ]),
            rows: page.iter().map(|connection| connection_row(connection, now)).collect(),
            total,
            window,
        }
    })
}

/// One front-end after the other, as if their lists were one.
fn page_of_connections(front_ends: &[Arc<FrontEnd>], window: Window) -> Vec<ConnectionInfo> {
    let mut page = Vec::new();
    let mut offset = window.offset;
    for front_end in front_ends {
        page.extend(front_end.connections(offset, window.limit - page.len()));
        offset = offset.saturating_sub(front_end.connection_count());
        if page.len() >= window.limit {
            break;
        }
    }
    page
}

fn connection_row(connection: &ConnectionInfo, now: SystemTime) -> Object {
    let before = |age: Duration| timestamp(now.checked_sub(age).unwrap_or(now));
    Object(vec![
        ("cid", connection.id.into()),
        ("front_end", connection.front_end.into()),
        ("kind", "Client".into()),
        ("ip", connection.peer.ip().to_string().into()),
        ("port", connection.peer.port().into()),
        ("name", connection.name.as_str().into()),
        ("authorized_user", connection.user.as_str().into()),
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
    ])
}

/// `/subsz`: subscriptions, oldest first.
pub(super) async fn subscriptions(context: Arc<AdminContext>, call: Call) -> Response {
    listed(&call, |window| {
        let page = context.broker.subscription_page(window.offset, window.limit);
        let total = context.broker.stats().subscriptions;
        subscription_listing("Subscriptions", &context, &page, total, window)
    })
}

/// `/slowz`: those that publishers waited for longest, then those nearest to full at their worst.
pub(super) async fn slowest(context: Arc<AdminContext>, call: Call) -> Response {
    listed(&call, |window| {
        let slowest = context.broker.slowest(window.offset.saturating_add(window.limit));
        let page = slowest.get(window.offset..).unwrap_or_default();
        subscription_listing(
            "Slowest subscriptions",
            &context,
            page,
            context.broker.stats().subscriptions,
            window,
        )
    })
}

fn subscription_listing(
    title: &'static str,
    context: &AdminContext,
    page: &[SubscriptionStats],
    total: usize,
    window: Window,
) -> Listing {
    Listing {
        title,
        rows_name: "subscriptions_list",
        summary: Object(vec![
            ("server_id", context.diagnostics.server_id().into()),
            ("now", timestamp(SystemTime::now()).into()),
            ("num_subscriptions", total.into()),
        ]),
        rows: page.iter().map(subscription_row).collect(),
        total,
        window,
    }
}

fn subscription_row(stats: &SubscriptionStats) -> Object {
    let share = |queued: f64, bound: usize| 100.0 * queued / bound.max(1) as f64;
    let of_messages = share(stats.books.queued as f64, stats.bound_messages);
    let full_percent = of_messages.max(share(stats.queued_bytes as f64, stats.bound_bytes));
    Object(vec![
        ("id", stats.id.to_string().into()),
        ("subject", stats.interest.to_string().into()),
        ("queue_group", stats.group.as_deref().unwrap_or_default().into()),
        ("when_full", stats.when_full.name().into()),
        ("queued_messages", stats.books.queued.into()),
        ("queued_bytes", stats.queued_bytes.into()),
        ("full_percent", ((full_percent * 10.0).round() / 10.0).into()),
        ("high_water_messages", stats.high_water_messages.into()),
        ("bound_messages", stats.bound_messages.into()),
        ("bound_bytes", stats.bound_bytes.into()),
        ("waited_for_ms", milliseconds(stats.waited_for).into()),
        ("on_probation", stats.on_probation.into()),
        ("offered", stats.books.offered.into()),
        ("received", stats.books.received.into()),
        ("dropped", stats.books.dropped.into()),
    ])
}

/// `/topicz`: topics, by name.
pub(super) async fn topics(context: Arc<AdminContext>, call: Call) -> Response {
    listed(&call, |window| {
        let mut topics = context.broker.topic_stats();
        topics.sort_by(|one, other| one.topic.as_str().cmp(other.topic.as_str()));
        Listing {
            title: "Topics",
            rows_name: "topics",
            summary: Object(vec![("now", timestamp(SystemTime::now()).into())]),
            rows: topics.iter().skip(window.offset).take(window.limit).map(topic_row).collect(),
            total: topics.len(),
            window,
        }
    })
}

fn topic_row(stats: &TopicStats) -> Object {
    Object(vec![
        ("topic", stats.topic.as_str().into()),
        ("published", stats.published.into()),
        ("subscriptions", stats.subscriptions.into()),
        ("kept", stats.kept.into()),
        ("matched", stats.deliveries.matched.into()),
        ("queued", stats.deliveries.queued.into()),
        ("waited", stats.deliveries.waited.into()),
        ("dropped", stats.deliveries.dropped.into()),
        ("disconnected", stats.deliveries.disconnected.into()),
    ])
}

/// `/journal`: the last events, newest first.
pub(super) async fn journal(context: Arc<AdminContext>, call: Call) -> Response {
    listed(&call, |window| {
        let journal = context.diagnostics.journal();
        Listing {
            title: "Journal",
            rows_name: "events",
            summary: Object(vec![("now", timestamp(SystemTime::now()).into())]),
            rows: journal.newest(window.offset, window.limit).iter().map(event_row).collect(),
            total: journal.len(),
            window,
        }
    })
}

fn event_row(entry: &JournalEntry) -> Object {
    Object(vec![
        ("number", entry.number.into()),
        ("first_at", timestamp(entry.first_at).into()),
        ("last_at", timestamp(entry.last_at).into()),
        ("times", entry.times.into()),
        ("kind", entry.kind.into()),
        ("front_end", entry.front_end.into()),
        ("about", entry.about.as_str().into()),
        ("port", entry.port.into()),
        ("reason", entry.reason.as_str().into()),
        ("messages", entry.messages.into()),
    ])
}

/// The page that is asked for, or what is wrong with the query.
fn listed(call: &Call, list: impl FnOnce(Window) -> Listing) -> Response {
    match Window::of(call) {
        Ok(window) => list(window).respond(call),
        Err(error) => error.response(),
    }
}

fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}
