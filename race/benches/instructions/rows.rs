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
    budgets: [522, 522, 524],
};

pub const ROWS: &[Row] = &[
    PLAIN,
    Row { name: "1", budgets: [1587, 1617, 1682], subscribers: 1, ..PLAIN },
    Row { name: "8", budgets: [4233, 4473, 4973], subscribers: 8, ..PLAIN },
    Row {
        name: "1, bursts of 16",
        budgets: [1392, 1422, 1251],
        subscribers: 1,
        burst: 16,
        ..PLAIN
    },
    Row {
        name: "8, bursts of 16",
        budgets: [2791, 3031, 1663],
        subscribers: 8,
        burst: 16,
        ..PLAIN
    },
    Row {
        name: "64, bursts of 64",
        budgets: [12_297, 14_217, 3605],
        subscribers: 64,
        burst: 64,
        ..PLAIN
    },
    Row {
        name: "1000, bursts of 64",
        budgets: [174_195, 204_199, 38_435],
        subscribers: 1000,
        burst: 64,
        ..PLAIN
    },
    Row { name: "1, asleep", budgets: [5023, 5065, 5220], subscribers: 1, asleep: true, ..PLAIN },
    Row {
        name: "8, asleep",
        budgets: [25_058, 25_394, 26_624],
        subscribers: 8,
        asleep: true,
        ..PLAIN
    },
    Row { name: "1, String", budgets: [1979, 2010, 2144], subscribers: 1, ..STRING },
    Row { name: "8, String", budgets: [4609, 4857, 5392], subscribers: 8, ..STRING },
    Row {
        name: "64, String",
        budgets: [12_400, 14_384, 3837],
        subscribers: 64,
        burst: 64,
        ..STRING
    },
];

const STRING: Row = Row { content: Content::String, ..PLAIN };
