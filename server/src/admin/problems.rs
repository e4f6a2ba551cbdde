//! What is wrong at this moment, in sentences for people.

use super::listing::Object;
use crate::diagnostics::{FrontEnd, FrontEndFigures};
use fanfare::{QueueStats, SubscriptionStats};
use serde::Serialize;
use serde_json::Value;

/// A front-end is nearly full when it has this percentage of its connections.
const NEARLY_FULL_PERCENT: usize = 90;

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Problem {
    /// Whether something is lost already.
    pub is_severe: bool,
    pub text: String,
    /// The view of the dashboard that shows more.
    pub view: &'static str,
}

/// Whether subscriptions miss messages, or soon will.
pub(super) fn of_queues(queues: &QueueStats, into: &mut Vec<Problem>) {
    let text = match queues.on_probation {
        0 => None,
        1 => Some("1 subscription is full and misses messages".to_owned()),
        count => Some(format!("{count} subscriptions are full and miss messages")),
    };
    into.extend(text.map(|text| Problem { is_severe: true, text, view: "topics" }));
    let text = match queues.half_full {
        0 => None,
        1 => Some("1 subscription is getting slow".to_owned()),
        count => Some(format!("{count} subscriptions are getting slow")),
    };
    into.extend(text.map(|text| Problem { is_severe: false, text, view: "topics" }));
}

/// How full a queue is: by messages or by bytes, whichever is more.
pub(super) fn full_percent(stats: &SubscriptionStats) -> f64 {
    let share = |queued: f64, bound: usize| 100.0 * queued / bound.max(1) as f64;
    let of_messages = share(stats.books.queued as f64, stats.bound_messages);
    of_messages.max(share(stats.queued_bytes as f64, stats.bound_bytes))
}

/// Reports messages that were lost since the last look.
pub(super) fn of_losses(missed: u64, into: &mut Vec<Problem>) {
    if missed > 0 {
        let messages = if missed == 1 { "message was" } else { "messages were" };
        let text = format!("{missed} {messages} missed by subscribers in the last second");
        into.push(Problem { is_severe: true, text, view: "topics" });
    }
}

/// Whether a front-end has no or hardly any room for more connections.
pub(super) fn of_front_end(
    front_end: &FrontEnd,
    figures: &FrontEndFigures,
    into: &mut Vec<Problem>,
) {
    let Some(serves) = front_end.serves() else { return };
    let (now, most, name) = (figures.connections, serves.max_connections, front_end.name());
    if now >= most {
        let text = format!("{name} is full: {most} connections; more are refused");
        into.push(Problem { is_severe: true, text, view: "connections" });
    } else if now * 100 >= most * NEARLY_FULL_PERCENT {
        let text = format!("{name} is nearly full: {now} of {most} connections");
        into.push(Problem { is_severe: false, text, view: "connections" });
    }
}

/// Whether connections are ended, or soon will be, because memory is short.
pub(super) fn of_memory(used_bytes: u64, budget_bytes: u64, into: &mut Vec<Problem>) {
    if budget_bytes > 0 && used_bytes >= budget_bytes / 8 * 7 {
        let text =
            "memory is short; the heaviest connections that do not read are ended".to_owned();
        into.push(Problem { is_severe: true, text, view: "connections" });
    }
}

/// Whether a link to a cluster does not stand.
pub(super) fn of_link(link: &Object, into: &mut Vec<Problem>) {
    if link.get("cluster_joined") != Some(&0.into()) {
        return;
    }
    let text = |name| link.get(name).and_then(Value::as_str).unwrap_or_default();
    let why = Some(text("last_end")).filter(|why| !why.is_empty());
    let why = why.map(|why| format!(": {why}")).unwrap_or_default();
    let (link, account) = (text("link"), text("local_account"));
    let text = format!("{link} (account {account}) is not joined{why}; no messages cross it");
    into.push(Problem { is_severe: true, text, view: "overview" });
}

/// Reports that the server is ending.
pub(super) fn of_ending(into: &mut Vec<Problem>) {
    let text = "the server is ending and takes no more connections".to_owned();
    into.push(Problem { is_severe: false, text, view: "journal" });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostics::{Diagnostics, Serves};
    use fanfare::{Broker, Pattern, Topic};

    #[test]
    fn slow_subscriptions_are_told_from_those_that_lose() {
        let (broker, topic) = (Broker::<String>::new(), Topic::parse("a").unwrap());
        let readers = [(2, 1), (4, 2), (5, 3)].map(|(room, count)| {
            let topics = Pattern::from(&topic);
            let builders = (0..count).map(|_| broker.subscription(&topics).queue_messages(room));
            builders.map(|builder| builder.subscribe().unwrap()).collect::<Vec<_>>()
        });
        let mut publisher = broker.publisher();
        for _ in 0..2 {
            let _ = publisher.try_publish(&topic, String::new()).unwrap();
        }
        let half_full = broker.queue_stats();
        assert_eq!((half_full.half_full, half_full.messages), (3, 12), "not those with room for 5");
        drop(readers);
        let mut problems = Vec::new();
        of_queues(&QueueStats { on_probation: 1, half_full: 2, ..half_full }, &mut problems);
        let texts: Vec<_> =
            problems.iter().map(|problem| (problem.is_severe, problem.text.as_str())).collect();
        let expected = [
            (true, "1 subscription is full and misses messages"),
            (false, "2 subscriptions are getting slow"),
        ];
        assert_eq!(texts, expected);
    }

    #[test]
    fn a_link_that_does_not_stand_is_told_of_with_its_reason() {
        let link = |joined: u64, why: &str| {
            let joined = ("cluster_joined", joined.into());
            let of = [("link", "cluster2".into()), ("local_account", "A".into())];
            Object(of.into_iter().chain([joined, ("last_end", why.into())]).collect())
        };
        let told = |link: &Object| {
            let mut problems = Vec::new();
            of_link(link, &mut problems);
            problems.first().map(|problem| problem.text.clone())
        };
        assert_eq!(told(&link(1, "refused")), None);
        let text = told(&link(0, "refused")).unwrap();
        assert!(text.starts_with("cluster2 (account A) is not joined: refused; "), "{text}");
        assert!(told(&link(0, "")).unwrap().starts_with("cluster2 (account A) is not joined; "));
    }

    #[test]
    fn a_front_end_is_told_of_before_it_is_full() {
        let front_end = Diagnostics::new().front_end("chat");
        let address = ([127, 0, 0, 1], 1).into();
        front_end.listening(Serves { address, max_connections: 100, max_payload_bytes: 1 });
        for (connections, severe) in [(89, None), (90, Some(false)), (100, Some(true))] {
            let figures = FrontEndFigures { connections, ..FrontEndFigures::default() };
            let mut problems = Vec::new();
            of_front_end(&front_end, &figures, &mut problems);
            assert_eq!(problems.first().map(|problem| problem.is_severe), severe, "{connections}");
        }
    }
}
