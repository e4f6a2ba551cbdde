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
    budgets: [73, 73, 73],
};

pub const ROWS: &[Row] = &[
    PLAIN,
    Row { name: "1", budgets: [429, 455, 783], subscribers: 1, ..PLAIN },
    Row { name: "8", budgets: [1259, 1467, 4092], subscribers: 8, ..PLAIN },
    Row { name: "1, bursts of 16", budgets: [382, 410, 342], subscribers: 1, burst: 16, ..PLAIN },
    Row { name: "8, bursts of 16", budgets: [1020, 1237, 692], subscribers: 8, burst: 16, ..PLAIN },
    Row {
        name: "64, bursts of 64",
        budgets: [5518, 7246, 2114],
        subscribers: 64,
        burst: 64,
        ..PLAIN
    },
    Row {
        name: "1000, bursts of 64",
        budgets: [81_781, 108_766, 28_491],
        subscribers: 1000,
        burst: 64,
        ..PLAIN
    },
    Row { name: "1, asleep", budgets: [1888, 1913, 2067], subscribers: 1, asleep: true, ..PLAIN },
    Row {
        name: "8, asleep",
        budgets: [11_978, 12_171, 13_403],
        subscribers: 8,
        asleep: true,
        ..PLAIN
    },
    Row {
        name: "8, queues of 16",
        budgets: [2131, 2338, 1598],
        subscribers: 8,
        burst: 256,
        asleep: true,
        queue_messages: 16,
        ..PLAIN
    },
    Row { name: "1, String", budgets: [777, 802, 1197], subscribers: 1, ..STRING },
    Row { name: "8, String", budgets: [1506, 1699, 4470], subscribers: 8, ..STRING },
    Row { name: "64, String", budgets: [5648, 7247, 2241], subscribers: 64, burst: 64, ..STRING },
];

const STRING: Row = Row { content: Content::String, ..PLAIN };
