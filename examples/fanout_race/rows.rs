//! Which rows are run, and what they came to.

pub use crate::support::load::Scenario;
use crate::support::trial::Standing;

pub struct RowResult {
    pub scenario: Scenario,
    pub standings: Vec<Standing>,
}

impl RowResult {
    pub fn standing(&self, peer: &str) -> Option<&Standing> {
        self.standings.iter().find(|standing| standing.peer == peer)
    }
}

/// Every combination, and the rows with stuck subscribers.
pub fn all() -> Vec<Scenario> {
    let mut rows = Vec::new();
    for payload_bytes in [64, 4096] {
        for publishers in [1, 2, 8] {
            for batch in [1, 8, 64, 256] {
                for subscribers in [1, 8, 64, 1000] {
                    rows.push(Scenario {
                        publishers,
                        batch,
                        payload_bytes,
                        ..Scenario::plain(subscribers)
                    });
                }
            }
        }
    }
    rows.extend(with_stuck());
    rows
}

/// The rows that tell most, for a run of a minute.
pub fn important() -> Vec<Scenario> {
    let mut rows: Vec<_> = [1, 8, 64, 1000].map(Scenario::plain).into();
    rows.extend(
        [1, 8, 64, 1000].map(|subscribers| Scenario { batch: 64, ..Scenario::plain(subscribers) }),
    );
    rows.extend(
        [8, 64].map(|subscribers| Scenario { publishers: 8, ..Scenario::plain(subscribers) }),
    );
    rows.extend([1, 64].map(|batch| Scenario {
        batch,
        payload_bytes: 4096,
        ..Scenario::plain(64)
    }));
    rows.extend(with_stuck().into_iter().filter(|row| row.batch == 1));
    rows
}

/// One of 64 stuck, and one and ten in a hundred of 1000.
fn with_stuck() -> Vec<Scenario> {
    let mut rows = Vec::new();
    for batch in [1, 64] {
        for (subscribers, stuck) in [(64, 1), (1000, 10), (1000, 100)] {
            rows.push(Scenario { stuck, batch, ..Scenario::plain(subscribers) });
        }
    }
    rows
}
