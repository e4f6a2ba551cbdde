//! The rows of the table, each with our budget.

use race::scenario::{Content, QUEUE_MESSAGES};

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
    /// With less room than a burst needs, the publisher is a task of their executor too, and waits.
    pub queue_messages: usize,
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
    queue_messages: QUEUE_MESSAGES,
    content: Content::Copy,
    budgets: [76, 79, 77],
};

pub const ROWS: &[Row] = &[
    PLAIN,
    Row { name: "1", budgets: [428, 456, 756], subscribers: 1, ..PLAIN },
    Row { name: "8", budgets: [1231, 1440, 3885], subscribers: 8, ..PLAIN },
    Row { name: "1, bursts of 16", budgets: [382, 410, 341], subscribers: 1, burst: 16, ..PLAIN },
    Row { name: "8, bursts of 16", budgets: [986, 1203, 680], subscribers: 8, burst: 16, ..PLAIN },
    Row {
        name: "64, bursts of 64",
        budgets: [5245, 6973, 2096],
        subscribers: 64,
        burst: 64,
        ..PLAIN
    },
    Row {
        name: "1000, bursts of 64",
        budgets: [77_408, 104_393, 28_246],
        subscribers: 1000,
        burst: 64,
        ..PLAIN
    },
    Row { name: "1, asleep", budgets: [1880, 1903, 2054], subscribers: 1, asleep: true, ..PLAIN },
    Row {
        name: "8, asleep",
        budgets: [11_615, 11_806, 13_014],
        subscribers: 8,
        asleep: true,
        ..PLAIN
    },
    Row {
        name: "8, queues of 16",
        budgets: [2152, 2359, 1616],
        subscribers: 8,
        burst: 256,
        asleep: true,
        queue_messages: 16,
        ..PLAIN
    },
    Row { name: "1, String", budgets: [692, 716, 1156], subscribers: 1, ..STRING },
    Row { name: "8, String", budgets: [1482, 1674, 4247], subscribers: 8, ..STRING },
    Row { name: "64, String", budgets: [5380, 6979, 2224], subscribers: 64, burst: 64, ..STRING },
];

const STRING: Row = Row { content: Content::String, ..PLAIN };
