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
    budgets: [105, 104, 105],
};

pub const ROWS: &[Row] = &[
    PLAIN,
    Row { name: "1", budgets: [472, 504, 800], subscribers: 1, ..PLAIN },
    Row { name: "8", budgets: [1546, 1809, 4166], subscribers: 8, ..PLAIN },
    Row { name: "1, bursts of 16", budgets: [439, 471, 355], subscribers: 1, burst: 16, ..PLAIN },
    Row { name: "8, bursts of 16", budgets: [1420, 1670, 748], subscribers: 8, burst: 16, ..PLAIN },
    Row {
        name: "64, bursts of 64",
        budgets: [8758, 10_744, 2510],
        subscribers: 64,
        burst: 64,
        ..PLAIN
    },
    Row {
        name: "1000, bursts of 64",
        budgets: [132_307, 163_339, 34_586],
        subscribers: 1000,
        burst: 64,
        ..PLAIN
    },
    Row { name: "1, asleep", budgets: [1999, 2005, 2202], subscribers: 1, asleep: true, ..PLAIN },
    Row {
        name: "8, asleep",
        budgets: [12_895, 12_950, 14_520],
        subscribers: 8,
        asleep: true,
        ..PLAIN
    },
    Row { name: "1, String", budgets: [817, 850, 1210], subscribers: 1, ..STRING },
    Row { name: "8, String", budgets: [1780, 2044, 4533], subscribers: 8, ..STRING },
    Row { name: "64, String", budgets: [8820, 10_806, 2694], subscribers: 64, burst: 64, ..STRING },
];

const STRING: Row = Row { content: Content::String, ..PLAIN };
