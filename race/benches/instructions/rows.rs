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
    budgets: [119, 119, 120],
};

pub const ROWS: &[Row] = &[
    PLAIN,
    Row { name: "1", budgets: [557, 597, 859], subscribers: 1, ..PLAIN },
    Row { name: "8", budgets: [1872, 2200, 4230], subscribers: 8, ..PLAIN },
    Row { name: "1, bursts of 16", budgets: [545, 586, 413], subscribers: 1, burst: 16, ..PLAIN },
    Row { name: "8, bursts of 16", budgets: [1859, 2186, 811], subscribers: 8, burst: 16, ..PLAIN },
    Row {
        name: "64, bursts of 64",
        budgets: [11_864, 14_486, 2610],
        subscribers: 64,
        burst: 64,
        ..PLAIN
    },
    Row {
        name: "1000, bursts of 64",
        budgets: [179_898, 220_859, 35_290],
        subscribers: 1000,
        burst: 64,
        ..PLAIN
    },
    Row { name: "1, asleep", budgets: [5014, 5035, 5233], subscribers: 1, asleep: true, ..PLAIN },
    Row {
        name: "8, asleep",
        budgets: [24_384, 24_552, 26_124],
        subscribers: 8,
        asleep: true,
        ..PLAIN
    },
    Row { name: "1, String", budgets: [934, 975, 1281], subscribers: 1, ..STRING },
    Row { name: "8, String", budgets: [2217, 2538, 4613], subscribers: 8, ..STRING },
    Row {
        name: "64, String",
        budgets: [12_004, 14_565, 2807],
        subscribers: 64,
        burst: 64,
        ..STRING
    },
];

const STRING: Row = Row { content: Content::String, ..PLAIN };
