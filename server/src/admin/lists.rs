//! Subscriptions, topics, and what happened: each a list.

use super::context::AdminContext;
use super::listing::{Listing, Object, Window};
use super::problems::full_percent;
use super::times::timestamp;
use crate::codec::nats::GLOBAL;
use crate::diagnostics::{ConnectionFigures, JournalEntry, SubscriptionInfo};
use crate::http::{Asked, QueryError, Response};
use crate::limits::ADMIN_SUBSCRIPTIONS;
use fanfare::{Pattern, SubscriptionStats, Topic, TopicStats};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// `/subsz`: queues of subscriptions, oldest first. With `topic=`, those that get that topic's
/// messages. With `subs=1`, the subscriptions of NATS clients; with `acc=`, those of one account,
/// and with `test=`, those that get that subject's messages.
pub(super) fn subscriptions(context: Arc<AdminContext>, call: Asked) -> Response {
    let (topic, wanted) = match (call.text("topic"), Wanted::of(&call)) {
        (Ok(topic), Ok(wanted)) => (topic, wanted),
        (Err(error), _) | (_, Err(error)) => return error.response(),
    };
    listed(&call, |window| {
        if matches!(call.query("subs"), Some("1" | "true")) {
            return nats_subscriptions(&context, &wanted, window);
        }
        if let Some(topic) = topic {
            let all = Topic::parse(&topic)
                .map_or_else(|_| Vec::new(), |it| context.broker.subscribers(&it));
            let page: Vec<_> = all.iter().skip(window.offset).take(window.limit).cloned().collect();
            return subscription_listing(&context, &page, all.len(), window);
        }
        let page = context.broker.subscription_page(window.offset, window.limit);
        let total = context.broker.stats().subscriptions;
        subscription_listing(&context, &page, total, window)
    })
}

/// Which subscriptions of NATS clients are asked for.
struct Wanted {
    account: Option<String>,
    test: Option<Topic>,
}

impl Wanted {
    fn of(call: &Asked) -> Result<Self, QueryError> {
        let problem = QueryError { name: "test", has_to_be: "a subject without wildcards" };
        let test = call.text("test")?.filter(|subject| !subject.is_empty());
        let test = test.map(|subject| Topic::parse(&subject).map_err(|_| problem)).transpose()?;
        Ok(Self { account: call.text("acc")?, test })
    }

    /// How many of a client's subscriptions are wanted, and which, if that took a list.
    fn of_client(&self, client: &ConnectionFigures) -> (usize, Option<Vec<SubscriptionInfo>>) {
        let Some(topic) = &self.test else { return (client.subscription_count(), None) };
        let mut list = client.list();
        list.retain(|info| Pattern::parse(&info.subject).is_ok_and(|it| it.matches(topic)));
        (list.len(), Some(list))
    }
}

/// The subscriptions as their clients name them, client by client.
fn nats_subscriptions(context: &AdminContext, wanted: &Wanted, window: Window) -> Listing {
    let front_ends = context.diagnostics.front_ends();
    let (mut passed, mut rows) = (0, Vec::new());
    for client in front_ends.iter().flat_map(|front_end| front_end.live()) {
        let account = client.account();
        let account = account.as_deref().unwrap_or(GLOBAL);
        if wanted.account.as_deref().is_some_and(|wanted| wanted != account) {
            continue;
        }
        let left = window.limit.min(ADMIN_SUBSCRIPTIONS).saturating_sub(rows.len());
        let skipped = window.offset.saturating_sub(passed);
        let (count, list) = wanted.of_client(&client);
        passed += count;
        // Clients of other pages are counted, not listed.
        if left > 0 && skipped < count {
            let list = list.unwrap_or_else(|| client.list());
            let page = list.iter().skip(skipped).take(left);
            rows.extend(page.map(|info| {
                let Object(mut row) = nats_row(info, client.id());
                row.splice(0..0, ["account", "account_tag"].map(|name| (name, account.into())));
                Object(row)
            }));
        }
    }
    let is_of_account = wanted.account.is_some() && wanted.test.is_none();
    let all = if is_of_account { passed } else { context.broker.stats().subscriptions };
    Listing {
        rows_name: "subscriptions_list",
        summary: summary(context, all),
        rows,
        total: passed,
        window,
    }
}

/// A subscription with the fields that NATS tools read.
pub(super) fn nats_row(info: &SubscriptionInfo, cid: u64) -> Object {
    let mut row = vec![("subject", info.subject.as_str().into())];
    if !info.group.is_empty() {
        row.push(("qgroup", info.group.as_str().into()));
    }
    row.extend([("sid", info.sid.as_str().into()), ("cid", cid.into())]);
    Object(row)
}

fn summary(context: &AdminContext, subscriptions: usize) -> Object {
    let mut summary = context.head();
    summary.push(("num_subscriptions", subscriptions.into()));
    Object(summary)
}

/// `/slowz`: the subscriptions that publishers waited for longest, then those that came nearest to
/// full.
pub(super) fn slowest(context: Arc<AdminContext>, call: Asked) -> Response {
    listed(&call, |window| {
        let slowest = context.broker.slowest(window.offset.saturating_add(window.limit));
        let page = slowest.get(window.offset..).unwrap_or_default();
        subscription_listing(&context, page, context.broker.stats().subscriptions, window)
    })
}

fn subscription_listing(
    context: &AdminContext,
    page: &[SubscriptionStats],
    total: usize,
    window: Window,
) -> Listing {
    Listing {
        rows_name: "subscriptions_list",
        summary: summary(context, total),
        rows: page.iter().map(subscription_row).collect(),
        total,
        window,
    }
}

pub(super) fn subscription_row(stats: &SubscriptionStats) -> Object {
    Object(vec![
        ("id", stats.id.to_string().into()),
        ("subject", stats.interest.to_string().into()),
        ("queue_group", stats.group.as_deref().unwrap_or_default().into()),
        ("when_full", stats.when_full.name().into()),
        ("queued_messages", stats.books.queued.into()),
        ("queued_bytes", stats.queued_bytes.into()),
        ("full_percent", ((full_percent(stats) * 10.0).round() / 10.0).into()),
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
pub(super) fn topics(context: Arc<AdminContext>, call: Asked) -> Response {
    listed(&call, |window| {
        let mut topics = context.broker.topic_stats();
        topics.sort_by(|one, other| one.topic.as_str().cmp(other.topic.as_str()));
        Listing {
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
pub(super) fn journal(context: Arc<AdminContext>, call: Asked) -> Response {
    listed(&call, |window| {
        let journal = context.diagnostics.journal();
        Listing {
            rows_name: "events",
            summary: Object(vec![("now", timestamp(SystemTime::now()).into())]),
            rows: journal.newest(window.offset, window.limit).iter().map(event_row).collect(),
            total: journal.count(),
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
fn listed(call: &Asked, list: impl FnOnce(Window) -> Listing) -> Response {
    match Window::of(call) {
        Ok(window) => list(window).respond(),
        Err(error) => error.response(),
    }
}

fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}
