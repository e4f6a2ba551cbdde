//! The rows of the table, each with our budget.

use race::scenario::Content;

/// A row fails when it exceeds its budget by more than this: another compiler or allocator moves
/// counts a little.
pub const SLACK_PER_CENT: u64 = 3;

/// One way to publish and to receive.
pub struct Row {
    pub name: &'static str,
    pub subscribers: usize,
    /// Messages published one at a time before the subscribers read them.
    pub burst: usize,
    /// Readers are tasks of one executor that sleep until the burst; else what they wait for is
    /// always there.
    pub asleep: bool,
    pub content: Content,
    /// Instructions that a message of ours may take, lent by `recv`, kept, and read by
    /// `recv_batch`. To be lowered whenever it takes fewer.
    pub budgets: [u64; 3],
}

const PLAIN: Row = Row {
    name: "nobody",
    subscribers: 0,
    burst: 1,
    asleep: false,
    content: Content::Copy,
    budgets: [118, 118, 121],
};

pub const ROWS: &[Row] = &[
    PLAIN,
    Row { name: "1", budgets: [543, 584, 841], subscribers: 1, ..PLAIN },
    Row { name: "8", budgets: [1846, 2174, 4212], subscribers: 8, ..PLAIN },
    Row { name: "1, bursts of 16", budgets: [515, 556, 397], subscribers: 1, burst: 16, ..PLAIN },
    Row { name: "8, bursts of 16", budgets: [1752, 2080, 795], subscribers: 8, burst: 16, ..PLAIN },
    Row {
        name: "64, bursts of 64",
        budgets: [11_149, 13_773, 2603],
        subscribers: 64,
        burst: 64,
        ..PLAIN
    },
    Row {
        name: "1000, bursts of 64",
        budgets: [169_093, 210_093, 35_441],
        subscribers: 1000,
        burst: 64,
        ..PLAIN
    },
    Row { name: "1, asleep", budgets: [2079, 2105, 2247], subscribers: 1, asleep: true, ..PLAIN },
    Row {
        name: "8, asleep",
        budgets: [13_252, 13_467, 14_576],
        subscribers: 8,
        asleep: true,
        ..PLAIN
    },
    Row { name: "1, String", budgets: [922, 966, 1286], subscribers: 1, ..STRING },
    Row { name: "8, String", budgets: [2107, 2445, 4612], subscribers: 8, ..STRING },
    Row {
        name: "64, String",
        budgets: [11_245, 13_809, 2760],
        subscribers: 64,
        burst: 64,
        ..STRING
    },
];

const STRING: Row = Row { content: Content::String, ..PLAIN };
