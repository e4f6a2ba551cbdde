//! What no test of a server may leave behind.

use crate::leak_check::LeakCheck;
use fanfare::Broker;
use fanfare_server::connection::ConnectionLimiter;
use fanfare_server::diagnostics::Diagnostics;
use fanfare_server::message::ServerMessage;
use fanfare_server::tasks::Tasks;

/// Fails the test if a task, subscription, publisher or connection is left a while after it was
/// dropped. Belongs behind the server, as its last field: what ends the server has to be dropped
/// first.
///
/// Timers are not counted apart: each belongs to a task or to a publisher.
pub fn leak_check(
    tasks: &Tasks,
    broker: &Broker<ServerMessage>,
    limiter: &ConnectionLimiter,
    diagnostics: &Diagnostics,
) -> LeakCheck {
    let (of_subscriptions, of_publishers) = (broker.clone(), broker.clone());
    let (limiter, diagnostics) = (limiter.clone(), diagnostics.clone());
    let subscriptions = move || {
        let all = of_subscriptions.subscription_stats();
        all.iter()
            .map(|stats| format!("{} to {}, books {:?}", stats.id, stats.interest, stats.books))
            .collect()
    };
    let connections = move || {
        let all = diagnostics
            .front_ends()
            .into_iter()
            .flat_map(|front_end| front_end.connections(0, 100));
        all.map(|connection| format!("{connection:?}")).collect()
    };
    LeakCheck::new(tasks)
        .also("subscription", subscriptions)
        .also_count("publishers", move || of_publishers.stats().publishers)
        .also("connection", connections)
        .also_count("permits", move || limiter.connections())
}
