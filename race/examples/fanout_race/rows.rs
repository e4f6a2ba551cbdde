//! Which rows are run on an executor.

use race::executor::Executor;
use race::scenario::{Content, Scenario};

/// Threads for each of a thousand subscribers say more of the kernel than of the peers.
const THREADS_MOST: usize = 64;

/// A pace at which nobody is ever busy.
const RATE_PER_S: u32 = 30_000;

/// All rows, or those that tell most.
pub fn of(executor: Executor, is_quick: bool) -> Vec<Scenario> {
    let plain = |subscribers| Scenario::plain(executor, subscribers);
    let crowds = [1, 8, 64, 1000];
    let mut rows: Vec<_> = crowds.map(plain).into();
    rows.push(Scenario { queue_messages: 16, ..plain(8) });
    rows.push(Scenario { publishers: 8, ..plain(8) });
    if !is_quick {
        rows.extend(crowds.map(|crowd| Scenario { content: Content::String, ..plain(crowd) }));
        rows.extend(crowds.map(|crowd| Scenario { batch: 64, ..plain(crowd) }));
        rows.push(Scenario { queue_messages: 16, ..plain(64) });
        rows.push(Scenario { stuck: 1, ..plain(64) });
        rows.push(Scenario { stuck: 100, ..plain(1000) });
    }
    rows.push(Scenario { rate_per_s: Some(RATE_PER_S), ..plain(8) });
    if !is_quick {
        rows.push(Scenario {
            rate_per_s: Some(RATE_PER_S / 8),
            stuck: 4,
            queue_messages: 64,
            ..plain(64)
        });
    }
    rows.retain(|row| executor != Executor::Threads || row.subscribers <= THREADS_MOST);
    rows
}
