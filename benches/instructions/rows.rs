//! The rows of the table, each with its budget.

/// A row fails when it exceeds its budget by more than this: another compiler or allocator moves
/// counts a little.
pub const SLACK_PER_CENT: u64 = 3;

/// One way to publish and to receive.
pub struct Row {
    pub name: &'static str,
    pub subscribers: usize,
    /// Messages published one at a time before the subscribers read them.
    pub burst: usize,
    pub reading: Reading,
    pub payload: Payload,
    /// Instructions that a message of ours may take. To be lowered whenever it takes fewer.
    pub budget: u64,
}

/// How subscribers read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// Message by message, always ready.
    Recv,
    /// A batch at a time, by peers that have such a call; else message by message.
    Batch,
    /// Message by message, each in a task of one executor that sleeps until the burst.
    Asleep,
}

/// What the messages carry.
#[derive(Clone, Copy)]
pub enum Payload {
    /// A number.
    Copy,
    /// 64 bytes on the heap, made for each message.
    String,
}

const PLAIN: Row = Row {
    name: "nobody",
    subscribers: 0,
    burst: 1,
    reading: Reading::Recv,
    payload: Payload::Copy,
    budget: 464,
};

pub const ROWS: &[Row] = &[
    PLAIN,
    Row { name: "1 recv", budget: 1633, subscribers: 1, ..PLAIN },
    Row { name: "8 recv", budget: 4987, subscribers: 8, ..PLAIN },
    Row { name: "1 recv, bursts of 16", budget: 1553, subscribers: 1, burst: 16, ..PLAIN },
    Row { name: "8 recv, bursts of 16", budget: 4486, subscribers: 8, burst: 16, ..PLAIN },
    Row { name: "1 recv, String", budget: 2080, subscribers: 1, payload: Payload::String, ..PLAIN },
    Row { name: "8 recv, String", budget: 5417, subscribers: 8, payload: Payload::String, ..PLAIN },
    Row { name: "1 asleep", budget: 5157, subscribers: 1, reading: Reading::Asleep, ..PLAIN },
    Row { name: "8 asleep", budget: 26517, subscribers: 8, reading: Reading::Asleep, ..PLAIN },
    Row {
        name: "64 batches",
        budget: 4341,
        subscribers: 64,
        burst: 64,
        reading: Reading::Batch,
        ..PLAIN
    },
    Row {
        name: "1000 batches",
        budget: 50750,
        subscribers: 1000,
        burst: 64,
        reading: Reading::Batch,
        ..PLAIN
    },
    Row {
        name: "64 batches, String",
        budget: 4556,
        subscribers: 64,
        burst: 64,
        reading: Reading::Batch,
        payload: Payload::String,
    },
];
