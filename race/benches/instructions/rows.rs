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
    budgets: [76, 76, 78],
};

pub const ROWS: &[Row] = &[
    PLAIN,
    Row { name: "1", budgets: [433, 461, 772], subscribers: 1, ..PLAIN },
    Row { name: "8", budgets: [1236, 1446, 3894], subscribers: 8, ..PLAIN },
    Row { name: "1, bursts of 16", budgets: [387, 416, 358], subscribers: 1, burst: 16, ..PLAIN },
    Row { name: "8, bursts of 16", budgets: [992, 1209, 697], subscribers: 8, burst: 16, ..PLAIN },
    Row {
        name: "64, bursts of 64",
        budgets: [5249, 6977, 2111],
        subscribers: 64,
        burst: 64,
        ..PLAIN
    },
    Row {
        name: "1000, bursts of 64",
        budgets: [77_393, 104_364, 28_244],
        subscribers: 1000,
        burst: 64,
        ..PLAIN
    },
    Row { name: "1, asleep", budgets: [1894, 1920, 2082], subscribers: 1, asleep: true, ..PLAIN },
    Row {
        name: "8, asleep",
        budgets: [11_614, 11_808, 13_090],
        subscribers: 8,
        asleep: true,
        ..PLAIN
    },
    Row {
        name: "8, queues of 16",
        budgets: [2155, 2362, 1625],
        subscribers: 8,
        burst: 256,
        asleep: true,
        queue_messages: 16,
        ..PLAIN
    },
    Row { name: "1, String", budgets: [701, 722, 1154], subscribers: 1, ..STRING },
    Row { name: "8, String", budgets: [1491, 1680, 4245], subscribers: 8, ..STRING },
    Row { name: "64, String", budgets: [5388, 6983, 2221], subscribers: 64, burst: 64, ..STRING },
];

const STRING: Row = Row { content: Content::String, ..PLAIN };
