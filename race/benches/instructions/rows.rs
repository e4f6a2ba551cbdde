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
    budgets: [119, 118, 121],
};

pub const ROWS: &[Row] = &[
    PLAIN,
    Row { name: "1", budgets: [558, 599, 858], subscribers: 1, ..PLAIN },
    Row { name: "8", budgets: [1874, 2209, 4264], subscribers: 8, ..PLAIN },
    Row { name: "1, bursts of 16", budgets: [531, 572, 410], subscribers: 1, burst: 16, ..PLAIN },
    Row { name: "8, bursts of 16", budgets: [1787, 2115, 810], subscribers: 8, burst: 16, ..PLAIN },
    Row {
        name: "64, bursts of 64",
        budgets: [11_336, 13_960, 2605],
        subscribers: 64,
        burst: 64,
        ..PLAIN
    },
    Row {
        name: "1000, bursts of 64",
        budgets: [171_752, 212_745, 35_291],
        subscribers: 1000,
        burst: 64,
        ..PLAIN
    },
    Row { name: "1, asleep", budgets: [4909, 4951, 5104], subscribers: 1, asleep: true, ..PLAIN },
    Row {
        name: "8, asleep",
        budgets: [23_873, 24_223, 25_413],
        subscribers: 8,
        asleep: true,
        ..PLAIN
    },
    Row { name: "1, String", budgets: [912, 955, 1277], subscribers: 1, ..STRING },
    Row { name: "8, String", budgets: [2125, 2462, 4646], subscribers: 8, ..STRING },
    Row {
        name: "64, String",
        budgets: [11_472, 14_035, 2801],
        subscribers: 64,
        burst: 64,
        ..STRING
    },
];

const STRING: Row = Row { content: Content::String, ..PLAIN };
