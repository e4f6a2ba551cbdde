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
    /// Instructions that a message of ours may take, lent by `recv`, kept, and read by `recv_batch`. To be
    /// lowered whenever it takes fewer.
    pub budgets: [u64; 3],
}

const PLAIN: Row = Row {
    name: "nobody",
    subscribers: 0,
    burst: 1,
    asleep: false,
    content: Content::Copy,
    budgets: [522, 522, 524],
};

pub const ROWS: &[Row] = &[
    PLAIN,
    Row { name: "1", budgets: [1568, 1598, 1663], subscribers: 1, ..PLAIN },
    Row { name: "8", budgets: [4298, 4538, 5038], subscribers: 8, ..PLAIN },
    Row {
        name: "1, bursts of 16",
        budgets: [1373, 1403, 1232],
        subscribers: 1,
        burst: 16,
        ..PLAIN
    },
    Row {
        name: "8, bursts of 16",
        budgets: [2856, 3096, 1728],
        subscribers: 8,
        burst: 16,
        ..PLAIN
    },
    Row {
        name: "64, bursts of 64",
        budgets: [13_036, 14_956, 4344],
        subscribers: 64,
        burst: 64,
        ..PLAIN
    },
    Row {
        name: "1000, bursts of 64",
        budgets: [186_199, 216_203, 50_439],
        subscribers: 1000,
        burst: 64,
        ..PLAIN
    },
    Row { name: "1, asleep", budgets: [5013, 5055, 5210], subscribers: 1, asleep: true, ..PLAIN },
    Row {
        name: "8, asleep",
        budgets: [25_195, 25_531, 26_761],
        subscribers: 8,
        asleep: true,
        ..PLAIN
    },
    Row { name: "1, String", budgets: [1960, 1991, 2126], subscribers: 1, ..STRING },
    Row { name: "8, String", budgets: [4675, 4923, 5457], subscribers: 8, ..STRING },
    Row {
        name: "64, String",
        budgets: [13_139, 15_124, 4576],
        subscribers: 64,
        burst: 64,
        ..STRING
    },
];

const STRING: Row = Row { content: Content::String, ..PLAIN };
