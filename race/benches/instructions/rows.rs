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
    /// Instructions that a message of ours may take, read by `recv` and by `recv_batch`. To be
    /// lowered whenever it takes fewer.
    pub budgets: [u64; 2],
}

const PLAIN: Row = Row {
    name: "nobody",
    subscribers: 0,
    burst: 1,
    asleep: false,
    content: Content::Copy,
    budgets: [523, 526],
};

pub const ROWS: &[Row] = &[
    PLAIN,
    Row { name: "1", budgets: [1693, 1738], subscribers: 1, ..PLAIN },
    Row { name: "8", budgets: [5075, 5414], subscribers: 8, ..PLAIN },
    Row { name: "1, bursts of 16", budgets: [1614, 1267], subscribers: 1, burst: 16, ..PLAIN },
    Row { name: "8, bursts of 16", budgets: [4562, 1780], subscribers: 8, burst: 16, ..PLAIN },
    Row { name: "64, bursts of 64", budgets: [23_047, 4402], subscribers: 64, burst: 64, ..PLAIN },
    Row {
        name: "1000, bursts of 64",
        budgets: [342_217, 50_863],
        subscribers: 1000,
        burst: 64,
        ..PLAIN
    },
    Row { name: "1, asleep", budgets: [5306, 5343], subscribers: 1, asleep: true, ..PLAIN },
    Row { name: "8, asleep", budgets: [27_317, 27_592], subscribers: 8, asleep: true, ..PLAIN },
    Row { name: "1, String", budgets: [2157, 2201], subscribers: 1, ..STRING },
    Row { name: "8, String", budgets: [5510, 5841], subscribers: 8, ..STRING },
    Row { name: "64, String", budgets: [23_093, 4634], subscribers: 64, burst: 64, ..STRING },
];

const STRING: Row = Row { content: Content::String, ..PLAIN };
